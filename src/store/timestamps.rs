//! The times at which an execution passed from one verb to the next.

use crate::clock::Nanos;

/// The times at which an execution passed from one verb to the next (ns of the process's clock; 0: not yet).
#[derive(Clone, Copy, Debug, Default)]
pub struct Timestamps {
    /// The request's head was read.
    pub admitted: Nanos,
    /// The ticket was put on its ring.
    pub enqueued: Nanos,
    /// An instance was granted to the last attempt.
    pub granted: Nanos,
    /// There was a connection for the last attempt; 0 also for the process of a `JOB`, which comes to us.
    pub connected: Nanos,
    /// The last attempt's request was written.
    pub written: Nanos,
    /// The first bytes of the last attempt's answer had been read, and the rest was waited for; 0 where it was not.
    pub first_byte: Nanos,
    /// The last attempt's answer was read.
    pub answered: Nanos,
    /// It became terminal.
    pub ended: Nanos,
    /// The reply was built.
    pub replied: Nanos,
}

/// Names of the durations between the timestamps, in the order of the verbs.
pub(crate) const STAGES: [&str; 5] = ["admit", "queue", "dispatch", "function", "reply"];

impl Timestamps {
    /// The duration of each stage (ns). Their sum is the last timestamp less the first: a stage that
    /// was not reached took nothing, and the one before it lasted until the end.
    #[must_use]
    pub fn durations(&self) -> [Nanos; 5] {
        let end = if self.replied > 0 { self.replied } else { self.ended };
        let ended = if self.ended > 0 { self.ended } else { end };
        let mut edges = [self.enqueued, self.granted, self.written, self.answered];
        let mut floor = self.admitted;
        for edge in &mut edges {
            if *edge == 0 {
                *edge = ended;
            }
            *edge = (*edge).max(floor);
            floor = *edge;
        }
        let [enqueued, granted, written, answered] = edges;
        [
            enqueued - self.admitted,
            granted - enqueued,
            written - granted,
            answered - written,
            end.saturating_sub(answered),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stages_add_up_to_the_whole_also_where_some_were_not_reached() {
        let whole = Timestamps {
            admitted: 10,
            enqueued: 15,
            granted: 20,
            written: 30,
            answered: 70,
            ended: 72,
            replied: 80,
            ..Timestamps::default()
        };
        assert_eq!(whole.durations(), [5, 5, 10, 40, 10]);
        let queued_only =
            Timestamps { admitted: 10, enqueued: 15, ended: 72, replied: 80, ..Timestamps::default() };
        assert_eq!(queued_only.durations(), [5, 57, 0, 0, 8]);
        let stale = Timestamps { answered: 25, ..whole };
        assert_eq!(stale.durations().iter().sum::<Nanos>(), 70);
    }
}
