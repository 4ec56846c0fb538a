//! Where a function or a proxy listens, and one question to it.

use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::bench::wire::Wire;

/// A port of 127.0.0.1 or the path of a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FunctionAddress {
    Tcp(u16),
    Unix(PathBuf),
}

impl FunctionAddress {
    /// Name of a server in a configuration of nginx.
    pub(super) fn of_nginx(&self) -> String {
        match self {
            Self::Tcp(port) => format!("{}:{port}", Ipv4Addr::LOCALHOST),
            Self::Unix(path) => format!("unix:{}", path.display()),
        }
    }

    /// The status and the body of an answer, on a connection of its own.
    pub(super) fn ask(&self, request: &str, body: &str) -> Result<(u16, Vec<u8>)> {
        let headers = "X-Execution-Id: verify\r\n";
        match self {
            Self::Tcp(port) => Wire::connect(*port)?.ask_with(headers, request, body),
            Self::Unix(path) => {
                let place = || format!("cannot connect to {}", path.display());
                let stream = UnixStream::connect(path).with_context(place)?;
                Wire::over_unix(stream)?.ask_with(headers, request, body)
            }
        }
    }

    /// The same of an answer that must have this status and JSON.
    pub(super) fn ask_json(&self, request: &str, body: &str, status: u16) -> Result<Value> {
        let (actual, answer) = self.ask(request, body)?;
        let text = || String::from_utf8_lossy(&answer);
        ensure!(actual == status, "{request}: status {actual}: {}", text());
        serde_json::from_slice(&answer).with_context(|| format!("{request}: not JSON: {:?}", text()))
    }
}
