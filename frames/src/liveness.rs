//! Whether the other end still lives, by when something came from it.

use crate::settings::Settings;

/// A `PING` as bytes, for an end whose thread cannot come to it. It may be written between two frames once both ends
/// have greeted; its answer means nothing to this end.
pub const SIGN_OF_LIFE: [u8; 20] = [8, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

#[derive(Debug)]
pub(crate) struct Liveness {
    /// When bytes came last, or the first attempt began, whichever is later.
    heard_ns: u64,
    /// When the other end was asked for a sign of life, if nothing came since.
    asked_ns: Option<u64>,
    /// Since when a frame is received in part, or its `HELLO` is waited for.
    begun_ns: Option<u64>,
}

/// The consequence of the silence until now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    Alive,
    Ask,
    Silent,
    HalfFrame,
}

impl Liveness {
    /// Waits for a first frame, without bytes of it.
    pub(crate) const fn new(now_ns: u64) -> Self {
        Self { heard_ns: now_ns, asked_ns: None, begun_ns: Some(now_ns) }
    }

    /// Takes note that bytes came, or that the first attempt began.
    pub(crate) fn heard(&mut self, now_ns: u64) {
        self.heard_ns = now_ns.max(self.heard_ns);
        self.asked_ns = None;
    }

    /// Takes note of what is left when all whole frames were taken: a part of one, and whether it is the same as
    /// before.
    pub(crate) fn left(&mut self, now_ns: u64, has_part: bool, is_same: bool) {
        self.begun_ns = match self.begun_ns {
            Some(begun) if is_same && has_part => Some(begun),
            _ => has_part.then_some(now_ns),
        };
    }

    pub(crate) fn judge(&mut self, now_ns: u64, has_attempts: bool, settings: &Settings) -> Verdict {
        if self.begun_ns.is_some_and(|begun| now_ns >= begun.saturating_add(settings.frame_ns)) {
            return Verdict::HalfFrame;
        }
        match self.asked_ns {
            _ if !has_attempts => Verdict::Alive,
            Some(asked) if now_ns >= asked.saturating_add(settings.dead_after_ns) => Verdict::Silent,
            None if now_ns >= self.heard_ns.saturating_add(settings.ping_after_ns) => {
                self.asked_ns = Some(now_ns);
                Verdict::Ask
            }
            Some(_) | None => Verdict::Alive,
        }
    }

    /// When it is to be judged again; `None` where nothing is waited for.
    pub(crate) fn deadline(&self, has_attempts: bool, settings: &Settings) -> Option<u64> {
        let whole = self.begun_ns.map(|begun| begun.saturating_add(settings.frame_ns));
        let sign = has_attempts.then(|| match self.asked_ns {
            Some(asked) => asked.saturating_add(settings.dead_after_ns),
            None => self.heard_ns.saturating_add(settings.ping_after_ns),
        });
        [whole, sign].into_iter().flatten().min()
    }
}
