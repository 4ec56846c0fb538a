//! A source of lines that are read for who asks: pods, whose logs a cluster keeps.
//!
//! Lines of other processes are here as soon as they are written. Those of the pods of a `JOB` are read when
//! its attempt has ended, so a reader that comes before that has them fetched.

use std::rc::Rc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;

use super::output::Lines;
use crate::id::ExecutionId;

/// The lines that a reader wants.
#[derive(Clone, Debug)]
pub(crate) struct LogSelector {
    /// The function's name.
    pub function: Rc<str>,
    /// Only those of this execution.
    pub execution: Option<ExecutionId>,
}

/// A pod of one execution.
#[derive(Clone, Debug)]
pub(crate) struct ExecutionPod {
    /// Its name.
    pub name: String,
    /// The name of its function.
    pub function: Rc<str>,
    /// Time since the Unix epoch from which on its lines are of the execution.
    pub since: Duration,
}

/// The outcome of reading a pod's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PodLogRead {
    /// Lines were read, or there are none.
    Read,
    /// None could be read.
    Unread,
}

/// A source of lines that are read on demand.
pub(crate) trait LogSource: std::fmt::Debug {
    /// Reads what running attempts have written until now, as far as that takes no long time.
    fn refresh(self: Rc<Self>, wanted: LogSelector) -> LocalBoxFuture<'static, ()>;

    /// Follows running attempts, and those that begin, until the guard is dropped.
    fn follow(self: Rc<Self>, wanted: LogSelector) -> FollowGuard;

    /// The function of an attempt that has ended, where it is remembered.
    fn function_of(&self, execution: ExecutionId) -> Option<Rc<str>>;

    /// The pods of an execution that are still there, the oldest first; `None` where they cannot be asked for.
    fn pods_of(&self, execution: ExecutionId) -> LocalBoxFuture<'_, Option<Vec<ExecutionPod>>>;

    /// Reads all of the log of a pod of an execution into `lines`.
    fn read_pod<'a>(
        &'a self,
        pod: &'a ExecutionPod,
        execution: ExecutionId,
        lines: &'a Lines,
    ) -> LocalBoxFuture<'a, PodLogRead>;
}

/// A reader's wish to follow lines, until it is dropped.
pub(crate) struct FollowGuard {
    end: Option<Box<dyn FnOnce()>>,
}

impl FollowGuard {
    /// A wish that is withdrawn by `end`.
    #[must_use]
    pub(crate) fn new(end: impl FnOnce() + 'static) -> Self {
        Self { end: Some(Box::new(end)) }
    }
}

impl std::fmt::Debug for FollowGuard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FollowGuard")
    }
}

impl Drop for FollowGuard {
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            end();
        }
    }
}
