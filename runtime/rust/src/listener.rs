//! The socket of an instance, from bind to unlink.

use std::fmt::{self, Display};
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};

use thiserror::Error;
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixSocket, UnixStream};

use crate::limits::BACKLOG_CONNECTIONS_MAX;
use crate::log;
use crate::settings::Address;

/// A connection as it was accepted.
pub(crate) enum AcceptedStream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// An open listener. A Unix socket's file is removed on drop.
pub(crate) enum Listener {
    Tcp { listener: TcpListener, address: SocketAddr },
    Unix { listener: UnixListener, file: SocketFile },
}

/// The error of an instance that cannot listen.
#[derive(Debug, Error)]
pub(crate) enum ListenError {
    #[error("cannot listen on port {port} (PORT): {source}")]
    Tcp { port: u16, source: io::Error },
    #[error("cannot listen on the socket {} (PICOFAAS_SOCKET): {source}", path.display())]
    Unix { path: PathBuf, source: io::Error },
    #[error("PICOFAAS_SOCKET names {}, which is a file but not a socket: it was left alone", .0.display())]
    NotASocket(PathBuf),
    #[error("another process listens on {} (PICOFAAS_SOCKET)", .0.display())]
    InUse(PathBuf),
}

impl Listener {
    /// Binds. Must be called inside the runtime.
    pub(crate) fn bind(address: &Address) -> Result<Self, ListenError> {
        match address {
            Address::Tcp(address) => {
                let failed = |source| ListenError::Tcp { port: address.port(), source };
                let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
                let socket = socket.map_err(failed)?;
                // A restart must not wait for the connections of the last run to be forgotten.
                socket.set_reuseaddr(true).map_err(failed)?;
                socket.bind(*address).map_err(failed)?;
                let listener = socket.listen(BACKLOG_CONNECTIONS_MAX).map_err(failed)?;
                let address = listener.local_addr().map_err(failed)?;
                Ok(Self::Tcp { listener, address })
            }
            Address::Unix(path) => {
                let failed = |source| ListenError::Unix { path: path.clone(), source };
                remove_stale(path)?;
                let socket = UnixSocket::new_stream().map_err(failed)?;
                socket.bind(path).map_err(failed)?;
                let listener = socket.listen(BACKLOG_CONNECTIONS_MAX).map_err(failed)?;
                let file = SocketFile::at(path).map_err(failed)?;
                Ok(Self::Unix { listener, file })
            }
        }
    }

    /// The port that it listens on, if it does on one.
    pub(crate) fn port(&self) -> Option<u16> {
        match self {
            Self::Tcp { address, .. } => Some(address.port()),
            Self::Unix { .. } => None,
        }
    }

    /// Waits for a connection; may be dropped while it waits without losing one.
    pub(crate) async fn accept(&self) -> io::Result<AcceptedStream> {
        match self {
            Self::Tcp { listener, .. } => {
                let (stream, _) = listener.accept().await?;
                // Answers are written whole, so waiting to fill a segment only adds latency.
                stream.set_nodelay(true)?;
                Ok(AcceptedStream::Tcp(stream))
            }
            Self::Unix { listener, .. } => Ok(AcceptedStream::Unix(listener.accept().await?.0)),
        }
    }

    /// A connection that waits already, if there is one.
    pub(crate) async fn accept_waiting(&self) -> Option<AcceptedStream> {
        tokio::select! {
            biased;
            accepted = self.accept() => accepted.ok(),
            () = std::future::ready(()) => None,
        }
    }
}

impl Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { address, .. } => write!(f, "http://{address}"),
            Self::Unix { file, .. } => write!(f, "unix:{}", file.path.display()),
        }
    }
}

/// Removes the socket that a killed predecessor left, and nothing else: not a file of another
/// kind, and not a socket that still answers.
fn remove_stale(path: &Path) -> Result<(), ListenError> {
    let failed = |source| ListenError::Unix { path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(file) if !file.file_type().is_socket() => return Err(ListenError::NotASocket(path.to_owned())),
        Ok(_) => {}
    }
    match StdUnixStream::connect(path) {
        Ok(_) => Err(ListenError::InUse(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(failed)
        }
        Err(error) => Err(failed(error)),
    }
}

/// The file of our Unix socket, known by its inode: a successor may have put its own in
/// the same place, and that one must stay.
pub(crate) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl SocketFile {
    fn at(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), identity: identity(path)? })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|found| found == self.identity)
            && let Err(error) = fs::remove_file(&self.path)
        {
            log::line(&format!("warning cannot remove the socket {}: {error}", self.path.display()));
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let file = fs::symlink_metadata(path)?;
    Ok((file.dev(), file.ino()))
}
