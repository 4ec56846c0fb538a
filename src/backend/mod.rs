//! What gives instances: local processes for `WARM` and `JOB`, endpoints for `POOL`.
//!
//! Everything here runs on the control thread.
//!
//! | file | holds |
//! |---|---|
//! | `orders` | the way to the scheduler, which keeps what its ring has no room for |
//! | `fleet` | the instances of one lane: started, watched, replaced, stopped |
//! | `jobs` | the processes of one lane that take one attempt each |
//! | `process` | one local process |
//! | `output` | what a process writes, as bounded lines |
//! | `probe` | `GET /health` |
//! | `endpoints` | the places of a `POOL` function |

pub mod endpoints;
pub mod fleet;
pub mod jobs;
pub mod orders;
pub mod output;
pub mod probe;
pub mod process;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use crate::clock::Clock;
use crate::config::Settings;
use crate::hot::message::LaneIndex;

/// What every backend needs.
#[derive(Debug)]
pub struct Context {
    /// The way to the scheduler.
    pub orders: orders::Orders,
    /// Time.
    pub clock: Clock,
    /// The settings of the process.
    pub settings: Arc<Settings>,
    /// Where the sockets of instances live.
    pub sockets: PathBuf,
    /// Where processes of `JOB` functions reach the runtime listener.
    pub runtime_url: String,
    /// What the lines that functions write are told.
    pub lines: output::Lines,
    /// Lanes whose fleet has started an instance: only these have idle ones to look for, and lanes
    /// without any cost nothing. Control drops a lane again when it finds its fleet empty.
    pub populated: RefCell<BTreeSet<LaneIndex>>,
}

/// The instances of one lane.
#[derive(Debug, Clone)]
pub enum Backend {
    /// Local processes.
    Fleet(Rc<fleet::Fleet>),
    /// A local process for each attempt.
    Jobs(Rc<jobs::Jobs>),
    /// Something that already runs.
    Endpoints(Rc<endpoints::Endpoints>),
}
