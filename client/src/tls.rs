//! TLS with a server, whose certificate is trusted by this machine or by a file.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{self, CertificateError, ClientConfig, RootCertStore};

use crate::client_error::ClientError;
use crate::target::HttpTarget;

/// Begins TLS over a stream.
///
/// # Errors
/// The server does not speak it, or its certificate is not trusted.
pub(crate) async fn handshake(
    target: &HttpTarget,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, ClientError> {
    let url = &target.url;
    let config = client_config(target.certificate_authority.as_deref())?;
    let name = ServerName::try_from(url.host.clone()).map_err(|_| ClientError::NoServer {
        server: url.to_string(),
        reason: format!("{:?} is no name that a certificate can have", url.host),
    })?;
    let connected = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    connected.map_err(|error| tls_error(target, &error))
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
