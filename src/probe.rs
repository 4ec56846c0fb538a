//! Health probe of an instance, and what the instance says of itself with it.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use crate::instance::{InstanceReport, Target};

/// Longest wait for an answer.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// Part of the answer that is looked at, in bytes.
const ANSWER_BYTES_MAX: usize = 4096;
/// Headers of the answer that are looked at.
const HEADERS_MAX: usize = 32;

/// `GET /health` of an instance: what it says of itself, where the answer is 200.
///
/// # Errors
/// If the answer is another one, or there is none.
pub(crate) async fn health(target: &Target) -> io::Result<InstanceReport> {
    let ask = async {
        match target {
            Target::Unix(path) => ask_for_health(UnixStream::connect(path).await?, "localhost").await,
            Target::Tcp(address) => {
                ask_for_health(TcpStream::connect(address).await?, &address.to_string()).await
            }
        }
    };
    tokio::time::timeout(PROBE_TIMEOUT, ask)
        .await
        .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "GET /health was not answered")))
}

async fn ask_for_health(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    host: &str,
) -> io::Result<InstanceReport> {
    let request = format!("GET /health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::with_capacity(ANSWER_BYTES_MAX);
    while answer.len() < ANSWER_BYTES_MAX && !answer.windows(4).any(|end| end == b"\r\n\r\n") {
        if stream.read_buf(&mut answer).await? == 0 {
            break;
        }
    }
    read(&answer)
}

/// Reads the head of an answer, of which the end may be missing.
fn read(answer: &[u8]) -> io::Result<InstanceReport> {
    let first = answer.split(|byte| *byte == b'\r' || *byte == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(first).into_owned();
    if line.split(' ').nth(1) != Some("200") {
        return Err(io::Error::other(format!("GET /health was answered with {line:?}")));
    }
    let mut report = InstanceReport::default();
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    // A head that cannot be read says nothing: the instance is well all the same.
    if response.parse(answer).is_ok() {
        response.headers.iter().for_each(|header| report.read(header.name, header.value));
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_that_is_well_is_so_whatever_else_it_says() {
        let full = b"HTTP/1.1 200 OK\r\nX-Acknowledges: 100-Continue\r\nx-process-age-ms: 21\r\n\
            X-Runtime-Age-Ms: 9\r\nX-Handler-Age-Ms: 0\r\n\r\nok";
        let ms = |ms| Some(Duration::from_millis(ms));
        let said = InstanceReport {
            acknowledges: true,
            process_age: ms(21),
            runtime_age: ms(9),
            handler_age: ms(0),
        };
        assert_eq!(read(full).unwrap(), said);
        for plain in
            ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.0 200\n\n", "HTTP/1.1 200 OK\r\nX-Process-Age-Ms: -1\r\n\r\n"]
        {
            assert_eq!(read(plain.as_bytes()).unwrap(), InstanceReport::default(), "{plain:?}");
        }
        for ill in ["HTTP/1.1 503 Busy\r\n\r\n", "", "200"] {
            assert!(read(ill.as_bytes()).is_err(), "{ill:?}");
        }
    }
}
