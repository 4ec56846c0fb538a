//! Targets, and whether each was met.

use std::fmt;

use serde::Serialize;

use crate::bench::report::{Spread, markdown_table};

/// A ratio of each round, and its bound.
#[derive(Debug, Serialize)]
pub(super) struct RuntimeTarget {
    pub what: &'static str,
    pub bound: Bound,
    /// Empty where one of its sides was not measured.
    pub ratios: Vec<f64>,
}

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

#[derive(PartialEq, Eq, Debug)]
enum TargetVerdict {
    Met,
    Missed,
    NotMeasured,
}

impl RuntimeTarget {
    /// The median of the rounds decides.
    fn verdict(&self) -> TargetVerdict {
        let Some(median) = Spread::of(self.ratios.clone()).median() else {
            return TargetVerdict::NotMeasured;
        };
        let met = match self.bound {
            Bound::AtLeast(least) => median >= least,
            Bound::AtMost(most) => median <= most,
        };
        if met { TargetVerdict::Met } else { TargetVerdict::Missed }
    }
}

/// A row for each target.
pub(super) fn targets(targets: &[RuntimeTarget]) -> String {
    let mut table = markdown_table(&["target", "bound", "ratio, median (min..max)", "met"]);
    for target in targets {
        table.add_row([
            target.what.to_owned(),
            target.bound.to_string(),
            format!("{:.2}", Spread::of(target.ratios.clone())),
            match target.verdict() {
                TargetVerdict::Met => "yes",
                TargetVerdict::Missed => "**no**",
                TargetVerdict::NotMeasured => "not measured",
            }
            .to_owned(),
        ]);
    }
    table.to_string()
}

impl fmt::Display for Bound {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(least) => write!(out, "≥ {least}"),
            Self::AtMost(most) => write!(out, "≤ {most}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_decides_and_a_side_that_is_missing_is_neither_met_nor_missed() {
        let verdict =
            |bound, ratios: &[f64]| RuntimeTarget { what: "", bound, ratios: ratios.to_vec() }.verdict();
        assert_eq!(verdict(Bound::AtLeast(5.0), &[4.0, 5.0, 5.0]), TargetVerdict::Met);
        assert_eq!(verdict(Bound::AtLeast(5.0), &[4.0, 4.9, 9.0]), TargetVerdict::Missed);
        assert_eq!(verdict(Bound::AtMost(3.0), &[2.0, 3.0, 9.0]), TargetVerdict::Met);
        assert_eq!(verdict(Bound::AtMost(3.0), &[3.1]), TargetVerdict::Missed);
        assert_eq!(verdict(Bound::AtMost(3.0), &[]), TargetVerdict::NotMeasured);
    }
}
