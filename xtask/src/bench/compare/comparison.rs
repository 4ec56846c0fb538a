//! picofaas ÷ nginx and picofaas ÷ direct: each figure, round by round, with an interval for the median ratio.

use std::fmt;

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::bootstrap::{BootstrapInterval, VALUES_MIN};
use super::load_point::LoadPoint;
use super::measurement::Measurement;
use super::subject::Subject;
use crate::bench::ratio::{Better, Figure, Pair, pairs};
use crate::bench::report::{Spread, markdown_table};

/// Share of an asked rate from which on a load is called made.
const RATE_REACHED_MIN: f64 = 0.99;

/// Figures that are compared with a base; a direct call has no proxy, and so no CPU time of one.
pub(super) const FIGURES: [Figure<Measurement>; 5] = [
    Figure { name: "p50", better: Better::Less, step: 1.0, of: |m| Some(m.p50_us) },
    Figure { name: "p99", better: Better::Less, step: 1.0, of: |m| Some(m.p99_us) },
    Figure { name: "requests/s", better: Better::More, step: 0.0, of: |m| Some(m.requests_per_second) },
    Figure { name: "CPU", better: Better::Less, step: 0.0, of: |m| m.cpu_us },
    Figure { name: "function's CPU", better: Better::Less, step: 0.0, of: |m| Some(m.function_cpu_us) },
];

/// Names of the rows that others are divided by.
pub(super) const BASES: [&str; 2] = ["nginx", "direct"];

/// A row of picofaas and a base, under one load.
#[derive(Debug, Serialize)]
pub(super) struct Comparison {
    pub point: String,
    pub subject: String,
    pub base: &'static str,
    /// None where a rate was not made.
    pub figures: Vec<ComparedFigure>,
    pub not_made: Option<NotMade>,
}

/// One figure, subject ÷ base.
#[derive(Debug, Serialize)]
pub(super) struct ComparedFigure {
    pub figure: &'static str,
    pub median: f64,
    /// `None` for too few rounds.
    pub interval: Option<BootstrapInterval>,
    rounds: Vec<ComparedRound>,
}

/// One figure in one round.
#[derive(Debug, Serialize)]
struct ComparedRound {
    /// From 1.
    round: u32,
    value: f64,
    of_base: f64,
    ratio: f64,
}

/// Row that did not make the rate of an open loop: its latencies are those of a backlog.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct NotMade {
    name: String,
    reached: f64,
}

/// Of all loads and rows of picofaas, with each base that was measured.
pub(super) fn of_all(
    points: &[LoadPoint],
    subjects: &[Subject],
    measurements: &[Measurement],
) -> Result<Vec<Comparison>> {
    let mut all = Vec::new();
    for point in points {
        let of = |name: &str| -> Vec<&Measurement> {
            measurements.iter().filter(|m| m.point == *point && m.subject == name).collect()
        };
        for subject in subjects.iter().filter(|subject| subject.is_picofaas()) {
            for base in BASES {
                let (ours, bases) = (of(&subject.name), of(base));
                if ours.is_empty() || bases.is_empty() {
                    continue;
                }
                let not_made = [(&*subject.name, &ours), (base, &bases)].into_iter().find_map(not_made);
                let figures = match not_made {
                    Some(_) => Vec::new(),
                    None => figures(&ours, &bases).with_context(|| point.to_string())?,
                };
                let (point, subject) = (point.to_string(), subject.name.clone());
                all.push(Comparison { point, subject, base, figures, not_made });
            }
        }
    }
    Ok(all)
}

fn not_made((name, measurements): (&str, &Vec<&Measurement>)) -> Option<NotMade> {
    let reached = Spread::of(measurements.iter().filter_map(|m| m.rate_reached).collect()).median()?;
    (reached < RATE_REACHED_MIN).then(|| NotMade { name: name.to_owned(), reached })
}

fn figures(ours: &[&Measurement], bases: &[&Measurement]) -> Result<Vec<ComparedFigure>> {
    let are_open = ours.iter().any(|m| m.rate_reached.is_some());
    let has = |figure: &Figure<Measurement>| bases.iter().all(|m| (figure.of)(m).is_some());
    // In an open loop the rate is given.
    let asked = FIGURES.iter().filter(|figure| has(figure) && !(are_open && figure.name == "requests/s"));
    let each = asked.map(|figure| {
        let rounds = pairs(figure, |m| m.round, ours, bases).context(figure.name)?;
        let of_pair =
            |Pair { round, new, old, ratio }| ComparedRound { round, value: new, of_base: old, ratio };
        let rounds: Vec<ComparedRound> = rounds.into_iter().map(of_pair).collect();
        let ratios: Vec<f64> = rounds.iter().map(|round| round.ratio).collect();
        let interval = BootstrapInterval::of_median(&ratios);
        let median = Spread::of(ratios).median().context("not one round")?;
        Ok(ComparedFigure { figure: figure.name, median, interval, rounds })
    });
    each.collect()
}

impl Comparison {
    pub(super) fn figure(&self, name: &str) -> Option<&ComparedFigure> {
        self.figures.iter().find(|figure| figure.figure == name)
    }
}

