//! Frames: many invocations over one connection (`docs/frames.md`). The protocol itself is in the crate
//! `picofaas-frames`; here are the socket and the invocations.
//!
//! One task has a connection: it reads as much as there is, runs the handlers that can go on, and writes what they
//! have answered together.
//!
//! | file | has |
//! |---|---|
//! | `instance_frames` | the task of a connection |
//! | `framed_invocation` | one invocation on it, which can be stopped |
//! | `framed_web` | a web request on it, and its answer |
//! | `gathered_body` | a body that comes in pieces |
//! | `pulse` | signs of life while a handler holds up the thread |

mod framed_invocation;
mod framed_web;
pub(crate) mod gathered_body;
mod instance_frames;
pub(crate) mod pulse;

use std::os::fd::AsFd;
use std::rc::Rc;

use hyper::header::{CONNECTION, UPGRADE};
use hyper::upgrade::OnUpgrade;
use hyper::{Request, Version};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::drain::Drain;
use crate::flushed_stream::FlushedStream;
use crate::handler::Handler;
use crate::log;
use crate::server::Instance;
use crate::standby::ConnectionKey;

/// Whether a request asks for this protocol. In HTTP/1.0 an `Upgrade` means nothing (RFC 9110, 7.8).
pub(crate) fn is_asked<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    let has = |name, wanted: &str| {
        let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|word| word.trim().eq_ignore_ascii_case(wanted))
    };
    request.version() == Version::HTTP_11
        && has(CONNECTION, "upgrade")
        && has(UPGRADE, picofaas_frames::UPGRADE)
}

/// Serves a connection from its `101` to its end.
pub(crate) async fn serve<S, H, Args>(
    upgrade: OnUpgrade,
    instance: Rc<Instance<H>>,
    key: ConnectionKey,
    drain: Rc<Drain>,
) where
    S: AsyncRead + AsyncWrite + AsFd + Unpin + Send + 'static,
    H: Handler<Args>,
    Args: 'static,
{
    let upgraded = match upgrade.await {
        Ok(upgraded) => upgraded,
        // The caller has left.
        Err(_) => return,
    };
    match upgraded.downcast::<TokioIo<FlushedStream<S>>>() {
        Ok(parts) => {
            let stream = parts.io.into_inner().into_inner();
            instance_frames::serve(stream, parts.read_buf, instance, key, &drain).await;
        }
        Err(_) => log::line("error a connection was upgraded that is none of ours"),
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn only_an_upgrade_to_this_protocol_is_one_among_others_or_alone() {
        for (connection, upgrade, asked) in [
            ("Upgrade", "picofaas-frames/1", true),
            ("keep-alive, upgrade", "websocket, PicoFaaS-frames/1", true),
            ("keep-alive", "picofaas-frames/1", false),
            ("Upgrade", "picofaas-frames/2", false),
            ("Upgrade", "h2c", false),
        ] {
            let mut request = Request::new(());
            request.headers_mut().insert(CONNECTION, HeaderValue::from_static(connection));
            request.headers_mut().insert(UPGRADE, HeaderValue::from_static(upgrade));
            assert_eq!(is_asked(&request), asked, "{connection} {upgrade}");
            *request.version_mut() = Version::HTTP_10;
            assert!(!is_asked(&request), "{connection} {upgrade} in HTTP/1.0");
        }
    }
}
