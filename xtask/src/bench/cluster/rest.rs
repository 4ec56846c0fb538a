//! Waiting until the machine has come to rest, before something is measured.

use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use crate::bench::cpu::MachineCpu;
use crate::wait::{Stopwatch, let_pass};

/// Of one core, spent by everybody. A cluster at rest spends about a tenth of one.
const BUSY_PERCENT_MAX: f64 = 40.0;
/// How long the machine is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// How long it is waited for.
const PATIENCE: Duration = Duration::from_secs(3);

/// State of the machine just before a measurement.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Rest {
    /// Of one core.
    pub busy_percent: f64,
    /// Share of one core that the hypervisor took.
    pub steal_percent: f64,
}

impl Rest {
    /// Waits until what went before is over and the machine is quiet, or will not be.
    pub(super) fn wait() -> Result<Self> {
        let watch = Stopwatch::start();
        loop {
            let before = MachineCpu::read()?;
            let look = Stopwatch::start();
            let_pass(LOOK);
            let (after, elapsed_s) = (MachineCpu::read()?, look.elapsed().as_secs_f64());
            let percent = |after: u64, before: u64| after.saturating_sub(before) as f64 / 1e7 / elapsed_s;
            let rest = Self {
                busy_percent: percent(after.busy_ns, before.busy_ns),
                steal_percent: percent(after.steal_ns, before.steal_ns),
            };
            if !rest.is_disturbed() || watch.elapsed() >= PATIENCE {
                return Ok(rest);
            }
        }
    }

    /// Whether something else than this bench keeps the machine busy.
    pub(super) fn is_disturbed(self) -> bool {
        self.busy_percent > BUSY_PERCENT_MAX
    }
}
