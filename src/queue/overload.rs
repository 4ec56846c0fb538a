//! Calls that a function has lately refused or dropped because more came than it can do: for its condition `Overloaded`.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// Time after the last refusal for which a function counts as overloaded (ns).
const HELD_NS: u64 = 20_000_000_000;
/// Bits of each number of milliseconds in the word.
const MS_BITS: u32 = 31;
const MS_MAX: u64 = (1 << MS_BITS) - 1;

/// Why a call was not begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shortage {
    /// Executions fill the queue, which has so many places.
    QueueFull { places: u64 },
    /// It would have waited for longer than its time.
    LineTooLong { wait_ms: u64, limit_ms: u64 },
    /// Too little of its time was left at its turn.
    TooLate { left_ms: u64, needed_ms: u64 },
    /// No attempt has lately ended within all of its time.
    TooShort { limit_ms: u64 },
}

impl Shortage {
    /// The reason of the condition.
    #[must_use]
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::QueueFull { .. } => "QueueFull",
            Self::LineTooLong { .. } | Self::TooLate { .. } | Self::TooShort { .. } => "DeadlineUnreachable",
        }
    }

    fn pack(self) -> u64 {
        let (kind, one, other) = match self {
            Self::QueueFull { places } => (0, places, 0),
            Self::LineTooLong { wait_ms, limit_ms } => (1, wait_ms, limit_ms),
            Self::TooLate { left_ms, needed_ms } => (2, left_ms, needed_ms),
            Self::TooShort { limit_ms } => (3, limit_ms, 0),
        };
        kind << (2 * MS_BITS) | one.min(MS_MAX) << MS_BITS | other.min(MS_MAX)
    }

    fn unpack(word: u64) -> Self {
        let (one, other) = (word >> MS_BITS & MS_MAX, word & MS_MAX);
        match word >> (2 * MS_BITS) {
            0 => Self::QueueFull { places: one },
            1 => Self::LineTooLong { wait_ms: one, limit_ms: other },
            2 => Self::TooLate { left_ms: one, needed_ms: other },
            _ => Self::TooShort { limit_ms: one },
        }
    }
}

impl fmt::Display for Shortage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::QueueFull { places } => {
                write!(out, "a call was refused: {places} executions waited already (queueSize)")
            }
            Self::LineTooLong { wait_ms, limit_ms } => write!(
                out,
                "a call was refused: it would have waited for about {wait_ms} ms, and it had {limit_ms} ms"
            ),
            Self::TooLate { left_ms, needed_ms } => write!(
                out,
                "a call was not begun: {left_ms} ms of its time were left when its turn came, and the function takes up to {needed_ms} ms"
            ),
            Self::TooShort { limit_ms } => write!(
                out,
                "a call was not begun: it had {limit_ms} ms, and no call of the function had lately ended within that"
            ),
        }
    }
}

/// The shortage that a queue had last. The first one is told until none has come for 20 s, so that it does not change
/// with each call.
///
/// | field | written by | read by | published by |
/// |---|---|---|---|
/// | `last` | gateways | control | relaxed: it is a gauge |
/// | `first` | gateways | control | relaxed: one word, whichever gateway was first |
#[derive(Debug, Default)]
pub struct Overload {
    /// When the last call was not begun (ns); 0: never.
    last: AtomicU64,
    first: AtomicU64,
}

impl Overload {
    /// A gateway: a call was not begun.
    #[cold]
    pub(crate) fn note(&self, shortage: Shortage, now: u64) {
        let before = self.last.swap(now.max(1), Ordering::Relaxed);
        if before == 0 || now.saturating_sub(before) >= HELD_NS {
            self.first.store(shortage.pack(), Ordering::Relaxed);
        }
    }

    /// A gateway: it was refused, as executions fill the queue, which has so many places.
    #[cold]
    pub(crate) fn note_full(&self, places: u64, now: u64) {
        self.note(Shortage::QueueFull { places }, now);
    }

    /// A gateway: it was refused, as it would have waited for longer than its time.
    #[cold]
    pub(crate) fn note_line(&self, wait_ms: u64, limit_ms: u64, now: u64) {
        self.note(Shortage::LineTooLong { wait_ms, limit_ms }, now);
    }

    /// Whether a call was ever not begun, and the shortage for which one was not in the last 20 s.
    #[must_use]
    pub(crate) fn state(&self, now: u64) -> Option<Option<Shortage>> {
        let last = self.last.load(Ordering::Relaxed);
        let lately = last > 0 && now.saturating_sub(last) < HELD_NS;
        (last > 0).then(|| lately.then(|| Shortage::unpack(self.first.load(Ordering::Relaxed))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_shortage_is_told_until_none_has_come_for_twenty_seconds() {
        const S: u64 = 1_000_000_000;
        let overload = Overload::default();
        assert_eq!(overload.state(S), None);
        let late = Shortage::TooLate { left_ms: 4, needed_ms: 7 };
        overload.note(late, S);
        for second in 2..40 {
            overload.note(Shortage::QueueFull { places: second }, second * S);
            assert_eq!(overload.state(second * S), Some(Some(late)));
        }
        assert_eq!(overload.state(58 * S), Some(Some(late)));
        assert_eq!(overload.state(59 * S), Some(None));
        let full = Shortage::QueueFull { places: 100 };
        overload.note(full, 60 * S);
        assert_eq!(overload.state(61 * S), Some(Some(full)));
    }

    #[test]
    fn a_shortage_is_told_with_its_figures() {
        for (shortage, reason, part) in [
            (Shortage::QueueFull { places: 65_536 }, "QueueFull", "65536 executions"),
            (
                Shortage::LineTooLong { wait_ms: 800, limit_ms: 100 },
                "DeadlineUnreachable",
                "about 800 ms, and it had 100 ms",
            ),
            (Shortage::TooLate { left_ms: 0, needed_ms: 7 }, "DeadlineUnreachable", "0 ms of its time"),
            (Shortage::TooShort { limit_ms: 86_400_000 }, "DeadlineUnreachable", "it had 86400000 ms"),
        ] {
            assert_eq!(Shortage::unpack(shortage.pack()), shortage);
            assert_eq!(shortage.reason(), reason);
            assert!(shortage.to_string().contains(part), "{shortage}");
        }
    }
}
