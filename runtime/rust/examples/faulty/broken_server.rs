//! A server on bare sockets that breaks HTTP in ways the runtime never would.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::net::UnixListener;
use std::process::ExitCode;
use std::thread;

/// Bytes that `too-much` sends before the two quotes around them.
const TOO_MUCH_BYTES: usize = 8 << 20;
const CHUNK_BYTES: usize = 64 << 10;
const CHUNKED_HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";

/// The fault of the answer to `POST /invoke`.
#[derive(Clone, Copy)]
pub(crate) enum Fault {
    /// It is not HTTP.
    Garbage,
    /// It ends, with the process, before the promised length.
    Half,
    /// It is longer than any output may be.
    TooMuch,
}

/// Serves until it is killed. `GET /health` is answered properly.
pub(crate) fn serve(fault: Fault) -> ExitCode {
    match listen(fault) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("faulty: {error}");
            ExitCode::FAILURE
        }
    }
}

fn listen(fault: Fault) -> io::Result<()> {
    if let Some(path) = std::env::var_os("PICOFAAS_SOCKET") {
        let listener = UnixListener::bind(path)?;
        eprintln!("listening");
        for stream in listener.incoming() {
            let stream = stream?;
            thread::spawn(move || finished(converse(fault, &stream, &stream)));
        }
    } else if let Some(port) = std::env::var("PORT").ok().and_then(|port| port.parse::<u16>().ok()) {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?;
        eprintln!("listening on http://{}", listener.local_addr()?);
        for stream in listener.incoming() {
            let stream = stream?;
            thread::spawn(move || finished(converse(fault, &stream, &stream)));
        }
    } else {
        return Err(io::Error::other("give PICOFAAS_SOCKET or PORT"));
    }
    Ok(())
}

/// Answers the requests of one connection until it or the fault ends it.
fn converse(fault: Fault, input: impl Read, mut output: impl Write) -> io::Result<()> {
    let mut input = BufReader::new(input);
    while let Some(request_line) = read_request(&mut input)? {
        if !request_line.starts_with("POST /invoke ") {
            output.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")?;
            continue;
        }
        match fault {
            Fault::Garbage => return output.write_all(b"\x16\x03\x01 this is not HTTP\r\n\r\n"),
            Fault::Half => {
                output.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n\"half a")?;
                std::process::exit(3);
            }
            Fault::TooMuch => {
                output.write_all(CHUNKED_HEAD)?;
                write_chunk(&mut output, b"\"")?;
                for _ in 0..TOO_MUCH_BYTES / CHUNK_BYTES {
                    write_chunk(&mut output, &[b'x'; CHUNK_BYTES])?;
                }
                write_chunk(&mut output, b"\"")?;
                write_chunk(&mut output, b"")?;
            }
        }
    }
    Ok(())
}

/// Reads one request whole and returns its first line; `None` at the end.
fn read_request(input: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut request_line = String::new();
    if input.read_line(&mut request_line)? == 0 {
        return Ok(None);
    }
    let mut body_bytes = 0;
    loop {
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 || line == "\r\n" {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            body_bytes = value.trim().parse().map_err(io::Error::other)?;
        }
    }
    io::copy(&mut input.by_ref().take(body_bytes), &mut io::sink())?;
    Ok(Some(request_line))
}

/// An empty chunk ends the body.
fn write_chunk(output: &mut impl Write, chunk: &[u8]) -> io::Result<()> {
    write!(output, "{:x}\r\n", chunk.len())?;
    output.write_all(chunk)?;
    output.write_all(b"\r\n")
}

/// A caller that hangs up on a broken answer does what it should.
fn finished(ended: io::Result<()>) {
    if let Err(error) = ended {
        eprintln!("faulty: the connection ended: {error}");
    }
}
