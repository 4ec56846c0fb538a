//! The server behind both proxies: small answers, bodies of any size both ways, tokens one by one, and connections that
//! are upgraded. A thread for each connection.

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::wait::let_pass;

/// Answer to a small request: 40 bytes.
const SMALL: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n{\"text\":\"hello, this is an answer of 40\"}";
/// Tokens of a stream.
pub(super) const TOKENS: u32 = 200;
/// Time between two tokens.
const TOKEN_PAUSE: Duration = Duration::from_millis(5);
const PIECE_BYTES: usize = 256 * 1024;

/// Serves for as long as the process lives.
pub(super) fn start() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen")?;
    let address = listener.local_addr().context("it has no address")?;
    thread::spawn(move || {
        for stream in listener.incoming() {
            // A connection that breaks is its client's affair, who is told.
            thread::Builder::new().stack_size(128 * 1024).spawn(move || serve(stream?)).ok();
        }
    });
    Ok(address)
}

fn serve(stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::with_capacity(64 * 1024, stream);
    loop {
        let Some(Head { path, length }) = read_head(&mut stream)? else { return Ok(()) };
        let mut left = length;
        while left > 0 {
            let came = stream.fill_buf()?.len().min(left);
            if came == 0 {
                return Ok(());
            }
            stream.consume(came);
            left -= came;
        }
        match path.split_once('/').map_or("", |(_, path)| path).split_once('=') {
            Some(("bytes", bytes)) => send_bytes(stream.get_mut(), bytes.parse().unwrap_or(0))?,
            Some(("tokens", _)) => send_tokens(stream.get_mut())?,
            Some(("upgrade", _)) => return give_back(stream),
            Some(_) | None => stream.get_mut().write_all(SMALL)?,
        }
    }
}

/// The part of the head of a request that counts here.
struct Head {
    path: String,
    length: usize,
}

fn read_head(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<Head>> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut length = 0;
    loop {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let Some((name, value)) = line.split_once(':') else { return Ok(Some(Head { path, length })) };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
}

fn send_bytes(stream: &mut TcpStream, mut bytes: usize) -> std::io::Result<()> {
    stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n").as_bytes())?;
    let piece = vec![b'x'; PIECE_BYTES];
    while bytes > 0 {
        let now = bytes.min(piece.len());
        stream.write_all(&piece[..now])?;
        bytes -= now;
    }
    Ok(())
}

fn send_tokens(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
    )?;
    for _ in 0..TOKENS {
        let_pass(TOKEN_PAUSE);
        stream.write_all(b"d\r\ndata: token\n\n\r\n")?;
    }
    stream.write_all(b"0\r\n\r\n")
}

fn give_back(mut stream: BufReader<TcpStream>) -> std::io::Result<()> {
    stream.get_mut().write_all(b"HTTP/1.1 101 -\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")?;
    let mut bytes = [0; 4096];
    loop {
        let came = stream.read(&mut bytes)?;
        if came == 0 {
            return Ok(());
        }
        stream.get_mut().write_all(&bytes[..came])?;
    }
}
