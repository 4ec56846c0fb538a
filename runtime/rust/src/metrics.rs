//! The metrics of an instance, and their text for Prometheus.

use std::cell::Cell;
use std::fmt::{self, Display};
use std::time::Duration;

use tokio::time::Instant;

use crate::clock;

/// Upper bounds of the histogram's buckets in seconds; above the last there is +Inf.
const BOUNDS_SECONDS: [f64; 16] = [
    0.000_01, 0.000_05, 0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0,
    300.0,
];

/// The outcome of an invocation.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome {
    /// An output was answered.
    Success,
    /// The request never reached the handler.
    Rejected,
    /// The handler failed, or its output could not be used.
    Error,
    /// The deadline passed.
    Timeout,
    /// The caller closed the connection.
    Cancelled,
}

impl Outcome {
    const ALL: [Self; 5] = [Self::Success, Self::Rejected, Self::Error, Self::Timeout, Self::Cancelled];

    fn label(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Rejected => "rejected",
            Self::Error => "error",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Counts of one instance. They belong to its one thread.
pub(crate) struct Metrics {
    in_flight: Cell<u64>,
    invocations: [Cell<u64>; Outcome::ALL.len()],
    /// Not cumulative; the last is +Inf.
    buckets: [Cell<u64>; BOUNDS_SECONDS.len() + 1],
    total: Cell<Duration>,
}

/// An invocation in flight. Dropped with no outcome it counts as cancelled: hyper drops
/// the work for a caller that went away.
#[must_use = "it counts as in flight until it is dropped"]
pub(crate) struct InFlight<'a> {
    metrics: &'a Metrics,
    pub(crate) began: Instant,
    outcome: Outcome,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        Self {
            in_flight: Cell::new(0),
            invocations: Default::default(),
            buckets: Default::default(),
            total: Cell::new(Duration::ZERO),
        }
    }

    /// Counts an invocation in; it is counted out when the guard is dropped.
    pub(crate) fn begin(&self) -> InFlight<'_> {
        self.begin_at(clock::now())
    }

    /// Does the same for one that began at this time.
    pub(crate) fn begin_at(&self, began: Instant) -> InFlight<'_> {
        self.count_in();
        InFlight { metrics: self, began, outcome: Outcome::Cancelled }
    }

    /// Counts in an invocation that has no guard.
    pub(crate) fn count_in(&self) {
        increment(&self.in_flight);
    }

    /// Counts out an invocation that began at this time.
    pub(crate) fn count_out(&self, began: Instant, outcome: Outcome) {
        let took = clock::now().duration_since(began);
        let seconds = took.as_secs_f64();
        let bucket = BOUNDS_SECONDS.iter().position(|bound| seconds <= *bound);
        increment(&self.buckets[bucket.unwrap_or(BOUNDS_SECONDS.len())]);
        self.total.set(self.total.get() + took);
        increment(&self.invocations[outcome as usize]);
        self.in_flight.set(self.in_flight.get() - 1);
    }

    pub(crate) fn in_flight(&self) -> u64 {
        self.in_flight.get()
    }
}

impl InFlight<'_> {
    /// Ends the invocation.
    pub(crate) fn end(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.metrics.count_out(self.began, self.outcome);
    }
}

fn increment(count: &Cell<u64>) {
    count.set(count.get() + 1);
}

impl Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = "picofaas_runtime_invocations_total";
        writeln!(f, "# HELP {name} Invocations that ended, by how they ended.")?;
        writeln!(f, "# TYPE {name} counter")?;
        for outcome in Outcome::ALL {
            let count = self.invocations[outcome as usize].get();
            writeln!(f, "{name}{{outcome=\"{}\"}} {count}", outcome.label())?;
        }

        let name = "picofaas_runtime_in_flight";
        writeln!(f, "# HELP {name} Invocations that are being worked on.")?;
        writeln!(f, "# TYPE {name} gauge")?;
        writeln!(f, "{name} {}", self.in_flight())?;

        let name = "picofaas_runtime_invocation_seconds";
        writeln!(f, "# HELP {name} Time from a request's head to its answer.")?;
        writeln!(f, "# TYPE {name} histogram")?;
        let mut count = 0;
        for (bound, bucket) in BOUNDS_SECONDS.iter().zip(&self.buckets) {
            count += bucket.get();
            writeln!(f, "{name}_bucket{{le=\"{bound}\"}} {count}")?;
        }
        count += self.buckets[BOUNDS_SECONDS.len()].get();
        writeln!(f, "{name}_bucket{{le=\"+Inf\"}} {count}")?;
        writeln!(f, "{name}_sum {}", self.total.get().as_secs_f64())?;
        writeln!(f, "{name}_count {count}")
    }
}
