//! Interruptions of a thread that spins: how long, and how often, the machine takes its CPU away.

use std::fs;
use std::time::Duration;

use rustix::param::clock_ticks_per_second;
use rustix::thread::{CpuSet, sched_setaffinity};
use serde_json::{Value, json};

use super::finding::{Complaint, Finding};
use crate::clock::{Clock, NANOS_PER_MS, Nanos};

const NAME: &str = "interruptions";
const WHY: &str = "Whatever interrupts a spinning scheduler, an interrupt, another thread or the hypervisor, delays every invocation that comes in meanwhile.";

/// A shorter gap between two reads of the clock is the read itself (ns).
const GAP_NS_MIN: Nanos = 1000;
/// Gaps of 2^0 µs, of 2^1 µs, …, and in the last one all above (8 s).
const BUCKETS: usize = 24;

/// The longest gap, and the share of time lost, that low latency bears; ten times of either makes it impossible.
const GAP_NS_MAX: Nanos = NANOS_PER_MS;
const LOST_SHARE_MAX: f64 = 0.01;
const FACTOR: u32 = 10;

/// Gaps in the time of a thread that reads the clock without end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Interruptions {
    /// By the power of two of their microseconds.
    counts: [u64; BUCKETS],
    longest_ns: Nanos,
    lost_ns: Nanos,
    spun_ns: Nanos,
    /// Times that the kernel gave the CPU to another thread.
    preemptions: u64,
    /// Time that the hypervisor gave to other machines, in steps of 10 ms as the kernel counts it (ms).
    stolen_ms: u64,
    /// Whether the thread was on the CPU that it was to be on.
    is_pinned: bool,
}

impl Interruptions {
    fn add(&mut self, gap_ns: Nanos) {
        let bucket = (gap_ns / GAP_NS_MIN).max(1).ilog2() as usize;
        self.counts[bucket.min(BUCKETS - 1)] += 1;
        self.longest_ns = self.longest_ns.max(gap_ns);
        self.lost_ns += gap_ns;
    }

    fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    fn lost_share(&self) -> f64 {
        if self.spun_ns == 0 { 0.0 } else { self.lost_ns as f64 / self.spun_ns as f64 }
    }

    /// The buckets that have any, with their bounds (µs).
    fn histogram(&self) -> impl Iterator<Item = (u64, u64, u64)> {
        let buckets = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        buckets.map(|(power, count)| (1 << power, 1 << (power + 1), *count))
    }
}

/// Spins for that long on a CPU, which is the one that the scheduler's thread would be pinned to.
pub(super) fn examine(clock: Clock, duration: Duration, core: Option<usize>) -> Finding {
    if duration.is_zero() {
        let remedy = "Say --spin-ms 1000.";
        return Finding::not_looked_at(NAME, WHY, "--spin-ms 0", remedy);
    }
    let Some(core) = core else {
        let remedy = "Look at the affinity of this process.";
        return Finding::not_looked_at(NAME, WHY, "it is not known which CPUs this process may use", remedy);
    };
    let spinning = std::thread::Builder::new().name("doctor-spin".to_owned());
    // A thread of its own, as that of the scheduler: the affinity of the others stays as it is.
    match spinning.spawn(move || spin(clock, duration, core)).map(std::thread::JoinHandle::join) {
        Ok(Ok(seen)) => judge(&seen, core),
        Ok(Err(_)) | Err(_) => Finding::not_looked_at(
            NAME,
            WHY,
            "no thread could be started for it",
            "Look at the limits of processes.",
        ),
    }
}

fn judge(found: &Interruptions, core: usize) -> Finding {
    let count = found.count();
    let mut seen = format!(
        "{count} above 1 µs in {} ms on CPU {core}, longest {} µs, {:.3} % of the time lost; {} times to another thread, {} ms to other virtual machines",
        found.spun_ns / NANOS_PER_MS,
        found.longest_ns / 1000,
        found.lost_share() * 100.0,
        found.preemptions,
        found.stolen_ms,
    );
    if !found.is_pinned {
        seen += "; the thread could not be pinned";
    }
    let histogram: Vec<Value> = found
        .histogram()
        .map(|(from, to, count)| json!({ "fromUs": from, "toUs": to, "count": count }))
        .collect();
    let data = json!({
        "cpu": core, "pinned": found.is_pinned, "spunUs": found.spun_ns / 1000, "count": count,
        "longestUs": found.longest_ns / 1000, "lostUs": found.lost_ns / 1000,
        "lostShare": found.lost_share(), "preemptions": found.preemptions, "stolenMs": found.stolen_ms,
        "histogram": histogram,
    });
    let exceeds = |factor: u32| {
        found.longest_ns >= GAP_NS_MAX * u64::from(factor)
            || found.lost_share() >= LOST_SHARE_MAX * f64::from(factor)
    };
    let mut remedies = Vec::new();
    if found.preemptions > 0 {
        remedies.push(format!(
            "Keep other processes off CPU {core}: a cpuset or isolcpus for it, or fewer of them beside picofaas. A `serve` that spins there counts, too."
        ));
    }
    if found.stolen_ms > 0 {
        remedies.push("Take a virtual machine whose CPUs are its own.".to_owned());
    }
    if remedies.is_empty() {
        remedies.push(format!(
            "No thread took the CPU, so interrupts or the hypervisor did: move interrupts off CPU {core} (/proc/irq/*/smp_affinity, nohz_full), or take a machine whose CPUs are not shared."
        ));
    }
    let remedy = remedies.join(" ");
    let complaint = if exceeds(FACTOR) {
        Some(Complaint::problem(remedy))
    } else if exceeds(1) {
        Some(Complaint::warning(remedy))
    } else {
        None
    };
    let mut finding = Finding::new(NAME, WHY, seen, data).with(complaint);
    finding.details =
        found.histogram().map(|(from, to, count)| format!("{from:>8} … {to:>8} µs {count:>9}")).collect();
    finding
}

