//! The stages of an execution as bars, each beginning where the one before it ended.

use crate::duration::of_ns;

/// Characters of the whole time.
const WIDTH: u64 = 40;

/// Beginning of the name of a phase of a cold start.
pub(crate) const COLD_PREFIX: &str = "cold-";

/// Eighths of a character, from one to seven.
const EIGHTHS: [char; 7] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/// Reads `Server-Timing`; stages without a duration are left out.
pub(crate) fn parse(server_timing: &str) -> Vec<(String, u64)> {
    let stage = |text: &str| {
        let (name, parameters) = text.trim().split_once(';')?;
        let dur = parameters.split(';').find_map(|parameter| parameter.trim().strip_prefix("dur="))?;
        let ms: f64 = dur.trim_matches('"').parse().ok().filter(|ms: &f64| *ms >= 0.0)?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "not negative; what is too much is the most"
        )]
        Some((name.trim().to_owned(), (ms * 1e6).round() as u64))
    };
    server_timing.split(',').filter_map(stage).collect()
}

/// A line for each stage and one for the whole time, each with its break. The phases of a cold start are parts of the
/// stage `queue`, and are drawn below it.
pub(crate) fn draw(stages: &[(String, u64)]) -> String {
    let (phases, stages): (Vec<_>, Vec<_>) =
        stages.iter().partition(|(name, _)| name.starts_with(COLD_PREFIX));
    let total = stages.iter().fold(0_u64, |sum, (_, ns)| sum.saturating_add(*ns));
    let mut rows: Vec<(String, u64, u64)> = Vec::new();
    let mut begin = 0_u64;
    for (name, ns) in stages {
        rows.push((name.clone(), begin, *ns));
        if name == "queue" {
            let mut begin = begin;
            for (name, ns) in &phases {
                rows.push((format!("  {}", &name[COLD_PREFIX.len()..]), begin, *ns));
                begin = begin.saturating_add(*ns);
            }
        }
        begin = begin.saturating_add(*ns);
    }
    let longest = rows.iter().map(|(name, ..)| name.chars().count()).max();
    let name_width = longest.unwrap_or_default().max("total".len());
    let mut lines = String::new();
    for (name, begin, ns) in rows {
        let bar = bar(begin.min(total), begin.saturating_add(ns).min(total), total);
        lines.push_str(format!("{name:name_width$}  {:>8}  {bar}", of_ns(ns)).trim_end());
        lines.push('\n');
    }
    lines.push_str(&format!("{:name_width$}  {:>8}\n", "total", of_ns(total)));
    lines
}

/// Full characters from one place to another. Every stage that took time is seen, if only as a sliver.
fn bar(begin: u64, end: u64, total: u64) -> String {
    if total == 0 || begin == end {
        return String::new();
    }
    let place = |ns: u64| u128::from(ns) * u128::from(WIDTH) * 8 / u128::from(total);
    // It fits: both are at most WIDTH * 8.
    let at = |ns: u64| usize::try_from(place(ns)).unwrap_or_default();
    let blank = (at(begin) / 8).min(WIDTH as usize - 1);
    let eighths = (at(end).saturating_sub(blank * 8)).max(1);
    let mut bar = " ".repeat(blank) + &"█".repeat(eighths / 8);
    if let Some(part) = (eighths % 8).checked_sub(1) {
        bar.push(EIGHTHS[part]);
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stages(list: &[(&str, u64)]) -> Vec<(String, u64)> {
        list.iter().map(|(name, ns)| ((*name).to_owned(), *ns)).collect()
    }

    #[test]
    fn server_timing_is_read_in_milliseconds_and_what_has_no_duration_is_left_out() {
        let header = "admit;dur=0.021, queue;dur=1.5,cache;desc=\"x\", function ; desc=a; dur=2, odd;dur=-1";
        assert_eq!(
            parse(header),
            stages(&[("admit", 21_000), ("queue", 1_500_000), ("function", 2_000_000)])
        );
        assert_eq!(parse(""), []);
    }

    #[test]
    fn bars_follow_each_other_and_the_smallest_is_seen() {
        let drawn = draw(&stages(&[("admit", 1), ("queue", 500_000), ("function", 500_000), ("reply", 0)]));
        let wanted = format!(
            "admit         0 µs  ▏\nqueue       500 µs  {}\nfunction    500 µs  {}{}\nreply         0 µs\ntotal      1.00 ms\n",
            "█".repeat(20),
            " ".repeat(20),
            "█".repeat(20)
        );
        assert_eq!(drawn, wanted);
    }

    #[test]
    fn the_phases_of_a_cold_start_are_drawn_below_the_queue_and_are_in_its_time() {
        let list =
            [("queue", 500_000), ("reply", 500_000), ("cold-asked", 250_000), ("cold-handler", 250_000)];
        let wanted = format!(
            "queue        500 µs  {}\n  asked      250 µs  {}\n  handler    250 µs  {}{}\nreply        500 µs  {}{}\ntotal       1.00 ms\n",
            "█".repeat(20),
            "█".repeat(10),
            " ".repeat(10),
            "█".repeat(10),
            " ".repeat(20),
            "█".repeat(20)
        );
        assert_eq!(draw(&stages(&list)), wanted);
    }

    #[test]
    fn times_of_any_size_are_drawn_within_the_width() {
        for list in [
            &[("a", u64::MAX), ("b", u64::MAX)] as &[_],
            &[("a", 0)],
            &[],
            &[("a", 1), ("b", u64::MAX / 2), ("c", 1)],
            &[("queue", 1), ("cold-asked", u64::MAX), ("cold-announced", 1)],
        ] {
            for line in draw(&stages(list)).lines() {
                assert!(line.chars().count() <= 80, "{line}");
            }
        }
    }
}
