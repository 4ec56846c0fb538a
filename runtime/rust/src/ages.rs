//! The ages of an instance, which it tells with its health and its announcement.

use std::cell::Cell;
use std::fs;
use std::time::Duration;

use tokio::time::Instant;

use crate::clock;

/// The unit in which the kernel tells when a process was started, on every Linux.
const TICK_MS: u64 = 10;

/// The header that says that a `100` comes before a handler is run.
pub(crate) const ACKNOWLEDGES: (&str, &str) = ("x-acknowledges", "100-continue");

/// The ages of an instance. None is older than the one before it.
#[derive(Clone, Debug)]
pub(crate) struct Ages {
    /// Time from the start of the process until the runtime began.
    before: Duration,
    began: Instant,
    /// Time at which the handler could take an invocation.
    ready: Cell<Instant>,
}

impl Ages {
    /// The ages of a process whose runtime began at this time, and whose handler is not ready.
    pub(crate) fn of_process(began: Instant) -> Self {
        // Where the kernel does not tell it, the process is as old as the runtime.
        let process = process_age().unwrap_or_default();
        let before = process.saturating_sub(clock::now().duration_since(began));
        Self { before, began, ready: Cell::new(began) }
    }

    /// Takes note that the handler can take an invocation from now on.
    pub(crate) fn handler_is_ready(&self) {
        self.ready.set(clock::now());
    }

    /// The headers that tell the ages, in whole milliseconds.
    pub(crate) fn headers(&self) -> [(&'static str, u64); 3] {
        let now = clock::now();
        let runtime = now.duration_since(self.began);
        let handler = now.duration_since(self.ready.get());
        [
            ("x-process-age-ms", ms(self.before + runtime)),
            ("x-runtime-age-ms", ms(runtime)),
            ("x-handler-age-ms", ms(handler)),
        ]
    }
}

fn ms(age: Duration) -> u64 {
    u64::try_from(age.as_millis()).unwrap_or(u64::MAX)
}

/// The age of this process by the kernel's clock since boot, in steps of 10 ms.
fn process_age() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let uptime = fs::read_to_string("/proc/uptime").ok()?;
    age_of(&stat, &uptime)
}

/// The age of a process from the texts of `/proc/self/stat` and `/proc/uptime`.
fn age_of(stat: &str, uptime: &str) -> Option<Duration> {
    // The name, in brackets, may have anything in it. Behind it the start is the 20th field.
    let (_, fields) = stat.rsplit_once(')')?;
    let started_ticks: u64 = fields.split_ascii_whitespace().nth(19)?.parse().ok()?;
    let since_boot = Duration::try_from_secs_f64(uptime.split(' ').next()?.parse().ok()?).ok()?;
    Some(since_boot.saturating_sub(Duration::from_millis(started_ticks.checked_mul(TICK_MS)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_of_a_process_is_the_uptime_without_its_start_whatever_its_name() {
        let stat =
            "7 (a) 1 (b) S 1 7 7 0 -1 4194560 90 0 0 0 0 0 0 0 20 0 1 0 12345 0 0 18446744073709551615";
        assert_eq!(age_of(stat, "125.45 9.00\n"), Some(Duration::from_millis(2000)));
        assert_eq!(age_of(stat, "123.44 9.00\n"), Some(Duration::ZERO), "no age is negative");
        assert_eq!(age_of("7 (a) S 1", "125.45 9.00\n"), None);
        assert!(process_age().is_some(), "this system tells it");
    }

    #[test]
    fn a_process_is_no_younger_than_its_runtime_and_that_no_younger_than_its_handler() {
        let ages = Ages::of_process(clock::now());
        ages.handler_is_ready();
        let [(_, process), (_, runtime), (_, handler)] = ages.headers();
        assert!(process >= runtime && runtime >= handler, "{process} {runtime} {handler}");
        let before = Ages { before: Duration::from_millis(70), ..ages };
        assert!(before.headers()[0].1 >= 70);
    }
}
