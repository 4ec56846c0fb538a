//! The reason why an attempt was not begun.

/// Why an attempt was not begun. Nothing of it was queued.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// The instance has not said yet what it takes.
    NotOpen,
    /// As many attempts are out as are taken at once, abandoned ones included.
    Full,
    /// The instance takes no more.
    GoingAway,
    /// The connection is over.
    Closed,
    /// All sequences were used: open another connection.
    UsedUp,
    /// The instance takes no web requests here: send it over HTTP/1.1.
    NotTaken,
    /// The fields are too long for a frame: send the attempt over HTTP/1.1.
    TooLong,
}
