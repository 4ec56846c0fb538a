//! Bodies of one attempt, both ways, and their windows.

use bytes::Bytes;

use crate::attempt_end::DoneReason;
use crate::violation::Violation;

/// The thing that is sent behind the last piece of a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LastWord {
    /// Its end.
    End,
    /// A word that it breaks off.
    Done(DoneReason),
}

/// The body that goes out and the one that comes in.
#[derive(Debug)]
pub(crate) struct Flow {
    /// Body that goes out as `DATA`, of which nothing was queued yet. Empty where there is none.
    rest: Bytes,
    /// The word that is sent behind it; `None` where more is to be handed over, or the end was queued.
    last: Option<LastWord>,
    /// Bytes that the other end takes of it.
    window: u32,
    incoming: Incoming,
    /// Whether it is in the line of those with something to send.
    pub(crate) is_in_line: bool,
}

#[derive(Debug)]
struct Incoming {
    /// Whether `DATA` may come: after a `HEAD` without the end, and before the end.
    is_open: bool,
    /// Bytes of it that are still to come, where that is known.
    missing: Option<u64>,
    /// Bytes that the other end may send.
    allowed: u32,
    /// Bytes that the caller has consumed and that the other end was not allowed again.
    owed: u32,
    /// Bytes that may be on their way or not yet consumed.
    window: u32,
}

impl Flow {
    /// `window` is the other end's, `own_window` this end's.
    pub(crate) const fn new(window: u32, own_window: u32) -> Self {
        let incoming =
            Incoming { is_open: false, missing: None, allowed: own_window, owed: 0, window: own_window };
        Self { rest: Bytes::new(), last: None, window, incoming, is_in_line: false }
    }

    /// Expects `DATA`, of so many bytes together where that is known.
    pub(crate) const fn expect(&mut self, body_bytes: Option<u64>) {
        self.incoming.is_open = true;
        self.incoming.missing = body_bytes;
    }

    /// Takes note of a piece of the body that came.
    pub(crate) fn received(&mut self, bytes: usize, ends: bool) -> Result<(), Violation> {
        let incoming = &mut self.incoming;
        if !incoming.is_open {
            return Err(Violation::DataAfterEnd);
        }
        if bytes == 0 && !ends {
            return Err(Violation::Malformed);
        }
        let bytes = u32::try_from(bytes).map_err(|_| Violation::FrameTooLong)?;
        incoming.allowed = incoming.allowed.checked_sub(bytes).ok_or(Violation::Window)?;
        if let Some(missing) = &mut incoming.missing {
            *missing = missing.checked_sub(u64::from(bytes)).ok_or(Violation::BodyLength)?;
            if ends && *missing > 0 {
                return Err(Violation::BodyLength);
            }
        }
        incoming.is_open = !ends;
        Ok(())
    }

    /// Takes note that the caller has consumed bytes that came.
    pub(crate) fn consumed(&mut self, bytes: usize) {
        let incoming = &mut self.incoming;
        let held = incoming.window - incoming.allowed;
        incoming.owed = u32::try_from(bytes).unwrap_or(u32::MAX).saturating_add(incoming.owed).min(held);
    }

    /// Bytes that the other end is to be allowed again, as soon as they are half of its window.
    pub(crate) const fn owes(&self) -> bool {
        self.incoming.is_open && self.incoming.owed >= self.incoming.window / 2
    }

    /// Allows what it owes.
    pub(crate) const fn give(&mut self) -> u32 {
        let owed = self.incoming.owed;
        self.incoming.allowed += owed;
        self.incoming.owed = 0;
        owed
    }

    /// Has a whole body sent.
    pub(crate) fn send(&mut self, body: Bytes) {
        self.hand_over(body, Some(LastWord::End));
    }

    /// Has a piece sent whose earlier ones are queued, and what is behind it.
    pub(crate) fn hand_over(&mut self, piece: Bytes, last: Option<LastWord>) {
        debug_assert!(self.is_sent(), "a piece was handed over before the one before it was queued");
        self.rest = piece;
        self.last = last;
    }

    /// Drops what was not queued.
    pub(crate) fn stop_sending(&mut self) {
        self.rest = Bytes::new();
        self.last = None;
    }

    /// Whether all that was handed over is queued.
    pub(crate) const fn is_sent(&self) -> bool {
        self.rest.is_empty() && self.last.is_none()
    }

