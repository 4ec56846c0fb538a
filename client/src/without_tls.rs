//! TLS in a program that was built without it (feature `tls`).

use tokio::net::TcpStream;

use crate::client_error::ClientError;
use crate::target::HttpTarget;

/// Says that there is none.
///
/// # Errors
/// Always.
pub(crate) async fn handshake(target: &HttpTarget, _: TcpStream) -> Result<TcpStream, ClientError> {
    Err(ClientError::Usage(format!(
        "{}: this program was built without TLS; build it with that: cargo build --release",
        target.url
    )))
}
