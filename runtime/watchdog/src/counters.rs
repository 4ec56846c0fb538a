//! Counters of the workers.

use std::cell::Cell;
use std::fmt::Write as _;

use crate::worker_exit::{REASONS, WorkerExit};

/// Restarts by reason, and late replies.
#[derive(Default)]
pub(crate) struct Counters {
    restarts: [Cell<u64>; REASONS.len()],
    late_replies: Cell<u64>,
}

impl Counters {
    pub(crate) fn count_restart(&self, exit: &WorkerExit) {
        if let Some(reason) = exit.reason() {
            increment(&self.restarts[reason]);
        }
    }

    /// Counts a reply that nobody waited for any more.
    pub(crate) fn count_late_reply(&self) {
        increment(&self.late_replies);
    }

    /// The metrics, as Prometheus' text.
    pub(crate) fn write_metrics(&self, text: &mut String, ready: usize, waiting: usize) {
        let name = "picofaas_watchdog_worker_restarts_total";
        let help = "Workers that another one followed, by how they ended.";
        writeln!(text, "# HELP {name} {help}\n# TYPE {name} counter").expect(ROOM);
        for (reason, count) in REASONS.iter().zip(&self.restarts) {
            writeln!(text, "{name}{{reason=\"{reason}\"}} {}", count.get()).expect(ROOM);
        }
        for (name, kind, help, value) in [
            (
                "late_replies_total",
                "counter",
                "Replies to requests that had been stopped.",
                self.late_replies.get(),
            ),
            ("workers_ready", "gauge", "Workers that take requests.", ready as u64),
            ("requests_waiting", "gauge", "Requests that no worker has been sent yet.", waiting as u64),
        ] {
            let name = format!("picofaas_watchdog_{name}");
            writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}").expect(ROOM);
        }
    }
}

const ROOM: &str = "a String takes everything";

fn increment(count: &Cell<u64>) {
    count.set(count.get() + 1);
}
