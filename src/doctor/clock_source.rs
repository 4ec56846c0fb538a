//! The clock source of the kernel, and the cost of reading the clock.

use serde_json::json;

use super::finding::{Complaint, Finding};
use super::kernel_files::KernelFiles;
use crate::clock::Clock;

const WHY: &str =
    "The clock is read several times for each invocation, and by a thread that spins all the time.";
const FOLDER: &str = "/sys/devices/system/clocksource/clocksource0";

/// Sources that are read without a call to the kernel.
const FAST: [&str; 4] = ["tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page"];
/// Sources that are read from a device, which takes about a microsecond.
const SLOW: [&str; 4] = ["hpet", "acpi_pm", "jiffies", "refined-jiffies"];
/// A read that takes longer is a call to the kernel (ns).
const READ_NS_MAX: u64 = 200;
/// A read that takes longer is one of a device (ns).
const DEVICE_READ_NS_MIN: u64 = 1000;

/// Batches of reads, of which the median counts: one that was interrupted says nothing.
const BATCHES: usize = 63;
const READS_PER_BATCH: u64 = 256;

/// Looks at the clock.
pub(super) fn examine(files: &KernelFiles, clock: Clock) -> Finding {
    judge(files, read_ns(clock))
}

fn judge(files: &KernelFiles, read_ns: u64) -> Finding {
    let source = files.text(format!("{FOLDER}/current_clocksource"));
    let available = files.text(format!("{FOLDER}/available_clocksource"));
    let seen = format!("{}, {read_ns} ns for a read", source.as_deref().unwrap_or("source not told"));
    let is = |list: &[&str]| source.as_deref().is_some_and(|source| list.contains(&source));
    let others: Vec<&str> = available.as_deref().unwrap_or_default().split_whitespace().collect();
    let data = json!({ "source": source, "available": others, "readNs": read_ns });
    let remedy = match FAST.iter().find(|fast| others.contains(fast)) {
        Some(fast) if !is(&FAST) => format!("Choose {fast}: echo {fast} > {FOLDER}/current_clocksource."),
        Some(_) | None => "Take a machine whose clock is read without a call to the kernel (tsc, kvm-clock): dmesg says why the kernel gave up on tsc.".to_owned(),
    };
    let complaint = if is(&SLOW) || read_ns >= DEVICE_READ_NS_MIN {
        Some(Complaint::problem(remedy))
    } else if read_ns > READ_NS_MAX {
        Some(Complaint::warning(remedy))
    } else {
        None
    };
    Finding::new("clock", WHY, seen, data).with(complaint)
}

/// The cost of a read of the clock: the median over batches (ns).
fn read_ns(clock: Clock) -> u64 {
    let mut batches = [0; BATCHES];
    for batch in &mut batches {
        let begin = clock.now();
        for _ in 1..READS_PER_BATCH {
            std::hint::black_box(clock.now());
        }
        *batch = (clock.now() - begin) / READS_PER_BATCH;
    }
    batches.sort_unstable();
    batches[BATCHES / 2]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Verdict;
    use crate::doctor::kernel_files::tests::machine;

    fn with(source: &str, available: &str, read_ns: u64) -> Finding {
        let current = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
        let all = "/sys/devices/system/clocksource/clocksource0/available_clocksource";
        let (files, _root) = machine(&[(current, source), (all, available)]);
        judge(&files, read_ns)
    }

    #[test]
    fn a_source_that_is_a_device_is_a_problem_and_a_better_one_that_is_there_is_named() {
        for good in ["tsc\n", "kvm-clock\n", "arch_sys_counter\n"] {
            assert_eq!(with(good, "tsc\n", 25).verdict, Verdict::Ok, "{good}");
        }
        for bad in ["hpet\n", "acpi_pm\n"] {
            let finding = with(bad, "tsc hpet acpi_pm\n", 900);
            assert_eq!(finding.verdict, Verdict::Problem, "{bad}");
            assert!(finding.advice.unwrap().contains("echo tsc > /sys/"));
        }
        assert!(with("hpet\n", "hpet acpi_pm\n", 900).advice.unwrap().contains("dmesg"));
    }

    #[test]
    fn a_source_that_is_not_known_is_judged_by_its_cost() {
        for (read_ns, verdict) in [(30, Verdict::Ok), (300, Verdict::Warning), (1200, Verdict::Problem)] {
            assert_eq!(with("xen\n", "xen\n", read_ns).verdict, verdict);
        }
        let (files, _root) = machine(&[]);
        let hidden = judge(&files, 40);
        assert_eq!((hidden.verdict, hidden.data["source"].is_null()), (Verdict::Ok, true));
    }

    #[test]
    fn a_read_of_the_clock_costs_something() {
        assert!((1..1_000_000).contains(&read_ns(Clock::start())));
    }
}
