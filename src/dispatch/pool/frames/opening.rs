//! The request that asks an instance whether it speaks frames.

use std::io::{self, IoSlice};
use std::time::Duration;

use bytes::BytesMut;
use httparse::{Response, Status};
use picofaas_frames::UPGRADE;

use super::offer::OfferEnd;
use crate::dispatch::pool::connection::RESPONSE_HEAD_BYTES_MAX;
use crate::dispatch::pool::instance_stream::InstanceStream;
use crate::instance::Address;

/// Time for the connection and for the head of the answer, together.
const OPENING_TIMEOUT: Duration = Duration::from_secs(2);
/// Bytes that are read at once at least, here and later: a batch of small answers.
pub(super) const READ_BYTES_MIN: usize = 32 * 1024;
/// Headers of the answer.
const HEADERS_MAX: usize = 64;

/// A connection on which both ends are going to speak frames.
#[derive(Debug)]
pub(crate) struct OpenedStream {
    pub(super) stream: InstanceStream,
    /// Bytes that have come behind the `101`.
    pub(super) input: BytesMut,
}

/// Connects to an instance and asks it.
///
/// # Errors
/// It does not speak frames, or it could not be asked.
pub(crate) async fn open(address: &Address) -> Result<OpenedStream, OfferEnd> {
    match tokio::time::timeout(OPENING_TIMEOUT, ask(address)).await {
        Ok(Ok(Some(opened))) => Ok(opened),
        Ok(Ok(None)) => Err(OfferEnd::Declined),
        Ok(Err(_)) | Err(_) => Err(OfferEnd::Lost),
    }
}

/// `None` where the answer is another one than the `101`. The stream is closed then: a server that serves one
/// connection at a time is free for the attempts.
async fn ask(address: &Address) -> io::Result<Option<OpenedStream>> {
    let mut stream = InstanceStream::connect(&address.target).await?;
    let mut rest = &address.opening[..];
    while !rest.is_empty() {
        match stream.try_write_vectored(&[IoSlice::new(rest)]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => rest = &rest[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.writable().await?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let mut input = BytesMut::with_capacity(READ_BYTES_MIN);
    loop {
        match accepted(&input) {
            Some(Some(length)) => {
                let _ = input.split_to(length);
                return Ok(Some(OpenedStream { stream, input }));
            }
            Some(None) => return Ok(None),
            None if input.len() >= RESPONSE_HEAD_BYTES_MAX => return Ok(None),
            None => {}
        }
        input.reserve(READ_BYTES_MIN);
        if stream.read_buf(&mut input).await? == 0 {
            // One that closes at this request would do so each time.
            return if input.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(None) };
        }
    }
}

/// The length of a head that accepts, or `Some(None)` where it does not; `None` while it is not whole.
fn accepted(bytes: &[u8]) -> Option<Option<usize>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = Response::new(&mut headers);
    let length = match response.parse(bytes) {
        Ok(Status::Partial) => return None,
        Ok(Status::Complete(length)) => length,
        Err(_) => return Some(None),
    };
    let is_ours = |header: &httparse::Header<'_>| {
        header.name.eq_ignore_ascii_case("upgrade")
            && header.value.trim_ascii().eq_ignore_ascii_case(UPGRADE.as_bytes())
    };
    Some((response.code == Some(101) && response.headers.iter().any(is_ours)).then_some(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_101_to_this_protocol_accepts_and_a_part_of_a_head_does_not_yet() {
        let head =
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: picofaas-frames/1\r\n\r\n";
        assert_eq!(accepted(format!("{head}more").as_bytes()), Some(Some(head.len())));
        for length in 0..head.len() {
            assert_eq!(accepted(&head.as_bytes()[..length]), None, "{length} bytes");
        }
        for other in [
            "HTTP/1.1 200 OK\r\nUpgrade: picofaas-frames/1\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\n\r\n",
            "HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n",
            "SSH-2.0-OpenSSH_9.2\r\n",
        ] {
            assert_eq!(accepted(other.as_bytes()), Some(None), "{other}");
        }
    }
}
