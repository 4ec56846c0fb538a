//! Metrics: counters and histograms of one writer each, merged at scrape.

pub(crate) mod exposition;
pub(crate) mod snapshot;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::Nanos;
use crate::cold_phases::{COLD_PHASES, ColdPhases};
use crate::start_reason::StartReason;

/// A counter that one thread counts up and others read.
///
/// With one writer, a load and a store are enough; a locked add costs several times as much.
#[derive(Debug, Default)]
pub struct CounterCell(AtomicU64);

impl CounterCell {
    /// Adds one. Only the thread that owns the cell calls this.
    pub fn add_one(&self) {
        self.add(1);
    }

    /// Adds `n`. Only the thread that owns the cell calls this.
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    /// The count so far.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Upper bounds of the histograms' buckets in nanoseconds: 10 µs … 300 s, three or four per decade.
pub(crate) const BUCKETS_NS: [Nanos; 23] = [
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
    30_000_000_000,
    60_000_000_000,
    120_000_000_000,
    300_000_000_000,
];

/// Upper bounds of the buckets for passes of the scheduler in nanoseconds: 100 ns … 100 ms, three per
/// decade. A pass is expected below 10 µs, where the other histograms begin.
pub(crate) const TICK_BUCKETS_NS: [Nanos; 19] = [
    100,
    250,
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
];

/// The buckets and the sum of a histogram.
#[derive(Debug)]
pub struct HistogramCells<const CELLS: usize = { BUCKETS_NS.len() + 1 }> {
    /// Observations per bucket, not cumulative; the last one is above every bound.
    pub counts: [CounterCell; CELLS],
    /// Sum of all observations.
    pub sum_ns: CounterCell,
}

/// The histogram of durations of the scheduler's passes.
pub type TickHistogramCells = HistogramCells<{ TICK_BUCKETS_NS.len() + 1 }>;

impl<const CELLS: usize> Default for HistogramCells<CELLS> {
    fn default() -> Self {
        Self { counts: std::array::from_fn(|_| CounterCell::default()), sum_ns: CounterCell::default() }
    }
}

impl<const CELLS: usize> HistogramCells<CELLS> {
    /// Counts one duration in the first bucket whose bound it does not exceed. `bounds` are one fewer
    /// than the cells, and the same at each call. Only the thread that owns the cells calls this.
    pub fn observe(&self, bounds: &[Nanos], ns: Nanos) {
        let bucket = bounds.partition_point(|bound| *bound < ns);
        self.counts[bucket].add_one();
        self.sum_ns.add(ns);
    }
}

/// A histogram of durations that takes memory at its first use.
#[derive(Debug, Default)]
pub struct Histogram(OnceLock<Box<HistogramCells>>);

impl Histogram {
    /// Counts one duration. Only the thread that owns the histogram calls this.
    pub fn observe(&self, ns: Nanos) {
        self.0.get_or_init(Box::default).observe(&BUCKETS_NS, ns);
    }

    /// The numbers, where there are any.
    #[must_use]
    pub fn cells(&self) -> Option<&HistogramCells> {
        self.0.get().map(Box::as_ref)
    }
}

/// The reason of a refusal at admission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RejectReason {
    /// No queue credit.
    QueueFull,
    /// No slot free for an execution.
    ExecutionsFull,
    /// No room for another execution that must be kept.
    RetentionFull,
    /// No room for its bytes.
    PayloadBytesFull,
    /// It would have waited for longer than its deadline.
    DeadlineUnreachable,
    /// The process is stopping.
    Draining,
    /// The request itself was wrong.
    Invalid,
}

impl RejectReason {
    /// All of them, in the order of [`FunctionMetrics::rejected`].
    pub(crate) const ALL: [RejectReason; 7] = [
        RejectReason::QueueFull,
        RejectReason::ExecutionsFull,
        RejectReason::RetentionFull,
        RejectReason::PayloadBytesFull,
        RejectReason::DeadlineUnreachable,
        RejectReason::Draining,
        RejectReason::Invalid,
    ];

    /// The value of the label `reason`.
    #[must_use]
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            RejectReason::QueueFull => "queue_full",
            RejectReason::ExecutionsFull => "executions_full",
            RejectReason::RetentionFull => "retention_full",
            RejectReason::PayloadBytesFull => "payload_bytes_full",
            RejectReason::DeadlineUnreachable => "deadline_unreachable",
            RejectReason::Draining => "draining",
            RejectReason::Invalid => "invalid",
        }
    }
}

