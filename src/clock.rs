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
        rfc3339(self.unix(at))
    }
}

/// A time since the Unix epoch as RFC 3339 in UTC with milliseconds.
#[must_use]
pub fn rfc3339(unix: Duration) -> String {
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

/// The day number since 1970-01-01 of a date from then on: the inverse of [`civil_from_days`].
fn days_from_civil(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let shifted_month = (month + 9) % 12;
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Reads an RFC 3339 time, e.g. `2026-11-24T07:00:00.5Z` or `2026-11-24T08:00:00+01:00`, as the time
/// since the Unix epoch; `None` where it is not one, or before 1970.
#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<Duration> {
    let number = |from: usize, to: usize, most: u64| -> Option<u64> {
        let digits = text.get(from..to).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
        digits.parse().ok().filter(|value| *value <= most)
    };
    let sign = |at: usize, signs: &str| text.get(at..=at).is_some_and(|one| signs.contains(one));
    if !(sign(4, "-") && sign(7, "-") && sign(10, "Tt") && sign(13, ":") && sign(16, ":")) {
        return None;
    }
    let (year, month, day) = (number(0, 4, 9999)?, number(5, 7, 12)?, number(8, 10, 31)?);
    if year < 1970 || month == 0 || day == 0 {
        return None;
    }
    let days = days_from_civil(year, month, day);
    // The 31st of a month that has none is another date.
    if civil_from_days(days) != (year, month, day) {
        return None;
    }
    // A leap second counts as the one after it.
    let of_day = number(11, 13, 23)? * 3600 + number(14, 16, 59)? * 60 + number(17, 19, 60)?;
    let mut end = 19;
    let mut nanos = 0;
    if sign(19, ".") {
        let digits = text[20..].bytes().take_while(u8::is_ascii_digit).count();
        end = 20 + digits;
        nanos =
            number(20, 20 + digits.min(9), u64::MAX)? * 10_u64.pow(9 - u32::try_from(digits.min(9)).ok()?);
    }
    let local = days * 86_400 + of_day;
    let unix = if text[end..].eq_ignore_ascii_case("z") {
        local
    } else {
        if text.len() != end + 6 || !sign(end, "+-") || !sign(end + 3, ":") {
            return None;
        }
        let offset = number(end + 1, end + 3, 23)? * 3600 + number(end + 4, end + 6, 59)? * 60;
        if sign(end, "+") { local.checked_sub(offset)? } else { local + offset }
    };
    Some(Duration::from_secs(unix) + Duration::from_nanos(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wall_clock_that_is_set_back_or_ahead_moves_no_time_of_a_running_process() {
        let clock = Clock { origin_unix: Duration::from_secs(1_795_000_000), ..Clock::start() };
        let (first, second) = (clock.now(), clock.now());
        assert!(first <= second);
        // The wall clock was read once, at the start: nothing that is told later comes from it.
        let an_hour = 3_600_000_000_000;
        assert_eq!(clock.unix(an_hour) - clock.unix(0), Duration::from_secs(3600));
        assert_eq!(clock.rfc3339(0), "2026-11-18T11:06:40.000Z");
        assert_eq!(clock.rfc3339(an_hour), "2026-11-18T12:06:40.000Z");
    }

    #[test]
    fn dates_follow_the_gregorian_calendar() {
        assert_eq!(civil_from_days(0), (1970, 1, 1));
        assert_eq!(civil_from_days(11_016), (2000, 2, 29));
        assert_eq!(civil_from_days(20_780), (2026, 11, 23));
    }

    #[test]
    fn a_time_that_is_read_is_the_one_that_was_written() {
        let clock = Clock::start();
        for at in [0, 1_500 * NANOS_PER_MS, 86_400_000 * NANOS_PER_MS] {
            let read = parse_rfc3339(&clock.rfc3339(at)).unwrap();
            assert!(clock.unix(at) - read < Duration::from_millis(1), "{at}");
        }
        let seconds = |text: &str| parse_rfc3339(text).map(|unix| unix.as_secs_f64());
        assert_eq!(seconds("1970-01-01T00:00:01.25Z"), Some(1.25));
        assert_eq!(seconds("2000-02-29T12:00:00+02:30"), Some(951_816_600.0));
        assert_eq!(seconds("2000-02-29t12:00:00-00:30"), Some(951_827_400.0));
        for wrong in [
            "",
            "2026-11-24",
            "2026-11-24T07:00:00",
            "2026-11-24 07:00:00Z",
            "2026-02-30T07:00:00Z",
            "2026-13-01T07:00:00Z",
            "2026-11-24T24:00:00Z",
            "2026-11-24T07:00:00.Z",
            "2026-11-24T07:00:00+1:00",
            "2026-11-24T07:00:00ä",
            "1969-12-31T23:59:59Z",
            "+026-11-24T07:00:00Z",
        ] {
            assert_eq!(parse_rfc3339(wrong), None, "{wrong}");
        }
    }
}
