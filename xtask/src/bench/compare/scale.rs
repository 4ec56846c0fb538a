//! A logarithmic axis of a plot: where a value is drawn, and which values are marked.

/// Marked where they are within a scale.
const MARKS: [f64; 19] =
    [0.1, 0.2, 0.25, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0];

/// So that a mark's text does not touch the next one's.
const MARK_DISTANCE_MIN: f64 = 26.0;

/// From the smallest to the largest value, both more than zero, over a range of pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct LogScale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl LogScale {
    /// Holds all values, and 1 with some room around it; what is not a ratio is left out.
    pub(super) fn around(values: impl IntoIterator<Item = f64>, from: f64, to: f64) -> Self {
        let (mut low, mut high) = (0.8_f64, 1.25_f64);
        for value in values.into_iter().filter(|value| value.is_finite() && *value > 0.0) {
            low = low.min(value / 1.05);
            high = high.max(value * 1.05);
        }
        Self { low, high, from, to }
    }

    /// The pixel of a value; one outside is at the edge.
    pub(super) fn position(&self, value: f64) -> f64 {
        let share = (value / self.low).ln() / (self.high / self.low).ln();
        self.from + share.clamp(0.0, 1.0) * (self.to - self.from)
    }

    /// Values to mark, of which 1 is one, with room between them.
    pub(super) fn marks(&self) -> Vec<f64> {
        let mut marks = vec![1.0];
        let within = MARKS.into_iter().filter(|mark| (self.low..=self.high).contains(mark));
        let mut by_importance: Vec<f64> = within.collect();
        // Farther from 1 first, so that both ends are marked.
        by_importance.sort_by(|a, b| b.ln().abs().total_cmp(&a.ln().abs()));
        for mark in by_importance {
            let is_free =
                |other: &f64| (self.position(mark) - self.position(*other)).abs() >= MARK_DISTANCE_MIN;
            if marks.iter().all(is_free) {
                marks.push(mark);
            }
        }
        marks.sort_by(f64::total_cmp);
        marks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_ratios_are_equally_far_apart() {
        let scale = LogScale::around([0.5 * 1.05, 2.0 / 1.05], 0.0, 200.0);
        assert!((scale.position(0.5) - 0.0).abs() < 1e-9);
        assert!((scale.position(1.0) - 100.0).abs() < 1e-9);
        assert!((scale.position(2.0) - 200.0).abs() < 1e-9);
        assert_eq!(scale.position(100.0), 200.0);
    }

    #[test]
    fn every_value_is_within_the_scale_and_one_is_always_marked() {
        let scale = LogScale::around([3.0, 7.0, f64::NAN], 10.0, 110.0);
        assert!(scale.position(3.0) > 10.0 && scale.position(7.0) < 110.0);
        let marks = scale.marks();
        assert!(marks.contains(&1.0) && marks.contains(&5.0), "{marks:?}");
        let positions: Vec<f64> = marks.iter().map(|mark| scale.position(*mark)).collect();
        assert!(positions.windows(2).all(|pair| pair[1] - pair[0] >= 20.0), "{positions:?}");
    }

    #[test]
    fn without_values_there_is_still_a_scale_around_one() {
        let scale = LogScale::around([], 0.0, 100.0);
        assert!((scale.position(1.0) - 50.0).abs() < 1e-9);
    }
}
