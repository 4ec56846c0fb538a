//! Limits and times of one end.

/// Nanoseconds in a millisecond.
const NANOS_PER_MS: u64 = 1_000_000;

/// Limits of one end, and how long it waits. Times are of the clock that the caller gives with every call.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Attempts at once: of an instance those that it takes, of a gateway the most that it begins, whatever the
    /// instance takes. State of this size is held at most.
    pub attempts_max: u32,
    /// Bytes of `DATA` that this end takes before its caller has consumed some, for each attempt; at least 16 KiB.
    pub window_bytes: u32,
    /// Whether this end takes web requests: of an instance. They come as attempts whose fields have a
    /// [`WebHead`](crate::WebHead).
    pub takes_web: bool,
    /// Silence, while attempts are out, after which the other end is asked for a sign of life.
    pub ping_after_ns: u64,
    /// Further silence after which the other end is taken for dead.
    pub dead_after_ns: u64,
    /// How long a frame may be half received, and how long the other end's `HELLO` may take.
    pub frame_ns: u64,
    /// How long a cancelled attempt may go on before the caller of a gateway is told.
    pub stuck_after_ns: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            attempts_max: 1024,
            window_bytes: 64 * 1024,
            takes_web: false,
            ping_after_ns: 1_000 * NANOS_PER_MS,
            dead_after_ns: 2_000 * NANOS_PER_MS,
            frame_ns: 2_000 * NANOS_PER_MS,
            stuck_after_ns: 1_000 * NANOS_PER_MS,
        }
    }
}
