//! Breaches of the protocol, each of which ends the connection.

use std::fmt;

/// A breach by the other end. Its number is the code of the `GOAWAY` that answers it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u16)]
pub enum Violation {
    /// A payload over the limit.
    FrameTooLong = 1,
    /// A kind that is not known and may not be skipped.
    UnknownKind = 2,
    /// A kind that only the other end sends, or one at a time when it may not be sent.
    Misplaced = 3,
    /// A payload that is not what its kind has.
    Malformed = 4,
    /// A `HELLO` without a version, or with limits that are too small.
    BadHello = 5,
    /// A sequence that was never sent, or a request whose sequence is not the next one.
    UnknownSequence = 6,
    /// A second answer, or anything after the end of the first.
    AnsweredTwice = 7,
    /// `DATA` after the end of its body.
    DataAfterEnd = 8,
    /// More `DATA` than the window has, or a window above its greatest size.
    Window = 9,
    /// A body of another length than its `HEAD` says.
    BodyLength = 10,
    /// More attempts than this end takes at once.
    TooManyAttempts = 11,
}

impl Violation {
    /// The code on the wire.
    #[must_use]
    pub const fn code(self) -> u16 {
        self as u16
    }

    /// A text for logs, also that of the `GOAWAY`.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::FrameTooLong => "a frame is too long",
            Self::UnknownKind => "a frame has an unknown kind",
            Self::Misplaced => "a frame came from the wrong end or at the wrong time",
            Self::Malformed => "a frame is malformed",
            Self::BadHello => "HELLO has no version or limits that are too small",
            Self::UnknownSequence => "a sequence was never sent or is not the next one",
            Self::AnsweredTwice => "an attempt was answered twice",
            Self::DataAfterEnd => "DATA came after the end of its body",
            Self::Window => "a window was exceeded or overflowed",
            Self::BodyLength => "a body has another length than its HEAD says",
            Self::TooManyAttempts => "more attempts came than are taken at once",
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.text())
    }
}

impl std::error::Error for Violation {}
