//! New ÷ old: each figure of two binaries, round by round, and what can be said of the difference.
//!
//! Both are measured one right after the other in every round, so what the machine does to one it does to the
//! other, most of the time; the ratio of a round leaves it out. What is told is the median of these ratios with an
//! [`Interval`].

use std::fmt;

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;

use super::interval::{COVERAGE_MIN, Interval, VALUES_MIN};
use super::report::{Spread, markdown_table};

/// A figure that is compared of two measurements.
pub(super) struct Figure<M> {
    pub name: &'static str,
    pub better: Better,
    /// The smallest difference that two values can have; a smaller one looks like none.
    pub step: f64,
    /// More than zero.
    pub of: fn(&M) -> Option<f64>,
}

/// Which of two values is the better one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Better {
    /// Times.
    Less,
    /// Rates.
    More,
}

/// One figure in one round.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Pair {
    /// From 1.
    pub round: u32,
    pub new: f64,
    pub old: f64,
    pub ratio: f64,
}

/// One figure under one load, in all rounds.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Ratio {
    /// The load.
    row: String,
    figure: &'static str,
    pairs: Vec<Pair>,
    median: f64,
    /// `None` for too few rounds.
    interval: Option<Interval>,
    verdict: Verdict,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
enum Verdict {
    /// The interval excludes one.
    Faster,
    Slower,
    /// It does not: a difference, where there is one, is most likely below this.
    NoDifferenceShown {
        within_percent: f64,
    },
    /// There is no interval.
    TooFewRounds,
}

/// Compares each figure of the measurements of one load; `round` is that of a measurement.
pub(super) fn of_load<M>(
    row: &str,
    figures: &[Figure<M>],
    round: fn(&M) -> u32,
    new: &[&M],
    old: &[&M],
) -> Result<Vec<Ratio>> {
    let each = figures.iter().map(|figure| {
        let place = || format!("{row}, {}", figure.name);
        let pairs = pairs(figure, round, new, old).with_context(place)?;
        Ratio::of(row, figure, pairs).with_context(place)
    });
    each.collect()
}

/// Of each round, whatever the order in which its measurements were made.
pub(super) fn pairs<M>(
    figure: &Figure<M>,
    round_of: fn(&M) -> u32,
    new: &[&M],
    old: &[&M],
) -> Result<Vec<Pair>> {
    ensure!(new.len() == old.len(), "{} rounds of the new one and {} of the old", new.len(), old.len());
    let value = |one: &M, which: &str| {
        let value = (figure.of)(one).filter(|value| value.is_finite() && *value > 0.0);
        value.with_context(|| format!("round {}: the {which} one has no such figure", round_of(one)))
    };
    let each = new.iter().map(|one| {
        let round = round_of(one);
        let partner = old.iter().find(|other| round_of(other) == round);
        let partner = partner.with_context(|| format!("round {round} has no measurement of the old one"))?;
        let (new, old) = (value(one, "new")?, value(partner, "old")?);
        Ok(Pair { round, new, old, ratio: new / old })
    });
    each.collect()
}

impl Ratio {
    fn of<M>(row: &str, figure: &Figure<M>, pairs: Vec<Pair>) -> Result<Self> {
        let ratios: Vec<f64> = pairs.iter().map(|pair| pair.ratio).collect();
        let interval = Interval::of_median(&ratios);
        let median = |values: Vec<f64>| Spread::of(values).median().context("not one round");
        let step = figure.step / median(pairs.iter().map(|pair| pair.old).collect())?;
        let verdict = match &interval {
            Some(interval) => Verdict::of(interval, figure.better, step),
            None => Verdict::TooFewRounds,
        };
        Ok(Self {
            row: row.to_owned(),
            figure: figure.name,
            pairs,
            median: median(ratios)?,
            interval,
            verdict,
        })
    }
}

