//! The bootstrap's percentile interval for a median.
//!
//! From the values of the rounds as many are drawn with replacement, and their median is taken; this is repeated,
//! and of all these medians, sorted, the middle 95 % make the interval (B. Efron and R. J. Tibshirani, An
//! Introduction to the Bootstrap, 1993, section 13.3). Nothing is assumed of how values are distributed but that
//! rounds are independent.
//!
//! With few rounds it resamples the same few values, and holds the median a little less often than it says. It
//! describes; [`Interval`](crate::bench::interval::Interval) decides between two binaries, with a
//! probability that is exact.

use serde::Serialize;

use crate::bench::report::Spread;

const RESAMPLES: usize = 10_000;

/// Ends of the interval among the resamples, from 1: 2.5 % are below it, and as many above.
const RANKS: [usize; 2] = [RESAMPLES / 40, RESAMPLES - RESAMPLES / 40];

/// Of fewer, the resamples are the same few medians again.
pub(super) const VALUES_MIN: usize = 5;

/// The same in every run, so that the same figures have the same interval.
const SEED: u64 = 0x7069_636f_6661_6173;

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct BootstrapInterval {
    pub low: f64,
    pub high: f64,
}

impl BootstrapInterval {
    /// Of the median with 95 %; `None` for fewer than [`VALUES_MIN`].
    pub(super) fn of_median(values: &[f64]) -> Option<Self> {
        if values.len() < VALUES_MIN {
            return None;
        }
        let mut random = SplitMix64(SEED);
        let mut medians = Vec::with_capacity(RESAMPLES);
        for _ in 0..RESAMPLES {
            let drawn = values.iter().map(|_| values[random.below(values.len())]).collect();
            medians.push(Spread::of(drawn).median()?);
        }
        medians.sort_by(f64::total_cmp);
        let [low, high] = RANKS.map(|rank| medians[rank - 1]);
        Some(Self { low, high })
    }
}

/// SplitMix64 (G. L. Steele, D. Lea and C. H. Flood, Fast Splittable Pseudorandom Number Generators, OOPSLA 2014).
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is small: the bias of the product is below 2⁻⁵⁰.
    fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first outputs for the seed 1234567, as the reference implementation in C gives them.
    #[test]
    fn the_generator_is_the_one_that_it_is_called() {
        let mut random = SplitMix64(1_234_567);
        let expected = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!(expected.map(|_| random.next()), expected);
    }

    #[test]
    fn numbers_below_a_bound_are_about_equally_many() {
        let mut random = SplitMix64(SEED);
        let mut counts = [0; 6];
        for _ in 0..60_000 {
            counts[random.below(6)] += 1;
        }
        assert!(counts.iter().all(|count| (9_600..10_400).contains(count)), "{counts:?}");
    }

    /// The median of 5 of 5 is the smallest value where at least 3 are drawn from it: P = 0.058, so the lower end is
    /// the smallest value; and P(median ≤ the second) = 0.317, so it would not be with a 90 % interval's 5 %.
    #[test]
    fn of_few_values_the_interval_goes_from_the_smallest_to_the_largest() {
        let interval = BootstrapInterval::of_median(&[5.0, 1.0, 4.0, 2.0, 3.0]).unwrap();
        assert_eq!((interval.low, interval.high), (1.0, 5.0));
    }

    /// Exact ends from the binomial distribution of the bootstrap's median of 11: P(median ≤ x₍ₖ₎) is
    /// P(B(11, k/11) ≥ 6), which is 0.0072 for k = 2 and 0.0512 for k = 3.
    #[test]
    fn the_ends_are_those_of_the_medians_distribution() {
        let values: Vec<f64> = (1..=11).map(f64::from).collect();
        let interval = BootstrapInterval::of_median(&values).unwrap();
        assert_eq!((interval.low, interval.high), (3.0, 9.0));
        let same = BootstrapInterval::of_median(&[7.0; 20]).unwrap();
        assert_eq!((same.low, same.high), (7.0, 7.0));
    }

    #[test]
    fn the_same_values_have_the_same_interval_and_too_few_have_none() {
        let values = [1.02, 0.97, 1.11, 1.05, 0.99, 1.0];
        assert_eq!(BootstrapInterval::of_median(&values), BootstrapInterval::of_median(&values));
        assert_eq!(BootstrapInterval::of_median(&values[..4]), None);
    }
}
