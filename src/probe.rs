//! Health probe of an instance, and what the instance says of itself with it.

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use crate::instance::{InstanceReport, Target};

/// Longest wait for an answer.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// Part of the answer that is looked at, in bytes.
const ANSWER_BYTES_MAX: usize = 4096;
/// Has an instance close the connection behind its answer.
const CLOSE: &str = "Connection: close\r\n";
/// Headers of the answer that are looked at.
const HEADERS_MAX: usize = 32;

/// `GET /health` of an instance: what it says of itself, where the answer is 200.
///
/// # Errors
/// If the answer is another one, or there is none.
pub(crate) async fn health(target: &Target) -> io::Result<InstanceReport> {
    in_time(async {
        match target {
            Target::Unix(path) => {
                ask_for_health(&mut UnixStream::connect(path).await?, "localhost", CLOSE).await
            }
            Target::Tcp(address) => {
                let mut stream = TcpStream::connect(address).await?;
                ask_for_health(&mut stream, &address.to_string(), CLOSE).await
            }
        }
        .and_then(|answer| read(&answer))
    })
    .await
}

/// The same of one that listens on a Unix socket, with the connection, where that takes another request. It does not
/// block.
///
/// # Errors
/// If the answer is another one, or there is none.
pub(crate) async fn health_and_connection(
    path: &Path,
) -> io::Result<(InstanceReport, Option<std::os::unix::net::UnixStream>)> {
    in_time(async {
        let mut stream = UnixStream::connect(path).await?;
        let answer = ask_for_health(&mut stream, "localhost", "").await?;
        let report = read(&answer)?;
        let is_kept = match rest_of(&answer) {
            Some(rest) => read_rest(&mut stream, rest).await.is_ok(),
            None => false,
        };
        Ok((report, is_kept.then(|| stream.into_std()).transpose()?))
    })
    .await
}

async fn in_time<T>(ask: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(PROBE_TIMEOUT, ask)
        .await
        .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "GET /health was not answered")))
}

/// Asks with a further header or none. Answers the head of the answer, and so much of the rest as came with it.
async fn ask_for_health(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    host: &str,
    header: &str,
) -> io::Result<Vec<u8>> {
    let request = format!("GET /health HTTP/1.1\r\nHost: {host}\r\n{header}\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::with_capacity(ANSWER_BYTES_MAX);
    while answer.len() < ANSWER_BYTES_MAX && !answer.windows(4).any(|end| end == b"\r\n\r\n") {
        if stream.read_buf(&mut answer).await? == 0 {
            break;
        }
    }
    Ok(answer)
}

/// Bytes that are still to come of an answer after which the connection takes another request; `None` of any other.
fn rest_of(answer: &[u8]) -> Option<usize> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let Ok(httparse::Status::Complete(head)) = response.parse(answer) else { return None };
    let has = |wanted: &str| response.headers.iter().any(|header| header.name.eq_ignore_ascii_case(wanted));
    if response.version != Some(1) || has("connection") || has("transfer-encoding") {
        return None;
    }
    let length = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"))?;
    let length: usize = std::str::from_utf8(length.value).ok()?.parse().ok()?;
    (length <= ANSWER_BYTES_MAX).then(|| length.checked_sub(answer.len() - head)).flatten()
}

async fn read_rest(stream: &mut UnixStream, length: usize) -> io::Result<()> {
    let mut rest = vec![0; length];
    stream.read_exact(&mut rest).await.map(drop)
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
    fn a_connection_is_kept_behind_an_answer_whose_end_is_known_and_that_does_not_say_otherwise() {
        let kept = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
        assert_eq!(rest_of(kept.as_bytes()), Some(5));
        assert_eq!(rest_of(format!("{kept}12345").as_bytes()), Some(0));
        for closed in [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n",
            "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n12345",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n",
        ] {
            assert_eq!(rest_of(closed.as_bytes()), None, "{closed:?}");
        }
    }

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
