//! The time of day, for ages.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

/// Seconds from a time of RFC 3339 until now; `None` where it is none.
pub(crate) fn seconds_since(time: &str) -> Option<i64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    let then: Timestamp = time.parse().ok()?;
    Some(i64::try_from(now.as_secs()).ok()? - then.as_second())
}

/// Nanoseconds from one time of RFC 3339 to another.
pub(crate) fn ns_between(from: &str, to: &str) -> Option<u64> {
    let (from, to): (Timestamp, Timestamp) = (from.parse().ok()?, to.parse().ok()?);
    u64::try_from(to.as_nanosecond() - from.as_nanosecond()).ok()
}
