//! One HTTP/1.1 request to a server on this machine: enough to ask whether it is ready, to register a
//! function and to look at an answer. Load comes from wrk.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// For an answer, from the last byte received.
const ANSWER_PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

/// A request of `method` to `path` at 127.0.0.1, on a connection of its own.
pub(crate) fn request(
    port: u16,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<Answer> {
    let place = || format!("{method} http://127.0.0.1:{port}{path}");
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).with_context(place)?;
    stream.set_read_timeout(Some(ANSWER_PATIENCE)).with_context(place)?;
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
    stream.write_all(head.as_bytes()).with_context(place)?;
    stream.write_all(body.as_bytes()).with_context(place)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).with_context(place)?;
    parse(&answer).with_context(place)
}

/// A whole answer of a connection that is closed after it.
fn parse(bytes: &[u8]) -> Result<Answer> {
    const HEAD_END: &[u8] = b"\r\n\r\n";
    let Some(head_len) = bytes.windows(HEAD_END.len()).position(|window| window == HEAD_END) else {
        bail!("the answer ends within its head: {:?}", String::from_utf8_lossy(bytes));
    };
    let head = str::from_utf8(&bytes[..head_len]).context("the head of the answer is not text")?;
    let body = &bytes[head_len + HEAD_END.len()..];
    let mut lines = head.split("\r\n");
    let status_line = lines.next().unwrap_or_default();
    let status = status_line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let Some(status) = status.filter(|_| status_line.starts_with("HTTP/1.")) else {
        bail!("not a status line: {status_line:?}");
    };
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { bail!("not a header: {line:?}") };
        if name.eq_ignore_ascii_case("transfer-encoding") {
            bail!("the answer has a transfer encoding, {}, which is not expected here", value.trim());
        }
        if name.eq_ignore_ascii_case("content-length") {
            let len: usize = value.trim().parse().context("Content-Length is not a number")?;
            if body.len() != len {
                bail!("the answer promises {len} bytes and has {}", body.len());
            }
        }
    }
    Ok(Answer { status, body: body.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_its_status_and_its_body() {
        let answer = parse(b"HTTP/1.1 201 Created\r\nContent-Length: 4\r\n\r\nbody").unwrap();
        assert_eq!(answer, Answer { status: 201, body: b"body".to_vec() });
    }

    #[test]
    fn an_answer_that_was_cut_short_is_an_error() {
        assert!(parse(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbody").is_err());
        assert!(parse(b"HTTP/1.1 200 OK\r\nContent-Le").is_err());
        assert!(parse(b"").is_err());
        assert!(parse(b"SSH-2.0-x\r\n\r\n").is_err());
    }

    #[test]
    fn an_encoding_this_cannot_read_is_an_error_and_not_a_wrong_body() {
        assert!(parse(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n").is_err());
    }
}
