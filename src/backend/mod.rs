//! What gives instances: local processes for `WARM` and `JOB`, endpoints for `POOL`.
//!
//! Everything here runs on the control thread.
//!
//! | file | holds |
//! |---|---|
//! | `orders` | the way to the scheduler, which keeps what its ring has no room for |
//! | `fleet` | the instances of one lane: started, watched, replaced, stopped |
//! | `jobs` | the processes of one lane that take one attempt each |
//! | `process` | one local process, from its start until nothing of it is left |
//! | `exit` | how a process ended |
//! | `children` | the processes that are our children, and those left to us |
//! | `limits` | what a local process may use, and by which means |
//! | `cgroup` | the control groups of the kernel |
//! | `rlimit` | the limits that a process inherits |
//! | `output` | what a process writes, as bounded lines |
//! | `probe` | `GET /health` |
//! | `endpoints` | the places of a `POOL` function |

pub mod cgroup;
pub mod children;
pub mod endpoints;
pub mod exit;
pub mod fleet;
pub mod jobs;
pub mod limits;
pub mod orders;
pub mod output;
pub mod probe;
pub mod process;
pub mod rlimit;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

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
    /// What local processes may use.
    pub limits: limits::Limits,
    /// The processes that are our children.
    pub children: Rc<children::Children>,
    /// What is still read of processes that have ended.
    pub last_words: RefCell<output::LastWords>,
    /// Lanes whose fleet has started an instance: only these have idle ones to look for, and lanes
    /// without any cost nothing. Control drops a lane again when it finds its fleet empty.
    pub populated: RefCell<BTreeSet<LaneIndex>>,
}

/// How often it is looked whether everything has ended.
const LOOK: Duration = Duration::from_millis(2);
/// How long what was killed may take to be gone at the end.
const END_PATIENCE: Duration = Duration::from_secs(2);

impl Context {
    /// What is done by the clock for processes that have ended.
    pub fn tidy(&self) {
        self.limits.tidy();
        self.children.tidy();
        self.last_words.borrow_mut().tidy(self.clock.now());
    }

    /// Ends whatever is left of any instance, and removes what was made to hold them.
    pub async fn close(&self) {
        let gone = async {
            loop {
                self.limits.tidy();
                if !self.children.end_all() && !self.limits.is_busy() {
                    break;
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        if tokio::time::timeout(END_PATIENCE, gone).await.is_err() {
            tracing::warn!("not everything that functions started could be ended");
        }
        self.limits.close();
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // An end in haste: the groups are killed with the limits, and this is for the rest.
        self.children.end_all();
    }
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