/// Reads the clock until the time is over, on one CPU.
fn spin(clock: Clock, duration: Duration, core: usize) -> Interruptions {
    let mut set = CpuSet::new();
    set.set(core);
    let mut found =
        Interruptions { is_pinned: sched_setaffinity(None, &set).is_ok(), ..Interruptions::default() };
    let before = (preemptions(), stolen_ms(core));
    let begin = clock.now();
    let end = begin + u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let mut last = begin;
    while last < end {
        let now = clock.now();
        if now - last >= GAP_NS_MIN {
            found.add(now - last);
        }
        last = now;
    }
    found.spun_ns = last - begin;
    found.preemptions = preemptions().saturating_sub(before.0);
    found.stolen_ms = stolen_ms(core).saturating_sub(before.1);
    found
}

/// Times that this thread had to give its CPU to another one.
fn preemptions() -> u64 {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let mut values = status
        .lines()
        .filter_map(|line| line.strip_prefix("nonvoluntary_ctxt_switches:")?.trim().parse().ok());
    values.next().unwrap_or(0)
}

/// Time that the hypervisor has taken from a CPU since the start of the machine (ms).
fn stolen_ms(core: usize) -> u64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    stolen_ticks(&stat, core) * 1000 / clock_ticks_per_second()
}

/// The eighth number of a CPU's line, in ticks.
fn stolen_ticks(stat: &str, core: usize) -> u64 {
    let name = format!("cpu{core}");
    let mut lines = stat.lines().map(str::split_whitespace);
    let line = lines.find_map(|mut words| (words.next() == Some(&name)).then_some(words));
    line.and_then(|mut numbers| numbers.nth(7)?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Verdict;

    fn of(gaps_us: &[u64], preemptions: u64) -> Finding {
        let mut found = Interruptions {
            spun_ns: 1000 * NANOS_PER_MS,
            is_pinned: true,
            preemptions,
            ..Interruptions::default()
        };
        gaps_us.iter().for_each(|gap_us| found.add(gap_us * 1000));
        judge(&found, 3)
    }

    #[test]
    fn gaps_are_counted_by_powers_of_two_with_the_longest_and_the_share_that_is_lost() {
        let finding = of(&[1, 1, 3, 4, 7, 100], 0);
        let bucket = |from: u64, count: u64| json!({ "fromUs": from, "toUs": from * 2, "count": count });
        assert_eq!(
            finding.data["histogram"],
            json!([bucket(1, 2), bucket(2, 1), bucket(4, 2), bucket(64, 1)])
        );
        assert_eq!((&finding.data["count"], &finding.data["longestUs"]), (&json!(6), &json!(100)));
        assert_eq!((&finding.data["lostUs"], finding.verdict), (&json!(116), Verdict::Ok));
        assert!((finding.data["lostShare"].as_f64().unwrap() - 0.000_116).abs() < 1e-9);
        assert_eq!(finding.details.len(), 4);
        assert_eq!(of(&[u64::MAX / 2000], 0).data["histogram"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn one_long_gap_or_many_short_ones_are_a_fault_and_the_remedy_says_whose() {
        assert_eq!(of(&[999], 0).verdict, Verdict::Ok);
        assert_eq!(of(&[1000], 0).verdict, Verdict::Warning);
        assert_eq!(of(&[10_000], 0).verdict, Verdict::Problem);
        assert_eq!(of(&[50; 199], 0).verdict, Verdict::Ok);
        assert_eq!(of(&[50; 201], 0).verdict, Verdict::Warning);
        assert_eq!(of(&[50; 2001], 0).verdict, Verdict::Problem);
        assert!(of(&[2000], 0).advice.unwrap().contains("hypervisor"));
        assert!(of(&[2000], 1).advice.unwrap().contains("other processes off CPU 3"));
    }

    #[test]
    fn the_time_that_the_hypervisor_took_is_that_of_the_cpu() {
        let stat = "cpu  9 9 9 9 9 9 9 99 0 0\ncpu1 1 2 3 4 5 6 7 8 9 10\ncpu10 1 2 3 4 5 6 7 80 9 10\n";
        assert_eq!([1, 10, 2].map(|core| stolen_ticks(stat, core)), [8, 80, 0]);
        let mut found = Interruptions { stolen_ms: 20, spun_ns: 1, ..Interruptions::default() };
        found.add(2 * NANOS_PER_MS);
        assert!(judge(&found, 0).advice.unwrap().contains("whose CPUs are its own"));
    }

    #[test]
    fn a_thread_that_spins_counts_no_more_time_than_it_spun() {
        let cpus = rustix::thread::sched_getaffinity(None).unwrap();
        let core = (0..CpuSet::MAX_CPU).find(|cpu| cpus.is_set(*cpu)).unwrap();
        let finding = examine(Clock::start(), Duration::from_millis(5), Some(core));
        let number = |name: &str| finding.data[name].as_u64().unwrap();
        assert!(number("spunUs") >= 5000 && number("lostUs") <= number("spunUs"), "{}", finding.data);
        assert_eq!((finding.data["pinned"].as_bool(), number("cpu")), (Some(true), core as u64));
        for (duration, core) in [(Duration::ZERO, Some(core)), (Duration::from_millis(5), None)] {
            assert_eq!(examine(Clock::start(), duration, core).verdict, Verdict::Unknown);
        }
    }
}
