//! This machine as the host of processes of functions.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use super::children::Children;
use super::final_output::FinalOutput;
use super::limits::Limits;
use super::locale::Locale;
use super::running::RunningProcesses;
use super::running_builds::RunningBuilds;
use super::values::LocalValues;
use crate::clock::Clock;
use crate::logs::output::Lines;

/// Period of the check whether cgroups are empty.
const LOOK: Duration = Duration::from_millis(2);
/// Longest wait for killed processes at the end.
const END_PATIENCE: Duration = Duration::from_secs(2);

/// The parts of this machine that every local process needs.
#[derive(Debug)]
pub struct ProcessHost {
    /// Time.
    pub clock: Clock,
    /// File of the program that serves, which `picofaas` in `local.command` stands for; or the reason why it is
    /// not known.
    pub program: Result<PathBuf, String>,
    /// Largest body of an invocation, in bytes; told to each process.
    pub max_body: usize,
    /// Largest output of an invocation, in bytes; told to each process.
    pub max_output: usize,
    /// Locale and time zone; told to each process that has none of its own.
    pub locale: Locale,
    /// The sink of the lines that processes write.
    pub lines: Lines,
    /// Limits of processes.
    pub limits: Limits,
    /// The processes that are our children.
    pub children: Rc<Children>,
    /// The processes of each function.
    pub running: RunningProcesses,
    /// The builds of functions.
    pub builds: Rc<RunningBuilds>,
    /// Values of the references of functions.
    pub values: LocalValues,
    /// Folder of the secrets of functions, which is there where one has some.
    pub secrets: PathBuf,
    /// Readers of the final output of processes that have ended.
    pub final_output: RefCell<FinalOutput>,
}

impl ProcessHost {
    /// Cleans up after processes that have ended; called periodically.
    pub fn tidy(&self) {
        self.limits.tidy();
        self.children.tidy();
        self.final_output.borrow_mut().tidy(self.clock.now());
    }

    /// Ends all that is left of any process, and removes the cgroups.
    pub async fn close(&self) {
        let gone = async {
            loop {
                self.limits.tidy();
                let remains = self.children.end_all();
                if !remains.is_empty() {
                    remains.ended().await;
                } else if self.limits.is_busy() {
                    // A group of version 1 has no event for its last process, and one of version 2 none for
                    // the moment from which it can be removed.
                    tokio::time::sleep(LOOK).await;
                } else {
                    break;
                }
            }
        };
        if tokio::time::timeout(END_PATIENCE, gone).await.is_err() {
            tracing::warn!("not everything that functions started could be ended");
        }
        self.limits.close();
        // There is none where no function had a secret.
        let _ = std::fs::remove_dir_all(&self.secrets);
    }
}

impl Drop for ProcessHost {
    fn drop(&mut self) {
        // An end in haste, which waits for nothing: the groups are killed with the limits, and this is for
        // the rest.
        let _ = self.children.end_all();
    }
}
