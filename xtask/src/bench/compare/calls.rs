//! Calls that a function counted itself, beside those that the load tool says were answered.
//!
//! Both tools count an answer when they have read it. A request that is under way when wrk stops is not among them
//! and may reach the function: one on each connection at most. Vegeta waits for the last. So a function must have
//! counted at least as many as were answered, and at most one for each connection more, and one for each call of the
//! warm-up that came late: a proxy may hand on a call whose client has gone. A proxy that answers itself shows as too
//! few, and one that repeats calls as too many.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Serialize;

use super::address::FunctionAddress;
use crate::wait;

/// The counter of all runtimes, a line for each way in which invocations end.
const COUNTER: &str = "picofaas_runtime_invocations_total{";

/// For calls that were accepted and have not ended: a queue is as long as it is.
const PATIENCE: Duration = Duration::from_secs(120);

/// Calls of one measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct CallCount {
    /// By the load tool.
    pub answered: u64,
    /// By the function.
    pub counted: u64,
}

/// The calls that ended so far; `None` for a program without this counter.
pub(super) fn count(address: &FunctionAddress) -> Result<Option<u64>> {
    let (status, metrics) = address.ask("GET /metrics", "").context("the function's metrics")?;
    if status == 404 {
        return Ok(None);
    }
    ensure!(status == 200, "GET /metrics of the function: status {status}");
    sum(&String::from_utf8_lossy(&metrics))
}

/// The same, when at least `least` have ended and no other ends any more.
pub(super) fn settled(address: &FunctionAddress, least: u64) -> Result<Option<u64>> {
    let mut last = None;
    let settled = wait::until(PATIENCE, || {
        let Some(now) = count(address)? else { return Ok(Some(None)) };
        let is_over = now >= least && last.replace(now) == Some(now);
        Ok(is_over.then_some(Some(now)))
    })?;
    let Some(count) = settled else {
        bail!(
            "the function has counted {} calls {} s after the load, where {least} were answered with success",
            last.unwrap_or_default(),
            PATIENCE.as_secs()
        )
    };
    Ok(count)
}

impl CallCount {
    /// Calls that were not read by the load tool.
    pub(super) fn surplus(self) -> u64 {
        self.counted.saturating_sub(self.answered)
    }

    /// Fails where the two do not agree; `under_way_max` were possibly not read by the load tool.
    pub(super) fn check(self, under_way_max: u64) -> Result<Self> {
        let Self { answered, counted } = self;
        ensure!(
            (answered..=answered + under_way_max).contains(&counted),
            "{answered} calls were answered and the function counted {counted}: expected as many, or up to \
             {under_way_max} more, which were under way at the end"
        );
        Ok(self)
    }
}

fn sum(metrics: &str) -> Result<Option<u64>> {
    let mut total = None;
    for line in metrics.lines().filter(|line| line.starts_with(COUNTER)) {
        let value = line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok());
        let value = value.with_context(|| format!("not a counter: {line:?}"))?;
        total = Some(total.unwrap_or_default() + value as u64);
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_summed_over_all_ways_to_end() {
        let text = "# TYPE picofaas_runtime_invocations_total counter\n\
            picofaas_runtime_invocations_total{outcome=\"success\"} 41\n\
            picofaas_runtime_invocations_total{outcome=\"cancelled\"} 1.0\npicofaas_runtime_in_flight 7\n";
        assert_eq!(sum(text).unwrap(), Some(42));
        assert_eq!(sum("up 1\n").unwrap(), None);
        assert!(sum("picofaas_runtime_invocations_total{outcome=\"success\"} many\n").is_err());
    }

    #[test]
    fn a_function_that_counted_fewer_calls_or_too_many_fails_the_measurement() {
        let check = |counted| CallCount { answered: 100, counted }.check(8);
        assert!(check(100).is_ok() && check(108).is_ok());
        assert!(check(99).unwrap_err().to_string().contains("the function counted 99"));
        assert!(check(109).is_err());
    }
}
