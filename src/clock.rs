//! Time, entering at one place so that tests can drive everything below it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Nanoseconds since this process started its [`Clock`]; monotonic.
pub type Nanos = u64;

/// Nanoseconds in a millisecond.
pub const NANOS_PER_MS: u64 = 1_000_000;

/// The monotonic clock of one process, with the wall-clock time of its start.
///
/// Wall-clock times are derived from the monotonic one, so a clock that is set back
/// while the process runs changes neither an order nor a duration.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
    origin_unix: Duration,
}

impl Clock {
    /// Starts the clock: `now()` counts from here.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place where time enters")]
    pub fn start() -> Self {
        let origin_unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { origin: Instant::now(), origin_unix }
    }

    /// Nanoseconds since the clock was started (584 years fit).
    #[must_use]
    pub fn now(&self) -> Nanos {
        u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Seconds and nanoseconds since the Unix epoch at a time of this clock.
    #[must_use]
    pub fn unix(&self, at: Nanos) -> Duration {
        self.origin_unix + Duration::from_nanos(at)
    }

    /// A time of this clock as RFC 3339 in UTC with milliseconds.
    #[must_use]
    pub fn rfc3339(&self, at: Nanos) -> String {
        let unix = self.unix(at);
        let (days, secs) = (unix.as_secs() / 86_400, unix.as_secs() % 86_400);
        let (year, month, day) = civil_from_days(days);
        format!(
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
            secs / 3600,
            secs / 60 % 60,
            secs % 60,
            unix.subsec_millis()
        )
    }
}

/// Year, month and day of a day number since 1970-01-01, after Howard Hinnant's
/// "chrono-compatible low-level date algorithms" (`civil_from_days`), for days ≥ 0.
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let z = days + 719_468;
    let era = z / 146_097;
    let day_of_era = z % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_follow_the_gregorian_calendar() {
        assert_eq!(civil_from_days(0), (1970, 1, 1));
        assert_eq!(civil_from_days(11_016), (2000, 2, 29));
        assert_eq!(civil_from_days(20_780), (2026, 11, 23));
    }
}
