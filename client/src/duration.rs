//! Durations as they are typed and shown.

use std::time::Duration;

/// Reads `500ms`, `30s`, `5m` or `2h`.
///
/// # Errors
/// Anything else, with examples.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} must be a whole number with a unit, such as 500ms, 30s, 5m or 2h");
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    match number.checked_mul(unit_ms) {
        Some(ms) if ms > 0 => Ok(Duration::from_millis(ms)),
        Some(_) | None => Err(format!("{text:?} must be more than 0 and less than 500 million years")),
    }
}

/// As a person reads a limit: `500 ms`, `30 s`.
pub(crate) fn in_words(duration: Duration) -> String {
    let ms = duration.as_millis();
    if ms.is_multiple_of(1_000) { format!("{} s", ms / 1_000) } else { format!("{ms} ms") }
}

/// A time with three digits that count: `21 µs`, `1.30 ms`, `2.50 s`.
pub(crate) fn of_ns(ns: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let ns = ns as f64;
    let (value, unit) = match ns {
        ns if ns < 999.5e3 => (ns / 1e3, "µs"),
        ns if ns < 999.5e6 => (ns / 1e6, "ms"),
        ns => (ns / 1e9, "s"),
    };
    let digits = if value < 9.995 && unit != "µs" { 2 } else { usize::from(value < 99.95 && unit != "µs") };
    format!("{value:.digits$} {unit}")
}

/// An age as kubectl shows it: `12s`, `5m`, `3h`, `2d`.
pub(crate) fn age(seconds: i64) -> String {
    match seconds.max(0) {
        seconds @ 0..120 => format!("{seconds}s"),
        seconds @ 120..7_200 => format!("{}m", seconds / 60),
        seconds @ 7_200..172_800 => format!("{}h", seconds / 3_600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_a_number_and_a_unit() {
        assert_eq!(parse("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse("2h"), Ok(Duration::from_secs(7200)));
        for wrong in
            ["", "30", "s", "-1s", "1.5s", "0s", "5 s", "99999999999999999999h", "99999999999999999h"]
        {
            let message = parse(wrong).unwrap_err();
            assert!(message.starts_with(&format!("{wrong:?} must be")), "{message}");
        }
    }

    #[test]
    fn times_are_shown_with_digits_that_count() {
        let shown = [21_100, 999_499, 1_300_000, 45_678_000, 401_000_000, 2_500_000_000].map(of_ns);
        assert_eq!(shown, ["21 µs", "999 µs", "1.30 ms", "45.7 ms", "401 ms", "2.50 s"]);
        assert_eq!([5, 119, 120, 7_199, 7_200, 172_800].map(age), ["5s", "119s", "2m", "119m", "2h", "2d"]);
        assert_eq!(in_words(Duration::from_millis(1_500)), "1500 ms");
    }
}
