//! One kept-alive HTTP/1.1 connection to a program on this machine, from either end.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// For the next byte of a message.
const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes of one line of a head; what is longer is nothing that a bench sends or expects.
const LINE_BYTES_MAX: u64 = 16 << 10;

pub(super) struct Wire<S = TcpStream>(BufReader<S>);

/// A request or an answer, read whole.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message {
    /// The request line or the status line.
    pub start: String,
    pub body: Vec<u8>,
}

impl Wire {
    pub(super) fn connect(port: u16) -> Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))
            .with_context(|| format!("cannot connect to 127.0.0.1:{port}"))?;
        Self::over(stream)
    }

    pub(super) fn over(stream: TcpStream) -> Result<Self> {
        stream.set_nodelay(true).context("cannot switch TCP_NODELAY on")?;
        stream.set_read_timeout(Some(PATIENCE)).context("cannot limit the time to read")?;
        Ok(Self(BufReader::new(stream)))
    }
}

impl Wire<UnixStream> {
    pub(super) fn over_unix(stream: UnixStream) -> Result<Self> {
        stream.set_read_timeout(Some(PATIENCE)).context("cannot limit the time to read")?;
        Ok(Self(BufReader::new(stream)))
    }
}

impl<S: Read + Write> Wire<S> {
    /// Sends a whole head, which ends in an empty line, and a body, in one write.
    pub(super) fn send(&mut self, head: &str, body: &[u8]) -> Result<()> {
        let whole = [head.as_bytes(), body].concat();
        self.0.get_mut().write_all(&whole).context("cannot write")
    }

    /// The next message, which must have a length or no body; `None` where the other end closed before it.
    pub(super) fn receive(&mut self) -> Result<Option<Message>> {
        let Some(start) = self.line()? else { return Ok(None) };
        let mut length = 0;
        loop {
            let Some(line) = self.line()? else { bail!("the connection ended within a head") };
            if line.is_empty() {
                break;
            }
            let Some((name, value)) = line.split_once(':') else { bail!("not a header: {line:?}") };
            if name.eq_ignore_ascii_case("transfer-encoding") {
                bail!("a transfer encoding, {}, is not expected here", value.trim());
            }
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().context("Content-Length is not a number")?;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).context("the connection ended within a body")?;
        Ok(Some(Message { start, body }))
    }

    /// Sends a request with a JSON body and reads its answer: the status and the body.
    pub(super) fn ask(&mut self, request: &str, body: &str) -> Result<(u16, Vec<u8>)> {
        self.ask_with("", request, body)
    }

    /// The same with further `headers`, each with its end of line.
    pub(super) fn ask_with(&mut self, headers: &str, request: &str, body: &str) -> Result<(u16, Vec<u8>)> {
        let length = body.len();
        let head = format!(
            "{request} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        self.send(&head, body.as_bytes()).with_context(|| request.to_owned())?;
        let answer = self.receive().with_context(|| request.to_owned())?;
        let answer = answer.with_context(|| format!("{request}: the connection was closed"))?;
        let status = answer.start.split(' ').nth(1).and_then(|status| status.parse().ok());
        Ok((status.with_context(|| format!("not a status line: {:?}", answer.start))?, answer.body))
    }

    fn line(&mut self) -> Result<Option<String>> {
        let mut line = String::new();
        let read = self.0.by_ref().take(LINE_BYTES_MAX).read_line(&mut line).context("cannot read")?;
        if read == 0 {
            return Ok(None);
        }
        let Some(text) = line.strip_suffix("\r\n") else {
            bail!("a line ends early or is too long: {line:?}")
        };
        Ok(Some(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    #[test]
    fn two_requests_on_one_connection_are_answered_with_their_own_bodies_and_a_close_is_seen() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = thread::spawn(move || {
            let mut wire = Wire::over(listener.accept().unwrap().0).unwrap();
            let mut seen = Vec::new();
            while let Some(request) = wire.receive().unwrap() {
                let head = format!("HTTP/1.1 202 Accepted\r\ncontent-length: {}\r\n\r\n", request.body.len());
                wire.send(&head, &request.body).unwrap();
                seen.push(request.start);
            }
            seen
        });
        let mut client = Wire::connect(port).unwrap();
        assert_eq!(client.ask("POST /a", "first").unwrap(), (202, b"first".to_vec()));
        assert_eq!(client.ask("POST /b", "").unwrap(), (202, b"".to_vec()));
        drop(client);
        assert_eq!(server.join().unwrap(), ["POST /a HTTP/1.1", "POST /b HTTP/1.1"]);
    }
}