    /// Whether there is a piece that may be sent, or a last word, which needs no window.
    pub(crate) const fn has_piece(&self) -> bool {
        if self.rest.is_empty() { self.last.is_some() } else { self.window > 0 }
    }

    /// The next piece of at most `bytes_max`, and the last word where nothing is before that any more.
    pub(crate) fn piece(&mut self, bytes_max: usize) -> (Bytes, Option<LastWord>) {
        let bytes = self.rest.len().min(bytes_max).min(self.window as usize);
        self.window -= u32::try_from(bytes).unwrap_or(self.window);
        let piece = self.rest.split_to(bytes);
        (piece, if self.rest.is_empty() { self.last.take() } else { None })
    }

    /// Lets more be sent. A window never has more bytes than fit its 32 bits.
    pub(crate) fn widen(&mut self, bytes: u32) -> Result<(), Violation> {
        self.window = self.window.checked_add(bytes).ok_or(Violation::Window)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_stays_within_the_window_and_what_was_consumed_widens_it() {
        let mut flow = Flow::new(0, 100);
        assert_eq!(flow.received(1, false), Err(Violation::DataAfterEnd));
        flow.expect(None);
        assert_eq!(flow.received(60, false), Ok(()));
        flow.consumed(49);
        assert!(!flow.owes());
        flow.consumed(1000);
        assert!(flow.owes());
        assert_eq!(flow.give(), 60, "no more than came");
        assert_eq!(flow.received(100, false), Ok(()));
        assert_eq!(flow.received(1, false), Err(Violation::Window));
        assert_eq!(flow.received(0, false), Err(Violation::Malformed));
        assert_eq!(flow.received(0, true), Ok(()));
        assert_eq!(flow.received(0, true), Err(Violation::DataAfterEnd));
    }

    #[test]
    fn a_body_has_the_length_that_was_declared() {
        for (pieces, result) in [
            (vec![(5, false), (5, true)], Ok(())),
            (vec![(10, false), (0, true)], Ok(())),
            (vec![(9, true)], Err(Violation::BodyLength)),
            (vec![(5, false), (6, false)], Err(Violation::BodyLength)),
        ] {
            let mut flow = Flow::new(0, 100);
            flow.expect(Some(10));
            assert_eq!(pieces.into_iter().try_for_each(|(bytes, ends)| flow.received(bytes, ends)), result);
        }
    }

    #[test]
    fn pieces_are_no_longer_than_the_window_and_none_are_sent_after_a_stop() {
        let mut flow = Flow::new(7, 0);
        flow.send(Bytes::from_static(b"0123456789"));
        assert_eq!(flow.piece(5), (Bytes::from_static(b"01234"), None));
        assert_eq!(flow.piece(5), (Bytes::from_static(b"56"), None));
        assert!(!flow.has_piece());
        assert_eq!(flow.widen(u32::MAX), Ok(()));
        assert_eq!(flow.widen(1), Err(Violation::Window));
        assert_eq!(flow.piece(2), (Bytes::from_static(b"78"), None));
        assert!(flow.has_piece());
        flow.stop_sending();
        assert!(!flow.has_piece() && flow.is_sent());
    }

    #[test]
    fn a_last_word_comes_behind_all_pieces_and_needs_no_window() {
        for last in [LastWord::End, LastWord::Done(DoneReason::Failed)] {
            let mut flow = Flow::new(3, 0);
            flow.hand_over(Bytes::from_static(b"ab"), None);
            assert_eq!(flow.piece(9), (Bytes::from_static(b"ab"), None));
            assert!(flow.is_sent() && !flow.has_piece(), "more is to be handed over");
            flow.hand_over(Bytes::from_static(b"cd"), Some(last));
            assert_eq!(flow.piece(9), (Bytes::from_static(b"c"), None));
            assert!(!flow.is_sent() && !flow.has_piece(), "the window is used up");
            assert_eq!(flow.widen(1), Ok(()));
            assert_eq!(flow.piece(9), (Bytes::from_static(b"d"), Some(last)));
            assert!(flow.is_sent() && !flow.has_piece());
            flow.hand_over(Bytes::new(), Some(last));
            assert!(flow.has_piece());
            assert_eq!(flow.piece(9), (Bytes::new(), Some(last)));
        }
    }
}
