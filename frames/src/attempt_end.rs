//! Reasons for ending an attempt without an answer.

/// Why the gateway cancels an attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum CancelReason {
    /// Its time is over.
    Deadline = 1,
    /// Its execution was cancelled.
    Cancelled = 2,
    /// Its client left.
    ClientGone = 3,
    /// The control plane ends.
    Shutdown = 4,
}

impl CancelReason {
    /// A reason of a later version is a cancellation.
    pub(crate) const fn of(byte: u8) -> Self {
        match byte {
            1 => Self::Deadline,
            3 => Self::ClientGone,
            4 => Self::Shutdown,
            _ => Self::Cancelled,
        }
    }
}

/// Why the instance lets go of an attempt without an answer, or in the middle of one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum DoneReason {
    /// The gateway cancelled it.
    Cancelled = 1,
    /// It failed: its worker or program ended, or its answer cannot be completed.
    Failed = 2,
    /// Nothing of it has begun: another instance may be asked as if it had never been sent.
    NotBegun = 3,
}

impl DoneReason {
    /// A reason of a later version is a failure.
    pub(crate) const fn of(byte: u8) -> Self {
        match byte {
            1 => Self::Cancelled,
            3 => Self::NotBegun,
            _ => Self::Failed,
        }
    }
}
