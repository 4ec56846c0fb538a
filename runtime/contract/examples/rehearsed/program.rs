//! Counts, limits and the start of the program.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use picofaas_contract::patience::Stopwatch;

use crate::ages::Ages;
use crate::fault::Fault;
use crate::standby::Standby;

/// Ends of invocations, as the metrics name them.
const OUTCOMES: [&str; 5] = ["success", "rejected", "error", "timeout", "cancelled"];

/// The program. Every ordering is the strongest: nothing here has to be fast.
pub(crate) struct Program {
    pub(crate) function: String,
    fault: Option<Fault>,
    pub(crate) body_max: usize,
    pub(crate) output_max: usize,
    start: Stopwatch,
    init_ms: AtomicU64,
    was_asked: AtomicBool,
    stops: AtomicBool,
    in_flight: AtomicU64,
    ended: [AtomicU64; OUTCOMES.len()],
    /// Connections that speak frames.
    connections: AtomicUsize,
    pub(crate) ages: Ages,
    pub(crate) standby: Standby,
}

/// An invocation that runs; one that is dropped before its end was cancelled.
pub(crate) struct Running {
    program: Arc<Program>,
    outcome: &'static str,
}

/// A connection that speaks frames.
pub(crate) struct Speaking<'a>(&'a Program);

impl Program {
    pub(crate) fn from_environment() -> Self {
        let bytes = |name: &str, default| {
            std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
        };
        let fault = Fault::from_environment();
        let start = Stopwatch::start();
        std::thread::park_timeout(Duration::from_millis(bytes("CONTRACT_LOAD_MS", 0) as u64));
        let ages = Ages::default();
        ages.is_ready(start.elapsed());
        Self {
            function: std::env::var("HANDLER").expect("HANDLER"),
            fault,
            body_max: bytes("MAX_BODY", 1_114_112),
            output_max: bytes("MAX_OUTPUT", 1 << 20),
            start,
            init_ms: AtomicU64::new(0),
            was_asked: AtomicBool::new(false),
            stops: AtomicBool::new(false),
            in_flight: AtomicU64::new(0),
            ended: Default::default(),
            connections: AtomicUsize::new(0),
            ages,
            standby: Standby::from_environment(fault),
        }
    }

    pub(crate) fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    pub(crate) fn listens(&self) {
        self.init_ms.store(u64::try_from(self.start.elapsed().as_millis()).unwrap_or(0), Ordering::SeqCst);
    }

    pub(crate) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Milliseconds of the start, for the first answer.
    pub(crate) fn cold_start_ms(&self) -> Option<u32> {
        let is_first = !self.was_asked.swap(true, Ordering::SeqCst);
        let ms = u32::try_from(self.init_ms.load(Ordering::SeqCst)).unwrap_or(u32::MAX);
        (is_first || self.has(Fault::AlwaysCold)).then_some(ms)
    }

    pub(crate) fn stop(&self) {
        self.stops.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stops.load(Ordering::SeqCst)
    }

    pub(crate) fn is_drained(&self) -> bool {
        self.connections() == 0 && self.in_flight.load(Ordering::SeqCst) == 0
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn speaks(&self) -> Speaking<'_> {
        self.connections.fetch_add(1, Ordering::SeqCst);
        Speaking(self)
    }

    pub(crate) fn runs(self: &Arc<Self>) -> Running {
        self.in_flight.fetch_add(1, Ordering::SeqCst);
        Running { program: self.clone(), outcome: "cancelled" }
    }

    pub(crate) fn metrics(&self) -> String {
        let mut text = "# TYPE picofaas_runtime_invocations_total counter\n".to_owned();
        let counts = self.ended.each_ref().map(|count| count.load(Ordering::SeqCst));
        for (outcome, count) in OUTCOMES.iter().zip(counts) {
            let name = "picofaas_runtime_invocations_total";
            writeln!(text, "{name}{{outcome=\"{outcome}\"}} {count}").expect("a text takes more of it");
        }
        let all: u64 = counts.iter().sum();
        let in_flight = self.in_flight.load(Ordering::SeqCst);
        write!(
            text,
            "# TYPE picofaas_runtime_in_flight gauge\npicofaas_runtime_in_flight {in_flight}\n\
             # TYPE picofaas_runtime_invocation_seconds histogram\n\
             picofaas_runtime_invocation_seconds_bucket{{le=\"+Inf\"}} {all}\n\
             picofaas_runtime_invocation_seconds_sum 0\npicofaas_runtime_invocation_seconds_count {all}\n"
        )
        .expect("a text takes more of it");
        text
    }
}

impl Running {
    pub(crate) fn end(mut self, outcome: &'static str) {
        self.outcome = outcome;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let place = OUTCOMES.iter().position(|outcome| *outcome == self.outcome).expect("it is one of them");
        self.program.ended[place].fetch_add(1, Ordering::SeqCst);
        self.program.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for Speaking<'_> {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::SeqCst);
    }
}
