//! Connections to a server: TCP, TLS where its URL says so, and HTTP/1.1 over it.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{self, CertificateError, ClientConfig, RootCertStore};

use crate::client_error::ClientError;
use crate::target::HttpTarget;

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
    let config = client_config(target.certificate_authority.as_deref())?;
    let name = ServerName::try_from(url.host.clone()).map_err(|_| ClientError::NoServer {
        server: url.to_string(),
        reason: format!("{:?} is no name that a certificate can have", url.host),
    })?;
    match TlsConnector::from(Arc::new(config)).connect(name, stream).await {
        Ok(stream) => speak_http(&url.to_string(), stream).await,
        Err(error) => Err(tls_error(target, &error)),
    }
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

fn tls_error(target: &HttpTarget, error: &io::Error) -> ClientError {
    let server = target.url.to_string();
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    if let Some(rustls::Error::InvalidCertificate(reason)) = tls {
        return ClientError::Untrusted { server, reason: in_words(reason) };
    }
    let reason = match tls {
        Some(error) => format!("it does not speak TLS as it should: {error}"),
        None => format!("the TLS handshake failed: {error}"),
    };
    ClientError::NoServer { server, reason }
}

/// The usual reasons in words; the others as they are called.
fn in_words(reason: &CertificateError) -> String {
    if matches!(reason, CertificateError::UnknownIssuer) {
        return "nobody who is trusted has signed it".to_owned();
    }
    let reason = reason.to_string();
    if reason.contains("CaUsedAsEndEntity") {
        return "it is an authority's own, which may sign those of servers and not be one (CA:TRUE)"
            .to_owned();
    }
    reason
}

fn client_config(authority: Option<&Path>) -> Result<ClientConfig, ClientError> {
    let roots = match authority {
        Some(path) => roots_of_file(path)?,
        None => roots_of_machine()?,
    };
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| ClientError::Usage(format!("TLS cannot be set up: {error}")))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn roots_of_file(path: &Path) -> Result<RootCertStore, ClientError> {
    let wrong = |why: String| {
        ClientError::Usage(format!("{}: {why}; it must have certificates in PEM", path.display()))
    };
    let bytes = std::fs::read(path).map_err(|source| ClientError::File {
        path: path.to_owned(),
        verb: "read",
        source,
    })?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(wrong("has no certificate".to_owned()));
    }
    Ok(roots)
}

fn roots_of_machine() -> Result<RootCertStore, ClientError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // A certificate that is not understood signs nothing that would be trusted.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let errors: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
        return Err(ClientError::Usage(format!(
            "this machine has no certificates to trust{}{}: install them (ca-certificates), or give \
             --certificate-authority FILE",
            if errors.is_empty() { "" } else { ", " },
            errors.join(", ")
        )));
    }
    Ok(roots)
}
