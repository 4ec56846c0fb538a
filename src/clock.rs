//! Time, entering at one place so that tests can drive everything below it.

use std::borrow::Cow;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;

/// Nanoseconds since this process started its [`Clock`]; monotonic.
pub(crate) type Nanos = u64;

/// Nanoseconds in a second.
const NANOS_PER_S: u64 = 1_000_000_000;
/// Nanoseconds in a millisecond.
pub(crate) const NANOS_PER_MS: u64 = 1_000_000;

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

    /// The clock after so much more time.
    #[cfg(test)]
    pub(crate) fn ahead(self, time: Duration) -> Self {
        Self { origin: self.origin - time, ..self }
    }

    /// Nanoseconds since the clock was started (584 years fit).
    #[must_use]
    pub fn now(&self) -> Nanos {
        let elapsed = self.origin.elapsed();
        elapsed.as_secs() * NANOS_PER_S + u64::from(elapsed.subsec_nanos())
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

/// Writes times in UTC with milliseconds.
const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(3));

/// A time since the Unix epoch as RFC 3339 in UTC with milliseconds, to the end of the year 9999.
#[must_use]
pub(crate) fn rfc3339(unix: Duration) -> String {
    let seconds = i64::try_from(unix.as_secs()).unwrap_or(i64::MAX);
    let nanos = i32::try_from(unix.subsec_nanos()).unwrap_or(0);
    PRINTER.timestamp_to_string(&Timestamp::new(seconds, nanos).unwrap_or(Timestamp::MAX))
}

/// Reads an RFC 3339 time, e.g. `2026-11-24T07:00:00.5Z` or `2026-11-24T08:00:00+01:00`, as the time
/// since the Unix epoch; `None` where it is not one, or before 1970. A leap second counts as the one after it.
#[must_use]
pub(crate) fn parse_rfc3339(text: &str) -> Option<Duration> {
    if !is_rfc3339(text.as_bytes()) {
        return None;
    }
    let at: Timestamp = cut_fraction(text).parse().ok()?;
    // jiff takes a leap second for the one before it.
    let leap = u64::from(&text.as_bytes()[17..19] == b"60");
    Some(Duration::try_from(at.as_duration()).ok()? + Duration::from_secs(leap))
}

/// The text without the digits of its fraction that are below a nanosecond, which jiff refuses.
fn cut_fraction(text: &str) -> Cow<'_, str> {
    const DIGITS_MAX: usize = 9;
    let Some(fraction) = text[19..].strip_prefix('.') else { return Cow::Borrowed(text) };
    let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
    if digits <= DIGITS_MAX {
        return Cow::Borrowed(text);
    }
    Cow::Owned([&text[..20 + DIGITS_MAX], &fraction[digits..]].concat())
}

/// Whether a text has the shape of RFC 3339, which is stricter than the formats of ISO 8601 that jiff reads too.
fn is_rfc3339(text: &[u8]) -> bool {
    let is = |at: usize, of: &[u8]| text.get(at).is_some_and(|byte| of.contains(byte));
    let offset = text.len().saturating_sub(6);
    let has_offset = is(offset, b"+-") && is(offset + 3, b":");
    text.len() >= 20
        && is(4, b"-")
        && is(7, b"-")
        && is(10, b"Tt")
        && is(13, b":")
        && is(16, b":")
        && is(19, b".Zz+-")
        && (text.ends_with(b"Z") || text.ends_with(b"z") || has_offset)
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
        let day = |days: u64| rfc3339(Duration::from_secs(days * 86_400));
        assert_eq!(day(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(day(11_016), "2000-02-29T00:00:00.000Z");
        assert_eq!(day(20_780), "2026-11-23T00:00:00.000Z");
        // A time is cut to milliseconds, and never rounded up.
        assert_eq!(rfc3339(Duration::from_micros(1_999_999)), "1970-01-01T00:00:01.999Z");
        assert_eq!(rfc3339(Duration::MAX), "9999-12-30T22:00:00.999Z");
    }

    #[test]
    fn a_time_that_is_read_is_the_one_that_was_written() {
        let clock = Clock::start();
        for at in [0, 1_500 * NANOS_PER_MS, 86_400_000 * NANOS_PER_MS] {
            let read = parse_rfc3339(&clock.rfc3339(at)).unwrap();
            assert!(clock.unix(at) - read < Duration::from_millis(1), "{at}");
        }
        let seconds = |text: &str| parse_rfc3339(text).map(|unix| unix.as_secs_f64());
        // Digits below a nanosecond are cut off.
        let nanos = parse_rfc3339("1970-01-01T00:00:01.1234567899876+00:00").unwrap();
        assert_eq!(nanos, Duration::new(1, 123_456_789));
        assert_eq!(seconds("1970-01-01T00:00:01.25Z"), Some(1.25));
        assert_eq!(seconds("2000-02-29T12:00:00+02:30"), Some(951_816_600.0));
        assert_eq!(seconds("2000-02-29t12:00:00-00:30"), Some(951_827_400.0));
        assert_eq!(seconds("2016-12-31T23:59:60Z"), Some(1_483_228_800.0));
        assert_eq!(seconds("2026-11-24T07:00:00.123456789z"), Some(1_795_503_600.123_456_8));
        for wrong in [
            "2026-11-24T07:00:00,5Z",
            "2026-11-24T07:00Z",
            "2026-11-24T070000Z",
            "2026-11-24T07:00:00+0100",
            "2026-11-24T07:00:00Z[UTC]",
            "2026-11-24T07:00:00+01:00[Europe/Paris]",
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
