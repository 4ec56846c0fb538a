//! Targets, and whether each was met.

use serde::Serialize;

use crate::bench::report::{Spread, markdown_table};

#[derive(Debug, Serialize)]
pub(super) struct ClusterTarget {
    pub what: String,
    pub at_most: f64,
    pub unit: &'static str,
    /// Figure that is held against the bound; nothing where it was not measured.
    pub figure: Option<f64>,
    /// The same of each pair or measurement.
    pub each: Vec<f64>,
}

impl ClusterTarget {
    /// The difference of two medians, in milliseconds; and that of each pair.
    pub(super) fn difference(what: impl Into<String>, at_most: f64, of: &[f64], to: &[f64]) -> Self {
        let figure = median(of).zip(median(to)).map(|(of, to)| of - to);
        let each = of.iter().zip(to).map(|(of, to)| of - to).collect();
        Self { what: what.into(), at_most, unit: "ms", figure, each }
    }

    /// The ratio of two medians, and that of each pair.
    pub(super) fn ratio(what: impl Into<String>, at_most: f64, of: &[f64], to: &[f64]) -> Self {
        let figure = median(of).zip(median(to)).map(|(of, to)| of / to);
        let each = of.iter().zip(to).map(|(of, to)| of / to).collect();
        Self { what: what.into(), at_most, unit: "", figure, each }
    }

    /// A median.
    pub(super) fn median(what: impl Into<String>, at_most: f64, unit: &'static str, each: Vec<f64>) -> Self {
        Self { what: what.into(), at_most, unit, figure: median(&each), each }
    }

    /// A sum of what must not be.
    pub(super) fn none(what: impl Into<String>, each: Vec<f64>) -> Self {
        let figure = (!each.is_empty()).then(|| each.iter().sum());
        Self { what: what.into(), at_most: 0.0, unit: "", figure, each }
    }

    fn verdict(&self) -> &'static str {
        match self.figure {
            None => "not measured",
            Some(figure) if figure <= self.at_most => "yes",
            Some(_) => "**no**",
        }
    }
}

pub(super) fn median(values: &[f64]) -> Option<f64> {
    Spread::of(values.to_vec()).median()
}

/// A row for each target.
pub(super) fn targets(targets: &[ClusterTarget]) -> String {
    let mut table = markdown_table(&["target", "bound", "figure", "each: median (min..max)", "met"]);
    for target in targets {
        let ClusterTarget { what, at_most, unit, figure, each } = target;
        // A ratio says something behind the point.
        let digits = if unit.is_empty() && *at_most > 0.0 { 2 } else { usize::from(!unit.is_empty()) };
        table.add_row([
            what.clone(),
            format!("≤ {at_most} {unit}").trim_end().to_owned(),
            figure
                .map_or("–".to_owned(), |figure| format!("{figure:.digits$} {unit}").trim_end().to_owned()),
            format!("{:.digits$}", Spread::of(each.clone())),
            target.verdict().to_owned(),
        ]);
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_difference_of_the_medians_decides_and_a_side_that_is_missing_is_neither_met_nor_missed() {
        let of = |of: &[f64], to: &[f64]| ClusterTarget::difference("", 40.0, of, to);
        let close = of(&[260.0, 250.0, 900.0], &[220.0, 230.0, 210.0]);
        assert_eq!((close.figure, close.verdict()), (Some(40.0), "yes"));
        assert_eq!(close.each, [40.0, 20.0, 690.0]);
        assert_eq!(of(&[261.0], &[220.0]).verdict(), "**no**");
        assert_eq!(of(&[261.0], &[]).verdict(), "not measured");
    }

    #[test]
    fn one_that_failed_is_one_too_many() {
        assert_eq!(ClusterTarget::none("", vec![0.0, 0.0]).verdict(), "yes");
        assert_eq!(ClusterTarget::none("", vec![0.0, 1.0]).verdict(), "**no**");
        assert_eq!(ClusterTarget::none("", vec![]).verdict(), "not measured");
    }
}
