//! The places that will be busy when an instance that is started now is ready.
//!
//! Level and trend of the busy places are smoothed exponentially (C. C. Holt, "Forecasting Seasonals and Trends by
//! Exponentially Weighted Moving Averages", 1957): the forecast follows a load that rises evenly without a lag, and one
//! look alone moves it by a little. The further it looks ahead, the longer it smooths, as what chance makes of the trend
//! counts as often as there are seconds until then. Calls that come at random make the busy places of an even load vary by
//! about the square root of their mean, so as many are kept free (square-root staffing: S. Halfin and W. Whitt,
//! "Heavy-Traffic Limits for Queues with Many Exponential Servers", 1981).

use crate::clock::Nanos;

/// Shortest time constant of the level (s); a third of the time that is looked ahead where that is more.
const LEVEL_S_MIN: f64 = 0.5;
/// Shortest time constant of the trend (s); half of the time that is looked ahead where that is more.
const TREND_S_MIN: f64 = 1.0;
/// Square roots of the busy places that are to be free.
const SPREAD: f64 = 1.0;

/// Level and trend of the busy places of one version.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Forecast {
    last: Option<Nanos>,
    /// Busy places.
    level: f64,
    /// Busy places more in a second.
    trend: f64,
}

impl Forecast {
    /// Takes note of the busy places at a time that is after the last one. Gives the places that are to be there so that
    /// hardly any call waits for one within the time `ahead` (ns). A load that falls is taken for one that stays.
    #[must_use]
    pub(super) fn places(&mut self, busy: u32, ahead: Nanos, now: Nanos) -> u32 {
        let (busy, ahead_s) = (f64::from(busy), ahead as f64 / 1e9);
        match self.last.replace(now) {
            None => self.level = busy,
            Some(last) => {
                let passed = now.saturating_sub(last).max(1) as f64 / 1e9;
                let share = |constant: f64| 1.0 - (-passed / constant).exp();
                let expected = self.level + self.trend * passed;
                let moved = share(LEVEL_S_MIN.max(ahead_s / 3.0)) * (busy - expected);
                self.level = (expected + moved).max(0.0);
                self.trend += share(TREND_S_MIN.max(ahead_s / 2.0)) * moved / passed;
            }
        }
        (self.level + self.trend.max(0.0) * ahead_s + SPREAD * self.level.sqrt()).ceil() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Nanos = 1_000_000;

    /// The places for the next 3 s after looks each 100 ms at what is busy then.
    fn after(looks: u64, busy: impl Fn(u64) -> u64) -> u32 {
        let mut forecast = Forecast::default();
        let mut look =
            |nth| forecast.places(u32::try_from(busy(nth)).unwrap(), 3000 * MS, (1000 + nth * 100) * MS);
        (0..looks).map(&mut look).last().unwrap()
    }

    #[test]
    fn an_even_load_is_forecast_as_it_is_and_one_that_rises_evenly_as_it_will_be() {
        assert_eq!(after(100, |_| 9), 12);
        // 10 more in a second: 199 now, 229 in 3 s, and 14 for chance.
        let rising = after(200, |nth| nth);
        assert!((240..=246).contains(&rising), "{rising}");
    }

    #[test]
    fn a_load_that_falls_is_taken_for_one_that_stays() {
        let falling = after(200, |nth| 300 - nth);
        assert!((110..=114).contains(&falling), "{falling}");
    }

    #[test]
    fn one_look_alone_moves_it_by_a_little() {
        let calm = after(100, |_| 4);
        let spike = after(100, |nth| if nth == 99 { 8 } else { 4 });
        assert!(spike <= calm + 2, "{calm} {spike}");
    }

    #[test]
    fn nothing_busy_needs_no_place() {
        assert_eq!(after(100, |_| 0), 0);
    }
}
