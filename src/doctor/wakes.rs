//! The time until a thread that sleeps runs again after it was woken.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;

use super::finding::{Complaint, Finding};
use crate::clock::{Clock, Nanos};

const NAME: &str = "wakes";
const WHY: &str = "Gateways, functions and a scheduler that parks sleep when there is nothing to do, and the first request after that waits until they run.";

/// The pause before each wake, in which the sleeper's CPU falls asleep.
const PAUSE: Duration = Duration::from_millis(1);
/// A median from which on a wake is felt beside the tens of microseconds of an invocation (ns).
const MEDIAN_NS_MAX: Nanos = 100_000;
/// Said to the sleeper at the end.
const END: u64 = u64::MAX;

/// Wakes a thread again and again for that long.
pub(super) fn examine(clock: Clock, duration: Duration) -> Finding {
    if duration.is_zero() {
        return Finding::not_looked_at(NAME, WHY, "--spin-ms 0", "Say --spin-ms 1000.");
    }
    judge(wake(clock, duration))
}

fn judge(mut latencies: Vec<Nanos>) -> Finding {
    latencies.sort_unstable();
    let Some(last) = latencies.len().checked_sub(1) else {
        let remedy = "Look at the limits of processes.";
        return Finding::not_looked_at(NAME, WHY, "no thread could be started for it", remedy);
    };
    let at = |percent: usize| latencies[last * percent / 100];
    let (median, late, longest) = (at(50), at(99), at(100));
    let seen = format!(
        "{} in half of {} wakes, {} in 99 %, longest {}",
        micros(median),
        latencies.len(),
        micros(late),
        micros(longest)
    );
    let data = json!({
        "count": latencies.len(), "medianUs": median as f64 / 1000.0, "p99Us": late as f64 / 1000.0,
        "longestUs": longest as f64 / 1000.0,
    });
    let complaint = (median > MEDIAN_NS_MAX).then(|| {
        Complaint::warning(
            "Keep CPUs awake: no deep idle states; on virtual machines, where the host wakes a CPU, cpuidle_haltpoll or idle=poll. Else give picofaas cores on which it spins (--scheduler spin, --poll-spin-us).",
        )
    });
    Finding::new(NAME, WHY, seen, data).with(complaint)
}

fn micros(nanos: Nanos) -> String {
    format!("{:.1} µs", nanos as f64 / 1000.0)
}

/// Latencies of wakes, from just before a thread is woken until it runs (ns): one at least, but where there is no
/// thread.
fn wake(clock: Clock, duration: Duration) -> Vec<Nanos> {
    // The time of the wake that is under way; 0 for none.
    let woken = AtomicU64::new(0);
    let end = clock.now() + u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().name("doctor-sleep".to_owned());
        let Ok(sleeper) = builder.spawn_scoped(scope, || sleep(clock, &woken)) else { return Vec::new() };
        loop {
            std::thread::park_timeout(PAUSE);
            // One that has not answered yet is given more time, and what it takes counts.
            if woken.load(Ordering::Acquire) == 0 {
                // Pairs with the swap of the sleeper.
                woken.store(clock.now().max(1), Ordering::Release);
                sleeper.thread().unpark();
            }
            if clock.now() >= end {
                break;
            }
        }
        while woken.compare_exchange(0, END, Ordering::AcqRel, Ordering::Acquire).is_err() {
            std::thread::yield_now();
        }
        sleeper.thread().unpark();
        sleeper.join().unwrap_or_default()
    })
}

/// Sleeps until it is woken for the last time.
fn sleep(clock: Clock, woken: &AtomicU64) -> Vec<Nanos> {
    let mut latencies = Vec::new();
    loop {
        std::thread::park();
        let now = clock.now();
        // Pairs with the store of the waker.
        match woken.swap(0, Ordering::AcqRel) {
            0 => {}
            END => return latencies,
            sent => latencies.push(now.saturating_sub(sent)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Verdict;

    #[test]
    fn half_of_the_wakes_and_the_latest_of_a_hundred_are_told() {
        let finding = judge((1..=101).rev().map(|micros| micros * 1000).collect());
        assert_eq!(
            finding.data,
            json!({ "count": 101, "medianUs": 51.0, "p99Us": 100.0, "longestUs": 101.0 })
        );
        assert_eq!(finding.verdict, Verdict::Ok);
        assert_eq!(judge(vec![100_001]).verdict, Verdict::Warning);
        assert_eq!(judge(Vec::new()).verdict, Verdict::Unknown);
    }

    #[test]
    fn a_thread_is_woken_again_and_again_until_the_time_is_over() {
        let clock = Clock::start();
        let latencies = wake(clock, Duration::from_millis(20));
        let longest = latencies.iter().copied().max().expect("a wake");
        assert!(longest > 0 && longest < clock.now(), "{latencies:?}");
        assert_eq!(examine(clock, Duration::ZERO).verdict, Verdict::Unknown);
    }
}
