//! The order in which executions that wait for an instance are begun, field `queueOrder` of a function.

use serde::Serialize;

/// Which of the executions that wait is next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum QueueOrder {
    /// The one that came first.
    #[default]
    Fifo,
    /// The one that came last, while the first has waited for a quarter of its time; else the first.
    Lifo,
    /// The one whose deadline is the earliest.
    Deadline,
}