impl Verdict {
    /// `step` is that of the ratio.
    fn of(interval: &Interval, better: Better, step: f64) -> Self {
        if !interval.excludes(1.0) {
            let within_percent = ((1.0 - interval.low).max(interval.high - 1.0) + step) * 100.0;
            return Self::NoDifferenceShown { within_percent };
        }
        let is_less = interval.high < 1.0;
        match (is_less, better) {
            (true, Better::Less) | (false, Better::More) => Self::Faster,
            (true, Better::More) | (false, Better::Less) => Self::Slower,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Faster => out.write_str("faster"),
            Self::Slower => out.write_str("slower"),
            // Rounded up, as a bound that is rounded down is none; but not for what a division left over.
            Self::NoDifferenceShown { within_percent } => {
                let tenths = (within_percent * 10.0 - 1e-9).ceil() as u64;
                write!(out, "no difference shown (within ±{:.1} %)", tenths as f64 / 10.0)
            }
            Self::TooFewRounds => write!(out, "none: fewer than {VALUES_MIN} rounds"),
        }
    }
}

/// A line for each, and how to read them.
pub(super) fn report(ratios: &[Ratio]) -> String {
    let mut lines =
        markdown_table(&["", "figure", "new ÷ old", "smallest..largest", "95 % interval", "verdict"]);
    for ratio in ratios {
        let Ratio { row, figure, pairs, median, interval, verdict } = ratio;
        let (least, most) = pairs.iter().fold((f64::INFINITY, 0.0_f64), |(least, most), pair| {
            (least.min(pair.ratio), most.max(pair.ratio))
        });
        lines.add_row([
            row.clone(),
            (*figure).to_owned(),
            format!("{median:.3}"),
            format!("{least:.3}..{most:.3}"),
            interval.map_or("–".to_owned(), |it| format!("{:.3}..{:.3}", it.low, it.high)),
            verdict.to_string(),
        ]);
    }
    let rounds = ratios.first().map_or(0, |ratio| ratio.pairs.len());
    let explanation = match ratios.first().and_then(|ratio| ratio.interval) {
        Some(interval) => explanation(rounds, ratios.len(), &interval),
        None => format!(
            "{rounds} rounds are too few: no interval of them holds the median with {} %. Give --rounds at least \
             {VALUES_MIN}, better 12 or more.",
            COVERAGE_MIN * 100.0
        ),
    };
    format!(
        "picofaas ÷ picofaas-against, the median of the ratios of {rounds} rounds\n\n{lines}\n\n{explanation}\n"
    )
}

