//! Connections to a server: TCP, TLS where its URL says so, and HTTP/1.1 over it.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client_error::ClientError;
use crate::target::HttpTarget;
use crate::tls;

/// How long name resolution and both handshakes may take: a packet that is lost three times is sent again
/// within it.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);

/// Sends requests over one connection.
pub(crate) type Sender = SendRequest<Full<Bytes>>;

/// Connects. The connection is closed when the runtime ends, or its sender is dropped.
///
/// # Errors
/// Nobody listens there, in time and with a certificate that is trusted.
pub(crate) async fn open(target: &HttpTarget) -> Result<Sender, ClientError> {
    match timeout(CONNECT_TIME_MAX, connect(target)).await {
        Ok(connected) => connected,
        Err(_) => Err(ClientError::NoServer {
            server: target.url.to_string(),
            reason: format!("nothing answered within {} s", CONNECT_TIME_MAX.as_secs()),
        }),
    }
}

async fn connect(target: &HttpTarget) -> Result<Sender, ClientError> {
    let url = &target.url;
    let failed = |error: &io::Error| no_server(target, error);
    let stream = TcpStream::connect((url.host.as_str(), url.port)).await.map_err(|error| failed(&error))?;
    // A request is written at once.
    stream.set_nodelay(true).map_err(|error| failed(&error))?;
    if !url.is_tls {
        return speak_http(&url.to_string(), stream).await;
    }
    speak_http(&url.to_string(), tls::handshake(target, stream).await?).await
}

/// Speaks HTTP/1.1 over a stream.
///
/// # Errors
/// The stream is closed already.
pub(crate) async fn speak_http<S>(server: &str, stream: S) -> Result<Sender, ClientError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let handshaken = handshake(TokioIo::new(stream)).await;
    let (sender, connection) = handshaken
        .map_err(|error| ClientError::NoServer { server: server.to_owned(), reason: error.to_string() })?;
    tokio::spawn(async move {
        // Its failure is told to whoever waits for an answer.
        let _ = connection.await;
    });
    Ok(sender)
}

fn no_server(target: &HttpTarget, error: &io::Error) -> ClientError {
    let is_refused = error.kind() == io::ErrorKind::ConnectionRefused;
    let reason = if is_refused { "nothing listens there".to_owned() } else { error.to_string() };
    ClientError::NoServer { server: target.url.to_string(), reason }
}
