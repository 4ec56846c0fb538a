//! An instance as all threads name it: its key, its address, its end, and why there is none.
//!
//! [`VersionIndex`] is here and not beside the version, because a key is made of it and a version has addresses.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use picofaas_frames::UPGRADE;

use crate::clock::Nanos;
use crate::exit::Exit;

/// Index of a version in the scheduler's table; used again once nothing of the version is left.
pub type VersionIndex = u32;

/// One instance of one version. The generation tells its successors in the same place apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstanceKey {
    /// The version it belongs to.
    pub version: VersionIndex,
    /// Its place among the version's instances, below `replicas.max`.
    pub place: u16,
    /// How often the place had been used when the instance was started.
    pub generation: u32,
}

/// Where an instance listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

/// How an instance came to be, with the times of it (ns of the process's clock; 0: not known).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstanceStart {
    /// Its name: the id of its process, that of its pod, or its URL.
    pub name: Box<str>,
    /// It was asked for.
    pub wanted: Nanos,
    /// Its start began.
    pub began: Nanos,
    /// It was known to serve.
    pub ready: Nanos,
}

/// Account that an instance which is ready gives of itself, in headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InstanceReport {
    /// It says by `100 Continue` that its handler is about to run.
    pub acknowledges: bool,
    /// How long ago its process was started.
    pub process_age: Option<Duration>,
    /// How long ago its runtime began.
    pub runtime_age: Option<Duration>,
    /// How long ago its handler was loaded.
    pub handler_age: Option<Duration>,
}

impl InstanceReport {
    /// Takes over what a header says.
    pub fn read(&mut self, name: &str, value: &[u8]) {
        let text = || std::str::from_utf8(value).ok().map(str::trim);
        let age = || Some(Duration::from_millis(text()?.parse().ok()?));
        if name.eq_ignore_ascii_case("x-acknowledges") {
            self.acknowledges = text().is_some_and(|text| text.eq_ignore_ascii_case("100-continue"));
        } else if name.eq_ignore_ascii_case("x-process-age-ms") {
            self.process_age = age();
        } else if name.eq_ignore_ascii_case("x-runtime-age-ms") {
            self.runtime_age = age();
        } else if name.eq_ignore_ascii_case("x-handler-age-ms") {
            self.handler_age = age();
        }
    }
}

/// How one instance is called.
#[derive(Clone, Debug)]
pub struct Address {
    /// The instance that listens there; a grant for another one is stale.
    pub generation: u32,
    /// How it came to be.
    pub start: Arc<InstanceStart>,
    /// Where it listens.
    pub target: Target,
    /// The request line and the `Host` header, ready to be written.
    pub preamble: Box<[u8]>,
    /// The request that asks it whether it speaks frames.
    pub opening: Box<[u8]>,
    /// It says by `100 Continue` that its handler is about to run; only a single-use instance is asked to.
    pub acknowledges: bool,
}

impl Address {
    /// The address of an instance that is called with `POST path` and this `Host`.
    #[must_use]
    pub fn new(generation: u32, start: InstanceStart, target: Target, host: &str, path: &str) -> Self {
        let preamble = format!("POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n");
        let opening = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: {UPGRADE}\r\n\r\n"
        );
        Self {
            generation,
            start: Arc::new(start),
            target,
            preamble: preamble.into_bytes().into_boxed_slice(),
            opening: opening.into_bytes().into_boxed_slice(),
            acknowledges: false,
        }
    }

    /// The address of an instance that takes one invocation, and acknowledges it or does not.
    #[must_use]
    pub fn single_use(
        generation: u32,
        start: InstanceStart,
        target: Target,
        host: &str,
        acknowledges: bool,
    ) -> Self {
        let address = Self::new(generation, start, target, host, "/invoke");
        let mut preamble = address.preamble.into_vec();
        preamble.extend_from_slice(b"Connection: close\r\n");
        if acknowledges {
            preamble.extend_from_slice(b"Expect: 100-continue\r\n");
        }
        Self { preamble: preamble.into_boxed_slice(), acknowledges, ..address }
    }
}

/// How an instance ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// The instance.
    pub generation: u32,
    /// How its process ended, by itself and not because it was told to.
    pub exit: Exit,
}

/// Why no instance could be started or reached, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceProblem {
    /// In our words, or those of the machine or the cluster.
    pub reason: String,
    /// Last output of the instance, which may be of anybody's executions; empty where it wrote nothing.
    pub last_lines: Option<String>,
}

impl InstanceProblem {
    /// One without lines.
    #[must_use]
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), last_lines: None }
    }

    /// With its lines, or without them for those who may not read the lines of the function.
    #[must_use]
    pub fn told(&self, with_lines: bool) -> String {
        match self.last_lines.as_deref() {
            None => self.reason.clone(),
            Some("") => format!("{}, and wrote nothing", self.reason),
            Some(lines) if with_lines => format!("{}; it wrote: {lines}", self.reason),
            Some(_) => format!("{}; what it wrote is told on the management listener", self.reason),
        }
    }
}

impl std::fmt::Display for InstanceProblem {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.told(true))
    }
}
