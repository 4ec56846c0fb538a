//! Time, entering at one place.

use tokio::time::Instant;

/// The monotonic time.
#[expect(clippy::disallowed_methods, reason = "the one place where time enters")]
pub(crate) fn now() -> Instant {
    Instant::from_std(std::time::Instant::now())
}
