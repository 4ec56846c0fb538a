//! Reasons for which an instance of a `WARM` function is started.

/// Why an instance is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StartReason {
    /// Calls wait, and no instance has room.
    Call,
    /// Fewer run than `replicas.min`, or than the versions before had.
    Min,
    /// Fewer are idle than `headroom`.
    Headroom,
    /// Calls would soon wait (`scaleAhead`).
    Ahead,
}

impl StartReason {
    /// All of them, in the order of their counters.
    pub(crate) const ALL: [StartReason; 4] =
        [StartReason::Call, StartReason::Min, StartReason::Headroom, StartReason::Ahead];

    /// The value of the label `reason`.
    #[must_use]
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            StartReason::Call => "call",
            StartReason::Min => "min",
            StartReason::Headroom => "headroom",
            StartReason::Ahead => "ahead",
        }
    }
}
