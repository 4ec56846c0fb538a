//! An instance as all threads name it: its key, its address, its end, and why there is none.
//!
//! [`VersionIndex`] is here and not beside the version, because a key is made of it and a version has addresses.

use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use picofaas_frames::UPGRADE;

use crate::change_signal::ChangeSignal;
use crate::clock::Nanos;
use crate::cold_phases::ColdPhases;
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

/// How an instance came to be, with the times of it (ns of the process's clock; 0: not known). Those that it tells of
/// itself are by its own clock, and are counted back from when it told them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstanceStart {
    /// Its name: the id of its process, that of its pod, or its URL.
    pub name: Box<str>,
    /// It was asked for.
    pub wanted: Nanos,
    /// Its start began.
    pub began: Nanos,
    /// Its process was there, or the API server had taken it.
    pub created: Nanos,
    /// Its pod was seen to be bound to a node.
    pub scheduled: Nanos,
    /// The process of its container began, as it told.
    pub container: Nanos,
    /// Its runtime began, as it told.
    pub runtime: Nanos,
    /// Its handler was loaded, as it told.
    pub handler: Nanos,
    /// It was known to serve.
    pub ready: Nanos,
}

impl InstanceStart {
    /// The parts of it that an execution waited for, which was enqueued and granted at these times.
    #[must_use]
    pub(crate) fn cold_phases(&self, enqueued: Nanos, granted: Nanos) -> Option<ColdPhases> {
        let Self { name: _, wanted, began: _, created, scheduled, container, runtime, handler, ready } =
            *self;
        ColdPhases::of([wanted, created, scheduled, container, runtime, handler, ready], enqueued, granted)
    }

    /// It with what the instance told of itself at this time.
    #[must_use]
    pub(crate) fn with_report(self, report: &InstanceReport, told: Nanos) -> Self {
        // One that is older than our clock is not unknown.
        let since =
            |age: Duration| told.saturating_sub(u64::try_from(age.as_nanos()).unwrap_or(u64::MAX)).max(1);
        Self {
            container: report.process_age.map_or(0, since),
            runtime: report.runtime_age.map_or(0, since),
            handler: report.handler_age.map_or(0, since),
            ..self
        }
    }
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
    /// The path that stands before the target of a web request.
    pub web_prefix: Box<str>,
    /// See [`ClientConnections`].
    pub(crate) web_connections: Arc<ClientConnections>,
    /// A connection to it that is open already; only of a single-use instance.
    pub ahead: Option<Arc<ConnectionAhead>>,
}

/// Connections of clients that are an instance's own, as that of a WebSocket, on all gateways. One that has some is not
/// stopped as an idle one.
#[derive(Debug, Default)]
pub(crate) struct ClientConnections {
    count: AtomicU32,
    is_closing: AtomicBool,
    changed: ChangeSignal,
}

impl ClientConnections {
    /// Counts one more.
    pub(crate) fn enter(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts one less.
    pub(crate) fn leave(&self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether there are some.
    #[must_use]
    pub(crate) fn are_some(&self) -> bool {
        self.count.load(Ordering::Relaxed) > 0
    }

    /// Has all of them close: the instance goes away.
    pub(crate) fn close(&self) {
        self.is_closing.store(true, Ordering::Release);
        self.changed.notify();
    }

    /// Whether they are to close.
    #[must_use]
    pub(crate) fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::Acquire)
    }

    /// Returns when they are to close.
    pub(crate) async fn closing(&self) {
        self.changed.until(|| self.is_closing()).await;
    }
}

/// A connection that was opened ahead of the one request that it is for. It does not block.
#[derive(Debug)]
pub struct ConnectionAhead(ArcSwapOption<UnixStream>);

impl ConnectionAhead {
    /// Keeps it until it is taken.
    #[must_use]
    pub(crate) fn new(stream: UnixStream) -> Arc<Self> {
        Arc::new(Self(ArcSwapOption::from_pointee(stream)))
    }

    /// The connection, the first time.
    #[must_use]
    pub(crate) fn take(&self) -> Option<UnixStream> {
        Arc::into_inner(self.0.swap(None)?)
    }
}

/// Path at which an instance is called where nothing says another.
const INVOKE: &str = "/invoke";
/// Path below which an instance of ours gets web requests.
const WEB: &str = "/web";

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
            web_prefix: WEB.into(),
            web_connections: Arc::default(),
            ahead: None,
        }
    }

    /// The address with web requests below the path of an endpoint, which is that of its URL unless that is the one for
    /// calls.
    #[must_use]
    pub fn of_endpoint(self, path: &str) -> Self {
        let path = path.split('?').next().unwrap_or_default();
        let prefix = if path == INVOKE { "" } else { path.trim_end_matches('/') };
        Self { web_prefix: prefix.into(), ..self }
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
        let address = Self::new(generation, start, target, host, INVOKE);
        let mut preamble = address.preamble.into_vec();
        // One that acknowledges is a standby, which leaves the end to us: an answer that is followed by the end of its
        // process may be read only behind that, on the same core.
        preamble.extend_from_slice(if acknowledges {
            b"Expect: 100-continue\r\n"
        } else {
            b"Connection: close\r\n"
        });
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cold_phases::COLD_PHASES;

    #[test]
    fn ages_are_counted_back_from_when_they_were_told_and_what_is_not_told_is_not_known() {
        let ns = |ns| Some(Duration::from_nanos(ns));
        let report =
            InstanceReport { process_age: ns(600), handler_age: ns(9999), ..InstanceReport::default() };
        let start = InstanceStart::default().with_report(&report, 1900);
        assert_eq!((start.container, start.runtime, start.handler), (1300, 0, 1));
        let silent = start.with_report(&InstanceReport::default(), 1900);
        assert_eq!(silent, InstanceStart::default());
    }

    #[test]
    fn the_times_of_a_start_are_those_of_its_phases_by_their_names() {
        let start = InstanceStart {
            name: "fn-a".into(),
            wanted: 1,
            began: 9,
            created: 3,
            scheduled: 6,
            container: 10,
            runtime: 15,
            handler: 21,
            ready: 28,
        };
        let phases = start.cold_phases(0, 30);
        let told: Vec<_> =
            phases.iter().flat_map(ColdPhases::known).map(|(at, ns)| (COLD_PHASES[at], ns)).collect();
        let of_control = [("asked", 1), ("created", 2), ("scheduled", 3)];
        let of_itself = [("container", 4), ("runtime", 5), ("handler", 6), ("announced", 7)];
        assert_eq!(told, [&of_control[..], &of_itself].concat());
    }
}
