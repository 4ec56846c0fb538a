//! Calls of control planes to the API server, for `cargo xtask verify cluster` to compare with their Role.

use std::fs::OpenOptions;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::server::Server;

/// Names the file that is added to, where somebody wants to know.
const FILE: &str = "PICOFAAS_TEST_CALLS";
/// The calls by verb and resource, as a control plane's metrics have them.
const FAMILY: &str = "picofaas_kube_request_seconds_count{";
/// A process that was stopped does not answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Adds a control plane's calls to the file.
pub(crate) fn note(server: &Server) {
    let Some(file) = std::env::var_os(FILE) else { return };
    // One that has ended by itself has none to tell. What is missing then is found by the comparison: it
    // can only make a right look unused.
    let Ok(scrape) = scrape(server) else { return };
    let lines: String =
        scrape.lines().filter(|line| line.starts_with(FAMILY)).map(|line| format!("{line}\n")).collect();
    OpenOptions::new().append(true).create(true).open(file).unwrap().write_all(lines.as_bytes()).unwrap();
}

/// By hand and without a panic, because it is done while a test that failed unwinds as well.
fn scrape(server: &Server) -> io::Result<String> {
    let mut stream = TcpStream::connect(server.management)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
