//! Rates that an open loop's are taken of, measured in the same run: nginx's peak, and what the load tool can send.

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::load_point::LoadPoint;
use super::measurement;
use super::setup::Setup;
use super::subject::Subject;
use crate::bench::report::Spread;

/// Times that each is measured; their median counts.
const TIMES: u32 = 3;

#[derive(Debug, Serialize)]
pub(super) struct Peak {
    /// Requests per second of nginx under the usual closed loop.
    nginx: Vec<f64>,
    /// Of vegeta against the function itself, without a pause between requests.
    tool: Vec<f64>,
}

impl Peak {
    pub(super) fn measure(setup: &Setup) -> Result<Self> {
        let mut peak = Self { nginx: Vec::new(), tool: Vec::new() };
        let point = LoadPoint::USUAL;
        let nginx = Subject::nginx();
        let direct = Subject::direct();
        for _ in 0..TIMES {
            let measured = measurement::measure(setup, &nginx, &point, 0).context("nginx's peak")?;
            peak.nginx.push(measured.requests_per_second);
            let running = direct.start(setup, &point)?;
            let load = setup.vegeta()?.attack(&running, setup.payload(&point)?, None, setup.seconds)?;
            peak.tool.push(setup.vegeta()?.read(&load)?.requests_per_second);
            running.stop()?;
        }
        println!("{}", peak.describe());
        Ok(peak)
    }

    /// Requests per second at `percent` of nginx's peak.
    pub(super) fn rate(&self, percent: u32) -> u32 {
        let peak = Spread::of(self.nginx.clone()).median().unwrap_or_default();
        ((peak * f64::from(percent) / 100.0) as u32).max(1)
    }

    /// A line for the report.
    pub(super) fn describe(&self) -> String {
        let spread = |rates: &[f64]| Spread::of(rates.to_vec());
        format!(
            "open loop: nginx's peak is {} requests/s (wrk, {}); vegeta against the function itself, as fast as it \
             can, makes {}",
            spread(&self.nginx),
            LoadPoint::USUAL,
            spread(&self.tool)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_share_of_the_median_peak() {
        let peak = Peak { nginx: vec![10_000.0, 30_000.0, 20_000.0], tool: vec![1.0] };
        assert_eq!(peak.rate(30), 6_000);
        assert_eq!(peak.rate(90), 18_000);
    }
}