/// Values of the label `status_class`, from the status 100 on.
pub(crate) const STATUS_CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The metrics of one function on one gateway. Written by that gateway, read at scrape.
#[derive(Debug, Default)]
pub struct FunctionMetrics {
    /// Admitted: every one of them ends in exactly one of the next four.
    pub enqueued: CounterCell,
    /// Ended well.
    pub success: CounterCell,
    /// Ended as an error, the function's 4xx included.
    pub error: CounterCell,
    /// Ended by a deadline.
    pub timeout: CounterCell,
    /// Ended because nobody wanted it any more.
    pub cancelled: CounterCell,
    /// Errors of executions that were not begun, because they would hardly have ended in time.
    pub unreachable: CounterCell,
    /// Attempts sent to an instance.
    pub dispatched: CounterCell,
    /// Attempts over a connection that carries many.
    pub framed: CounterCell,
    /// Attempts after the first.
    pub retries: CounterCell,
    /// Refused, by [`RejectReason`].
    pub rejected: [CounterCell; RejectReason::ALL.len()],
    /// Heads of answers to web requests, by the hundreds of their status, from 100 on.
    pub web_responses: [CounterCell; STATUS_CLASSES.len()],
    /// Answers that were the first of their instance.
    pub cold_starts: CounterCell,
    /// Attempts at an instance that had been started ahead and was ready.
    pub standby_taken: CounterCell,
    /// Attempts of a function with standby instances that had to wait for a start.
    pub standby_missed: CounterCell,
    /// Answers that came after the execution had ended.
    pub late_results: CounterCell,
    /// From admission to the end.
    pub latency: Histogram,
    /// From admission to the first dispatch.
    pub queue_wait: Histogram,
    /// From the request written to the answer read, of the last attempt.
    pub execution: Histogram,
    /// Latency less execution.
    pub overhead: Histogram,
    /// Duration of a cold start, as the instance said.
    pub cold_start: Histogram,
    /// Durations of the phases of a cold start, by their place in [`COLD_PHASES`].
    pub(crate) cold_phases: [Histogram; COLD_PHASES.len()],
}

impl FunctionMetrics {
    /// Counts a cold start, with its duration as the instance said (ns), and its phases.
    pub(crate) fn count_cold_start(&self, init_ns: Option<Nanos>, phases: Option<ColdPhases>) {
        self.cold_starts.add_one();
        if let Some(ns) = init_ns {
            self.cold_start.observe(ns);
        }
        for (at, ns) in phases.iter().flat_map(ColdPhases::known) {
            self.cold_phases[at].observe(ns);
        }
    }
}

/// The metrics of one function, by gateway, and those of control; they outlive its versions.
#[derive(Debug)]
pub struct MetricsByGateway(pub Box<[FunctionMetrics]>, ControlMetrics);

/// The metrics of one function that control counts.
#[derive(Debug, Default)]
pub struct ControlMetrics {
    /// Time that instances waited which had been started ahead and were never used (ns).
    pub standby_wasted_ns: CounterCell,
    /// Starts of instances that stay, by [`StartReason`].
    pub(crate) started: [CounterCell; StartReason::ALL.len()],
}

impl ControlMetrics {
    /// Counts starts of instances that stay.
    pub(crate) fn count_starts(&self, reason: StartReason, count: u32) {
        self.started[reason as usize].add(u64::from(count));
    }
}

impl MetricsByGateway {
    /// Zeros for each gateway.
    #[must_use]
    pub fn new(gateways: usize) -> Self {
        Self((0..gateways).map(|_| FunctionMetrics::default()).collect(), ControlMetrics::default())
    }

    /// The part that control counts, and nobody else.
    #[must_use]
    pub fn of_control(&self) -> &ControlMetrics {
        &self.1
    }

    /// Sum of one counter over the gateways.
    #[must_use]
    pub fn sum(&self, count: impl Fn(&FunctionMetrics) -> &CounterCell) -> u64 {
        self.0.iter().map(|metrics| count(metrics).get()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_own_bucket() {
        let histogram = Histogram::default();
        assert!(histogram.cells().is_none(), "an unused histogram took memory");
        for ns in [0, 10_000, 10_001, 300_000_000_000, 300_000_000_001] {
            histogram.observe(ns);
        }
        let cells = histogram.cells().expect("used");
        let counts: Vec<u64> = cells.counts.iter().map(CounterCell::get).collect();
        assert_eq!((counts[0], counts[1], counts[22], counts[23]), (2, 1, 1, 1));
    }
}
