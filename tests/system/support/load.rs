//! A steady stream of invocations over kept connections.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::client::Client;
use super::patience::{Stopwatch, eventually};
use super::server::Server;

/// How long a load lasts where `PICOFAAS_LOAD_SECONDS` says nothing.
const SECONDS: u64 = 10;
/// Failures that are kept to be shown.
const SHOWN_MAX: usize = 5;

/// Callers that invoke a function of the handler `identity` at a fixed rate, each on one connection.
pub(crate) struct Load {
    over: Arc<AtomicBool>,
    /// By all callers.
    answered: Arc<AtomicU32>,
    callers: Vec<JoinHandle<Report>>,
    watch: Stopwatch,
    per_second: u32,
}

/// Outcome of a load.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Requests that were answered.
    pub answered: u32,
    /// The first few answers that are not 200 with their own input from the first attempt.
    pub failures: Vec<String>,
    pub failed: u32,
    /// The processes that answered.
    pub pids: BTreeSet<u64>,
}

/// How long a test under load is to last: 10 s, or `PICOFAAS_LOAD_SECONDS`.
pub(crate) fn duration() -> Duration {
    let seconds = std::env::var("PICOFAAS_LOAD_SECONDS").ok();
    let seconds = seconds.map(|text| text.parse().expect("PICOFAAS_LOAD_SECONDS is a number of seconds"));
    Duration::from_secs(seconds.unwrap_or(SECONDS))
}

/// How many invocations of a function per second take this share of the time of one instance, as it goes now;
/// at least 20.
pub(crate) fn rate_of(server: &Server, function: &str, share: f64) -> u32 {
    const TRIES: u32 = 50;
    let mut client = server.client();
    let watch = Stopwatch::start();
    for input in 0..TRIES {
        assert_eq!(client.invoke(function, input).status, 200);
    }
    let per_second = f64::from(TRIES) / watch.elapsed().as_secs_f64() * share;
    // Whole, and as many as fit.
    format!("{:.0}", per_second.clamp(20.0, 1e6)).parse().unwrap()
}

impl Load {
    /// Begins to invoke `function`, `per_second` times over all `connections`.
    pub(crate) fn start(server: &Server, function: &'static str, per_second: u32, connections: u32) -> Self {
        let (over, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let (watch, period) = (Stopwatch::start(), Duration::from_secs(1) * connections / per_second);
        let callers = (0..connections).map(|at| {
            let (client, over, answered) = (server.client(), over.clone(), answered.clone());
            let first = period * at / connections;
            thread::spawn(move || call(client, function, &over, &answered, watch, first, period))
        });
        Self { callers: callers.collect(), over, answered, watch, per_second }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.watch.elapsed()
    }

    /// Waits until so many more requests were answered.
    pub(crate) fn until_answered_more(&self, more: u32) {
        let before = self.answered.load(Ordering::Acquire);
        eventually("the load is answered", || {
            (self.answered.load(Ordering::Acquire) >= before + more).then_some(())
        });
    }

    /// Ends it. Every request was answered with 200, its own input and at the first attempt.
    #[track_caller]
    pub(crate) fn stop(self) -> Report {
        let elapsed = self.watch.elapsed();
        self.over.store(true, Ordering::Release);
        let mut whole = Report::default();
        for caller in self.callers {
            let report = caller.join().expect("every request is answered");
            whole.answered += report.answered;
            whole.failed += report.failed;
            whole.failures.extend(report.failures);
            whole.pids.extend(report.pids);
        }
        println!("{} answers in {elapsed:?} from {} processes", whole.answered, whole.pids.len());
        assert_eq!(whole.failed, 0, "of {}: {:#?}", whole.answered, whole.failures);
        // A machine that is busy with other tests is slower, but a load that is none proves nothing.
        let due = elapsed.as_secs_f64() * f64::from(self.per_second);
        assert!(f64::from(whole.answered) > due / 20.0, "only {} of {due:.0} were sent", whole.answered);
        whole
    }
}

fn call(
    mut client: Client,
    function: &str,
    over: &AtomicBool,
    answered: &AtomicU32,
    watch: Stopwatch,
    first: Duration,
    period: Duration,
) -> Report {
    let mut report = Report::default();
    let mut due = first;
    while !over.load(Ordering::Acquire) {
        if let Some(left) = due.checked_sub(watch.elapsed()).filter(|left| !left.is_zero()) {
            thread::park_timeout(left);
            continue;
        }
        // Requests that a slow moment held up are sent after it, not left out.
        due += period;
        let input = report.answered;
        let answer = client.invoke(function, input);
        report.answered += 1;
        answered.fetch_add(1, Ordering::AcqRel);
        let output = if answer.status == 200 { answer.json()["output"].clone() } else { Default::default() };
        if output["input"] == input && answer.header("x-attempts") == Some("1") {
            report.pids.extend(output["pid"].as_u64());
        } else {
            report.failed += 1;
            if report.failures.len() < SHOWN_MAX {
                report.failures.push(format!("{:?} {answer:?}", watch.elapsed()));
            }
        }
    }
    report
}
