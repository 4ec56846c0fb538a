//! The API server by way of `kubectl proxy`, which has the credentials: one connection for each request.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::bench::server::{free_port, log_file, wait_for_listener};
use crate::cluster::Cluster;
use crate::process::Process;
use crate::wait::{let_pass, monotonic_ns};

/// For the next byte of an answer, and for the next event of a watch.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at something that is waited for: each is a call.
const PAUSE: Duration = Duration::from_millis(100);

pub(super) struct ApiProxy {
    /// Ends with this value.
    _proxy: Process,
    port: u16,
}

/// A request that was written, and not answered yet.
pub(super) struct Sent {
    /// When its first byte was about to be written.
    pub at_ns: i64,
    what: String,
    stream: TcpStream,
}

/// Changes of objects, from those that there were when it was begun.
pub(super) struct Watch {
    what: String,
    reader: BufReader<TcpStream>,
    /// Whether the head of the answer was read, which comes with the first event.
    has_begun: bool,
}

impl ApiProxy {
    pub(super) fn of(cluster: &Cluster, folder: &Path) -> Result<Self> {
        let port = free_port()?;
        let log = log_file(folder, "kubectl-proxy")?;
        let mut kubectl = cluster.kubectl()?;
        kubectl.args(["proxy", "--port", &port.to_string()]).stdout(log.try_clone()?).stderr(log);
        let mut proxy = Process::start("kubectl proxy", &mut kubectl)?;
        wait_for_listener(&mut proxy, port)?;
        Ok(Self { _proxy: proxy, port })
    }

    /// Writes a request. Its body is JSON.
    pub(super) fn send(&self, method: &str, path: &str, body: &str) -> Result<Sent> {
        let what = format!("{method} {path}");
        let mut stream =
            TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).with_context(|| what.clone())?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let kind = if method == "PATCH" { "merge-patch+json" } else { "json" };
        // The older protocol knows no chunks, and closes after the answer.
        let head = format!(
            "{what} HTTP/1.0\r\nHost: localhost\r\nAccept: application/json\r\n\
             Content-Type: application/{kind}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let at_ns = monotonic_ns();
        stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).with_context(|| what.clone())?;
        Ok(Sent { at_ns, what, stream })
    }

    /// Asks, and gives the answer, which must be a success.
    pub(super) fn ask(&self, method: &str, path: &str, body: &str) -> Result<Value> {
        self.send(method, path, body)?.answer()
    }

    pub(super) fn get(&self, path: &str) -> Result<Value> {
        self.ask("GET", path, "")
    }

    /// Asks until the answer is as it should be; nothing where it is not within `patience`.
    pub(super) fn until(
        &self,
        patience: Duration,
        path: &str,
        is_right: impl Fn(&Value) -> bool,
    ) -> Result<Option<Value>> {
        crate::wait::until(patience, || {
            let answer = self.get(path)?;
            if is_right(&answer) {
                return Ok(Some(answer));
            }
            let_pass(PAUSE);
            Ok(None)
        })
    }

    /// Begins a watch. `path` has a query.
    pub(super) fn watch(&self, path: &str) -> Result<Watch> {
        let sent = self.send("GET", &format!("{path}&watch=true"), "")?;
        Ok(Watch { what: sent.what, reader: BufReader::new(sent.stream), has_begun: false })
    }
}

impl Sent {
    /// Waits for the answer, which must be a success.
    pub(super) fn answer(self) -> Result<Value> {
        let mut reader = BufReader::new(self.stream);
        let status = status(&mut reader, &self.what)?;
        let mut body = Vec::new();
        reader.read_to_end(&mut body).with_context(|| self.what.clone())?;
        if !(200..300).contains(&status) {
            bail!("{}: {status} {}", self.what, String::from_utf8_lossy(&body));
        }
        serde_json::from_slice(&body).with_context(|| format!("{}: the answer is not JSON", self.what))
    }
}

impl Watch {
    /// Waits for the first event of which something is made; with when it was read.
    pub(super) fn find<T>(&mut self, made_of: impl Fn(&Value) -> Option<T>) -> Result<(i64, T)> {
        if !self.has_begun {
            let status = status(&mut self.reader, &self.what)?;
            ensure!(status == 200, "{}: {status}", self.what);
            self.has_begun = true;
        }
        loop {
            let mut line = String::new();
            let read = self.reader.read_line(&mut line).with_context(|| self.what.clone())?;
            let at_ns = monotonic_ns();
            ensure!(read > 0, "{}: it has ended", self.what);
            let event: Value = serde_json::from_str(&line).context("the event is not JSON")?;
            if let Some(made) = made_of(&event["object"]) {
                return Ok((at_ns, made));
            }
        }
    }
}

/// Reads the head of an answer.
fn status(reader: &mut BufReader<TcpStream>, what: &str) -> Result<u16> {
    let mut status = None;
    loop {
        let mut line = String::new();
        let read = reader.read_line(&mut line).with_context(|| what.to_owned())?;
        ensure!(read > 0, "{what}: the answer ends within its head");
        if line == "\r\n" {
            return status.with_context(|| format!("{what}: the answer has no status"));
        }
        if status.is_none() {
            status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        }
    }
}
