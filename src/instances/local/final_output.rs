//! The final output of processes that have ended.

use std::collections::VecDeque;

use tokio::task::AbortHandle;

use crate::clock::Nanos;

/// Longest time to read the final output of a process that has ended. Processes that it left behind
/// may hold its output open for ever (ns).
const FINAL_OUTPUT_WAIT_NS: Nanos = 2_000_000_000;

/// Readers of the final output of processes that have ended.
#[derive(Debug, Default)]
pub struct FinalOutput(VecDeque<(Nanos, AbortHandle)>);

impl FinalOutput {
    /// Adds the readers of a process that has just ended.
    pub fn add(&mut self, followers: Vec<AbortHandle>, now: Nanos) {
        let until = now + FINAL_OUTPUT_WAIT_NS;
        let unread = followers.into_iter().filter(|follower| !follower.is_finished());
        self.0.extend(unread.map(|follower| (until, follower)));
    }

    /// Gives up the readers whose time is over.
    pub fn tidy(&mut self, now: Nanos) {
        while let Some((_, follower)) = self.0.pop_front_if(|(until, _)| *until <= now) {
            // One that has come to its end is none the worse for it.
            follower.abort();
        }
    }
}
