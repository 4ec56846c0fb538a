//! The end of an attempt, as the scheduler is told of it by `gateway::complete`. Whether another follows is decided in
//! `scheduler::tick::retry`.

/// End of an attempt, as far as the scheduler must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptEnd {
    /// The gateway has made the execution terminal.
    Done,
    /// The attempt failed in a way that another attempt may mend.
    Failed,
    /// No byte of the request was written: the instance could not be reached.
    Unsent,
}
