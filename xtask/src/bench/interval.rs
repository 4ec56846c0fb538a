//! An interval for a median, from few values and without a word about how they are distributed.
//!
//! Of n independent values, the number below their distribution's median has a binomial distribution with
//! n and 1/2. So the k-th smallest and the k-th largest value have the median between them with a probability of
//! 1 − 2·P(B ≤ k − 1), whatever the distribution (W. J. Conover, Practical Nonparametric Statistics, 3rd edition,
//! 1999, section 3.2). The largest k with at least 95 % is taken.
//!
//! Why not a bootstrap: with a handful of rounds it resamples the same few values, covers less than it says, and
//! needs a seed. Why not a t interval: a round beside a compiler is an outlier, and ratios of percentiles are
//! not normal. The price is a coverage that is a little above 95 %, and no interval at all below six values.

use serde::Serialize;

/// The probability with which an interval must hold the median.
pub(super) const COVERAGE_MIN: f64 = 0.95;

/// With fewer values the smallest and the largest do not hold it often enough.
pub(super) const VALUES_MIN: usize = 6;

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Interval {
    pub low: f64,
    pub high: f64,
    /// Which value it begins with, from the smallest, and ends with, from the largest; from 1.
    pub rank: usize,
    /// The probability with which such an interval holds the median, at least: equal values add to it.
    pub coverage: f64,
}

impl Interval {
    /// Of the median of the distribution that the values come from; `None` for fewer than [`VALUES_MIN`].
    pub(super) fn of_median(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (rank, coverage) = rank(sorted.len())?;
        Some(Self { low: sorted[rank - 1], high: sorted[sorted.len() - rank], rank, coverage })
    }

    /// Whether one is not in it: a ratio that is no accident.
    pub(super) fn excludes(&self, value: f64) -> bool {
        value < self.low || value > self.high
    }
}

/// The rank of the narrowest interval of `count` values that covers enough, and how much it covers. Exact for
/// the rounds of a bench: 2⁻¹⁰⁰⁰ is still a normal `f64`.
fn rank(count: usize) -> Option<(usize, f64)> {
    let mut best = None;
    // P(B = i), and P(B ≤ i) summed up.
    let mut probability = 0.5_f64.powi(i32::try_from(count).ok()?);
    let mut below = 0.0;
    for i in 0..count / 2 {
        below += probability;
        let coverage = 1.0 - 2.0 * below;
        if coverage < COVERAGE_MIN {
            break;
        }
        best = Some((i + 1, coverage));
        probability *= (count - i) as f64 / (i + 1) as f64;
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(values: &[f64]) -> Option<(f64, f64)> {
        Interval::of_median(values).map(|interval| (interval.low, interval.high))
    }

    /// Expected is what `scipy.stats.quantile_test(values, p=0.5).confidence_interval(0.95)` gives (1.17).
    #[test]
    fn the_interval_agrees_with_that_of_another_program() {
        assert_eq!(bounds(&[0.94, 1.02, 0.98, 1.11, 0.97, 1.00, 0.99, 1.05]), Some((0.94, 1.11)));
        let twelve = [1.031, 0.987, 1.012, 1.044, 0.995, 1.026, 1.008, 1.019, 0.972, 1.053, 1.037, 1.001];
        assert_eq!(bounds(&twelve), Some((0.995, 1.037)));
        let ties = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.02, 1.02, 1.02, 0.98, 0.98];
        assert_eq!(bounds(&ties), Some((1.0, 1.02)));
    }

    /// By hand: 1 − 2·(1/2)⁶ = 31/32; 1 − 2·(1 + 12 + 66)/2¹² = 1969/2048; the others by scipy's binom.cdf.
    #[test]
    fn ranks_and_coverages_are_those_of_the_binomial_distribution() {
        for (count, rank_expected, coverage_expected) in [
            (6, 1, 31.0 / 32.0),
            (8, 1, 0.992_187_5),
            (9, 2, 0.960_937_5),
            (12, 3, 1969.0 / 2048.0),
            (17, 5, 0.950_958_251_953_125),
            (100, 40, 0.964_799_799_782_295_2),
            (1000, 469, 0.953_708_802_639_501_9),
        ] {
            let (rank, coverage) = rank(count).unwrap();
            assert_eq!(rank, rank_expected, "of {count}");
            assert!((coverage - coverage_expected).abs() < 1e-12, "of {count}: {coverage}");
        }
    }

    #[test]
    fn too_few_values_have_no_interval_rather_than_one_that_promises_too_much() {
        assert_eq!(rank(VALUES_MIN - 1), None);
        assert!(rank(VALUES_MIN).is_some());
        assert_eq!(bounds(&[1.01, 1.02, 1.03, 1.04, 1.05]), None);
        assert_eq!(bounds(&[]), None);
    }

    #[test]
    fn a_bound_belongs_to_the_interval() {
        let interval = Interval { low: 1.0, high: 1.02, rank: 1, coverage: 0.97 };
        assert!(!interval.excludes(1.0) && !interval.excludes(1.02));
        assert!(interval.excludes(0.999) && interval.excludes(1.021));
    }
}
