//! The end of an attempt, as the scheduler is told of it by `gateway::complete`. Whether another follows is decided in
//! `scheduler::tick::retry`.

/// End of an attempt, as far as the scheduler must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptEnd {
    /// The execution has ended with the function's answer.
    Answered,
    /// The execution has ended, as its time was over by the word of the function.
    Late,
    /// The gateway has made the execution terminal for another reason, as that it was cancelled.
    Done,
    /// The attempt failed, as its own time was over by the word of the function; another attempt may mend it.
    TimedOut,
    /// The attempt failed in a way that another attempt may mend.
    Failed,
    /// No byte of the request was written: the instance could not be reached.
    Unsent,
}
