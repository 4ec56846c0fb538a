//! Health probe of an instance.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use crate::instance::Target;

/// Longest wait for an answer.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// Part of the answer that is looked at, in bytes.
const ANSWER_BYTES_MAX: usize = 512;

/// `GET /health` of an instance: fine where the answer is 200.
///
/// # Errors
/// If the answer is another one, or there is none.
pub(crate) async fn health(target: &Target) -> io::Result<()> {
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

async fn ask_for_health(mut stream: impl AsyncRead + AsyncWrite + Unpin, host: &str) -> io::Result<()> {
    let request = format!("GET /health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::with_capacity(ANSWER_BYTES_MAX);
    while answer.len() < ANSWER_BYTES_MAX && !answer.contains(&b'\n') {
        if stream.read_buf(&mut answer).await? == 0 {
            break;
        }
    }
    let first = answer.split(|byte| *byte == b'\r' || *byte == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(first).into_owned();
    match line.split(' ').nth(1) {
        Some("200") => Ok(()),
        _ => Err(io::Error::other(format!("GET /health was answered with {line:?}"))),
    }
}
