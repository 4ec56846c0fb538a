//! Time, entering at one place.

use tokio::time::Instant;

/// The monotonic time.
#[expect(clippy::disallowed_methods, reason = "the one place where time enters")]
pub(crate) fn now() -> Instant {
    Instant::from_std(std::time::Instant::now())
}

/// Whole milliseconds since `began`, rounded up.
pub(crate) fn ms_since(began: Instant) -> u64 {
    u64::try_from(now().duration_since(began).as_micros().div_ceil(1000)).unwrap_or(u64::MAX)
}
