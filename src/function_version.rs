//! One version of a function, as every thread sees it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwapOption;

use crate::exit::Exit;
use crate::metrics::MetricsByGateway;
use crate::queue::function_queue::FunctionQueue;
use crate::scheduler::message::VersionIndex;
use crate::spec::FunctionSpec;

/// Where an instance listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

/// How one instance is called.
#[derive(Clone, Debug)]
pub struct Address {
    /// The instance that listens there; a grant for another one is stale.
    pub generation: u32,
    /// Where it listens.
    pub target: Target,
    /// The request line and the `Host` header, ready to be written.
    pub preamble: Box<[u8]>,
}

impl Address {
    /// The address of an instance that is called with `POST path` and this `Host`.
    #[must_use]
    pub fn new(generation: u32, target: Target, host: &str, path: &str) -> Self {
        let preamble = format!("POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n");
        Self { generation, target, preamble: preamble.into_bytes().into_boxed_slice() }
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
    /// What the instance wrote last, which may be of anybody's executions; empty where it wrote nothing.
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

/// One version of a function: its specification and what the threads share of it.
///
/// | field | written by | read by | published by |
/// |---|---|---|---|
/// | `addresses` | control, before it tells the scheduler of the instance | gateways, at a grant | `ArcSwapOption` |
/// | `endings` | control, as soon as it knows | gateways whose connection to an instance was lost | `ArcSwapOption` |
/// | `problem` | control | gateways when they must explain, reads of the function | `ArcSwapOption` |
/// | `metrics` | each gateway its own | scrapes | relaxed counts |
/// | `queue` | see [`FunctionQueue`] | | |
#[derive(Debug)]
pub struct FunctionVersion {
    /// What was asked for.
    pub spec: FunctionSpec,
    /// Identifies this version in `ETag`.
    pub etag: String,
    /// Identifies it in `ETag` where its values are hidden: at random, as what is made of the values would tell
    /// whether a guess at them is right.
    pub hidden_etag: String,
    /// Its index in the scheduler's table of versions.
    pub index: VersionIndex,
    /// Its ring and its credits.
    pub queue: Arc<FunctionQueue>,
    /// By the instance's place.
    pub addresses: Box<[ArcSwapOption<Address>]>,
    /// How the last instance that crashed did, by its place.
    pub endings: Box<[ArcSwapOption<Ending>]>,
    /// What is counted of it, over all versions.
    pub metrics: Arc<MetricsByGateway>,
    /// Why no instance could be started or reached.
    pub problem: Arc<ArcSwapOption<InstanceProblem>>,
}