/// A line for each load and base.
pub(super) fn table(comparisons: &[Comparison]) -> String {
    let mut header = vec!["load", "÷"];
    header.extend(FIGURES.map(|figure| figure.name));
    let mut table = markdown_table(&header);
    let mut missing = String::new();
    for comparison in comparisons {
        let Comparison { point, subject, base, not_made, .. } = comparison;
        if let Some(NotMade { name, reached }) = not_made {
            missing.push_str(&format!(
                "\n{point}, {subject} ÷ {base}: no ratio, as with {name} the rate was not made but {:.0} % of it",
                reached * 100.0
            ));
        }
        let mut row = vec![point.clone(), format!("{subject} ÷ {base}")];
        row.extend(
            FIGURES.map(|figure| {
                comparison.figure(figure.name).map_or("–".to_owned(), ComparedFigure::to_string)
            }),
        );
        table.add_row(row);
    }
    if comparisons.iter().flat_map(|it| &it.figures).any(|figure| figure.interval.is_none()) {
        missing.push_str(&format!("\nno intervals: there are fewer than {VALUES_MIN} rounds"));
    }
    format!(
        "The median of the ratios of each round, with its 95 % interval (bootstrap, percentiles)\n\n{table}\n{missing}"
    )
}

impl fmt::Display for ComparedFigure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:.2}", self.median)?;
        match self.interval {
            Some(BootstrapInterval { low, high }) => write!(out, " ({low:.2}..{high:.2})"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::bench::compare::measurement::ToolResult;
    use crate::bench::wrk::{Errors, WrkResult};

    /// One with these figures; CPU only of what is in front.
    pub(in crate::bench::compare) fn measurement(
        subject: &str,
        point: LoadPoint,
        round: u32,
        p50_us: f64,
    ) -> Measurement {
        let wrk = WrkResult {
            requests: 1000,
            duration_us: 1_000_000,
            p50_us: p50_us as u64,
            p90_us: 0,
            p99_us: 0,
            p999_us: 0,
            errors: Errors::default(),
        };
        Measurement {
            subject: subject.to_owned(),
            point,
            round,
            p50_us,
            p99_us: 2.0 * p50_us,
            requests_per_second: 1000.0,
            rate_reached: None,
            errors: 0,
            cpu_us: (subject != "direct").then_some(p50_us / 2.0),
            cpu_us_by_thread: BTreeMap::new(),
            threads_lost: 0,
            function_cpu_us: 3.0,
            load_cpu_us: 4.0,
            calls: None,
            others_cpu_percent: 1.0,
            steal_percent: 0.0,
            tool: ToolResult::Wrk(wrk),
        }
    }

    fn subjects() -> [Subject; 3] {
        [Subject::direct(), Subject::nginx(), Subject::picofaas("picofaas", "adaptive", Vec::new())]
    }

    fn rounds(point: LoadPoint) -> Vec<Measurement> {
        let mut all = Vec::new();
        for (round, machine) in (1..).zip([1.0, 5.0, 1.0, 2.0, 1.0, 1.0]) {
            all.push(measurement("direct", point, round, 50.0 * machine));
            all.push(measurement("nginx", point, round, 80.0 * machine));
            all.push(measurement("picofaas", point, round, 100.0 * machine));
        }
        all
    }

    #[test]
    fn each_row_of_picofaas_is_divided_by_each_base_within_the_round() {
        let point = LoadPoint::USUAL;
        let all = of_all(&[point], &subjects(), &rounds(point)).unwrap();
        let bases: Vec<&str> = all.iter().map(|comparison| comparison.base).collect();
        assert_eq!(bases, BASES);
        let nginx = all[0].figure("p50").unwrap();
        assert_eq!(
            (nginx.median, nginx.interval.unwrap().low, nginx.interval.unwrap().high),
            (1.25, 1.25, 1.25)
        );
        assert_eq!(all[1].figure("p50").unwrap().median, 2.0);
        assert!(all[1].figure("CPU").is_none(), "a direct call has no proxy");
        let text = table(&all);
        assert!(text.contains("picofaas ÷ nginx") && text.contains("1.25 (1.25..1.25)"), "{text}");
    }

    #[test]
    fn a_rate_that_was_not_made_has_no_ratio_and_says_whose_it_was() {
        let point = LoadPoint::open(90);
        let mut measurements = rounds(point);
        for measurement in &mut measurements {
            measurement.rate_reached = Some(if measurement.subject == "direct" { 0.8 } else { 1.0 });
        }
        let all = of_all(&[point], &subjects(), &measurements).unwrap();
        assert!(
            all[0].not_made.is_none()
                && all[0].figure("p50").is_some()
                && all[0].figure("requests/s").is_none()
        );
        let text = table(&all);
        assert!(
            text.contains("÷ direct: no ratio, as with direct the rate was not made but 80 % of it"),
            "{text}"
        );
    }

    #[test]
    fn too_few_rounds_have_a_median_and_no_interval() {
        let point = LoadPoint::USUAL;
        let few: Vec<Measurement> = rounds(point).into_iter().filter(|m| m.round < 3).collect();
        let all = of_all(&[point], &subjects(), &few).unwrap();
        assert_eq!(all[0].figure("p50").unwrap().interval, None);
        assert!(table(&all).contains("no intervals: there are fewer than 5 rounds"));
    }
}