fn explanation(rounds: usize, lines: usize, interval: &Interval) -> String {
    let Interval { rank, coverage, .. } = interval;
    let width = match rank {
        1 => ", the smallest to the largest: it is as wide as it can be, and more rounds narrow it",
        _ => "",
    };
    // It holds however the lines depend on each other (Boole's inequality).
    let one_of_all = ((1.0 - coverage) * lines as f64).min(1.0);
    format!(
        "The interval goes from number {rank} to number {} of the {rounds} sorted ratios{width}. It holds the \
         median with {:.1} % (exact, from the binomial distribution) where rounds are independent. Where nothing \
         differs, at least one of these {lines} lines shows a difference in up to {:.0} % of runs: measure again \
         what matters.",
        rounds + 1 - rank,
        coverage * 100.0,
        one_of_all * 100.0,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A round and its value.
    type Value = (u32, f64);

    const TIME: Figure<Value> = Figure { name: "p50", better: Better::Less, step: 0.0, of: |it| Some(it.1) };
    const RATE: Figure<Value> =
        Figure { name: "requests/s", better: Better::More, step: 0.0, of: |it| Some(it.1) };

    fn compare(figure: Figure<Value>, new: &[Value], old: &[Value]) -> Result<Ratio> {
        let (new, old): (Vec<&Value>, Vec<&Value>) = (new.iter().collect(), old.iter().collect());
        let mut ratios = of_load("1 connection", &[figure], |it| it.0, &new, &old)?;
        assert_eq!(ratios.len(), 1);
        Ok(ratios.remove(0))
    }

    fn rounds(values: [f64; 6]) -> Vec<Value> {
        (1..).zip(values).collect()
    }

    #[test]
    fn a_round_is_compared_with_itself_whatever_the_order_it_was_measured_in() {
        // The machine is ten times as slow in the second round: the ratios do not see it.
        let new = [(1, 11.0), (2, 120.0), (3, 13.0)];
        let old = [(3, 13.0), (1, 10.0), (2, 100.0)];
        let ratio = compare(TIME, &new, &old).unwrap();
        let each: Vec<(u32, f64)> = ratio.pairs.iter().map(|pair| (pair.round, pair.ratio)).collect();
        assert_eq!(each, [(1, 1.1), (2, 1.2), (3, 1.0)]);
        assert_eq!(ratio.median, 1.1);
        assert_eq!(ratio.verdict, Verdict::TooFewRounds);
    }

    #[test]
    fn a_round_without_its_partner_or_a_figure_is_an_error_and_not_left_out() {
        let error = |new: &[Value], old: &[Value]| format!("{:#}", compare(TIME, new, old).unwrap_err());
        assert!(error(&[(1, 1.0)], &[]).contains("1 rounds of the new one and 0 of the old"));
        assert!(error(&[(1, 1.0)], &[(2, 1.0)]).contains("round 1 has no measurement of the old one"));
        assert!(error(&[(1, 1.0)], &[(1, 0.0)]).contains("1 connection, p50: round 1: the old one has no"));
        assert!(error(&[(1, f64::NAN)], &[(1, 1.0)]).contains("the new one has no"));
        assert!(error(&[], &[]).contains("not one round"));
    }

    #[test]
    fn a_verdict_needs_an_interval_without_one_and_knows_which_way_is_better() {
        let old = rounds([100.0; 6]);
        let more = rounds([101.0, 105.0, 102.0, 104.0, 103.0, 106.0]);
        let less = rounds([99.0, 95.0, 98.0, 96.0, 97.0, 94.0]);
        for (figure, new, expected) in [
            (TIME, &more, Verdict::Slower),
            (TIME, &less, Verdict::Faster),
            (RATE, &more, Verdict::Faster),
            (RATE, &less, Verdict::Slower),
        ] {
            let name = figure.name;
            assert_eq!(compare(figure, new, &old).unwrap().verdict, expected, "{name}");
        }
    }

    #[test]
    fn where_one_is_in_the_interval_its_farther_end_is_told_rounded_up() {
        let old = rounds([100.0; 6]);
        let ratio = compare(TIME, &rounds([98.0, 101.0, 100.0, 103.01, 102.0, 99.0]), &old).unwrap();
        assert_eq!(ratio.verdict.to_string(), "no difference shown (within ±3.1 %)");
        let ratio = compare(TIME, &rounds([96.0, 101.0, 100.0, 103.0, 102.0, 99.0]), &old).unwrap();
        assert_eq!(ratio.verdict.to_string(), "no difference shown (within ±4.0 %)");
        // In whole units, equal values may differ by almost one.
        for (step, expected) in [(0.0, "±0.0 %"), (1.0, "±1.0 %")] {
            let ratio = compare(Figure { step, ..TIME }, &rounds([100.0; 6]), &old).unwrap();
            assert_eq!(ratio.verdict.to_string(), format!("no difference shown (within {expected})"));
        }
    }

    #[test]
    fn few_rounds_are_told_to_be_few() {
        let old: Vec<Value> = (1..=12).map(|round| (round, 100.0)).collect();
        let text = |count: usize| report(&[compare(RATE, &old[..count], &old[..count]).unwrap()]);
        let five = text(5);
        assert!(five.contains("none: fewer than 6 rounds") && five.contains("--rounds at least 6"), "{five}");
        assert!(text(6).contains("the smallest to the largest: it is as wide"), "{}", text(6));
        let twelve = text(12);
        assert!(
            !twelve.contains("as wide") && twelve.contains("number 3 to number 10 of the 12"),
            "{twelve}"
        );
        assert!(twelve.contains("96.1 %") && twelve.contains("these 1 lines"), "{twelve}");
        assert!(twelve.contains("up to 4 % of runs"), "{twelve}");
    }
}
