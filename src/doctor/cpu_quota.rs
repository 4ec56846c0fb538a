//! Quotas of CPU time, of our cgroup and of all above it, and whether they have throttled.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::finding::{Complaint, Finding};
use super::kernel_files::KernelFiles;

const WHY: &str =
    "A group that has used up its quota stands still for the rest of the period, which is up to 100 ms.";

/// One period in this many that was throttled makes low latency impossible.
const THROTTLED_MAX: u64 = 10;

/// A quota.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct CpuQuota {
    quota_us: u64,
    period_us: u64,
    group: PathBuf,
}

impl CpuQuota {
    /// The CPUs that it pays for.
    pub(super) fn cores(&self) -> f64 {
        self.quota_us as f64 / self.period_us as f64
    }
}

/// Counters of a group since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Throttling {
    periods: u64,
    throttled: u64,
    throttled_us: u64,
}

/// The tightest quota of our group and those above it.
pub(super) fn tightest(files: &KernelFiles) -> Option<CpuQuota> {
    let quotas = files.groups("cpu").into_iter().filter_map(|group| quota_of(files, &group));
    quotas.min_by(|one, other| one.cores().total_cmp(&other.cores()))
}

/// Looks at the quotas. `allowed` is the number of CPUs in the affinity of this process.
pub(super) fn examine(files: &KernelFiles, allowed: usize) -> Finding {
    if files.groups("cpu").is_empty() {
        return Finding::not_looked_at(
            "cpu-quota",
            WHY,
            "no cgroup with the controller cpu is mounted here",
            "Look at the quota of the group that picofaas is to run in.",
        );
    }
    let Some(quota) = tightest(files) else {
        let data = json!({
            "quotaCores": null, "quotaUs": null, "periodUs": null, "group": null, "periods": null,
            "throttled": null, "throttledUs": null,
        });
        return Finding::new("cpu-quota", WHY, "none", data);
    };
    let Throttling { periods, throttled, throttled_us } = throttling_of(files, &quota.group);
    let cores = quota.cores();
    let seen = format!(
        "{cores} cores for {allowed} CPUs, by {}; throttled in {throttled} of {periods} periods, for {} ms",
        quota.group.display(),
        throttled_us / 1000
    );
    let data = json!({
        "quotaCores": cores, "quotaUs": quota.quota_us, "periodUs": quota.period_us, "group": quota.group,
        "periods": periods, "throttled": throttled, "throttledUs": throttled_us,
    });
    let mut complaints = Vec::new();
    if cores < 1.0 {
        complaints.push(Complaint::problem(
            "Raise the quota (resources.limits.cpu, CPUQuota=) to one core at least: with less, every burst of work is throttled.",
        ));
    } else if cores < allowed as f64 {
        complaints.push(Complaint::warning(format!(
            "Raise the quota to {allowed} cores, or leave picofaas only as many CPUs as it has quota for: threads on more CPUs use it up before the period ends."
        )));
    }
    if throttled > 0 {
        let remedy = "It was throttled: raise the quota, or take load away.";
        let is_often = throttled * THROTTLED_MAX >= periods;
        complaints.push(if is_often { Complaint::problem(remedy) } else { Complaint::warning(remedy) });
    }
    Finding::new("cpu-quota", WHY, seen, data).with(complaints)
}

/// The quota of one group, of either version; `None` where it has none.
fn quota_of(files: &KernelFiles, group: &Path) -> Option<CpuQuota> {
    let (quota_us, period_us) = match files.text(group.join("cpu.max")) {
        Some(text) => {
            let (quota, period) = text.split_once(' ')?;
            // `max` is no number.
            (quota.parse().ok()?, period.parse().ok()?)
        }
        // -1 is no number without a sign.
        None => {
            (files.number(group.join("cpu.cfs_quota_us"))?, files.number(group.join("cpu.cfs_period_us"))?)
        }
    };
    (period_us > 0).then(|| CpuQuota { quota_us, period_us, group: group.to_owned() })
}

fn throttling_of(files: &KernelFiles, group: &Path) -> Throttling {
    throttling(&files.text(group.join("cpu.stat")).unwrap_or_default())
}

/// Counters of a `cpu.stat`. Version 1 has nanoseconds, version 2 microseconds.
fn throttling(text: &str) -> Throttling {
    let field = |name: &str| {
        let mut values = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        values.next().and_then(|value| value.trim().parse::<u64>().ok())
    };
    Throttling {
        periods: field("nr_periods").unwrap_or(0),
        throttled: field("nr_throttled").unwrap_or(0),
        throttled_us: field("throttled_usec").or(field("throttled_time").map(|ns| ns / 1000)).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Verdict;
    use crate::doctor::kernel_files::tests::machine;

    const TWO: [(&str, &str); 5] = [
        ("/proc/self/cgroup", "0::/pod/c\n"),
        ("/proc/self/mountinfo", "41 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"),
        ("/sys/fs/cgroup/cgroup.procs", ""),
        ("/sys/fs/cgroup/pod/cgroup.procs", ""),
        ("/sys/fs/cgroup/pod/c/cgroup.procs", ""),
    ];

    #[test]
    fn the_tightest_quota_of_all_groups_above_counts_with_its_own_throttling() {
        let more = [
            ("/sys/fs/cgroup/pod/c/cpu.max", "max 100000\n"),
            ("/sys/fs/cgroup/pod/cpu.max", "150000 100000\n"),
            (
                "/sys/fs/cgroup/pod/cpu.stat",
                "usage_usec 9\nnr_periods 400\nnr_throttled 12\nthrottled_usec 34000\n",
            ),
        ];
        let (files, _root) = machine(&[&TWO[..], &more].concat());
        let finding = examine(&files, 4);
        assert_eq!(finding.verdict, Verdict::Warning);
        assert_eq!(finding.data["quotaCores"], 1.5);
        assert_eq!((&finding.data["throttled"], &finding.data["throttledUs"]), (&json!(12), &json!(34_000)));
        assert!(finding.seen.contains("throttled in 12 of 400 periods, for 34 ms"), "{}", finding.seen);
        assert!(finding.seen.contains("/sys/fs/cgroup/pod;"), "{}", finding.seen);
    }

    #[test]
    fn a_quota_below_a_core_and_one_that_throttles_often_are_problems() {
        let with = |max: &str, stat: &str| {
            let more = [("/sys/fs/cgroup/pod/c/cpu.max", max), ("/sys/fs/cgroup/pod/c/cpu.stat", stat)];
            let (files, _root) = machine(&[&TWO[..], &more].concat());
            examine(&files, 2).verdict
        };
        assert_eq!(with("50000 100000", "nr_periods 0\nnr_throttled 0\n"), Verdict::Problem);
        assert_eq!(with("200000 100000", "nr_periods 100\nnr_throttled 0\n"), Verdict::Ok);
        assert_eq!(with("200000 100000", "nr_periods 100\nnr_throttled 9\n"), Verdict::Warning);
        assert_eq!(with("200000 100000", "nr_periods 100\nnr_throttled 10\n"), Verdict::Problem);
        assert_eq!(with("max 100000", "nr_periods 0\nnr_throttled 0\n"), Verdict::Ok);
    }

    #[test]
    fn version_1_has_other_files_and_counts_nanoseconds() {
        let files = [
            ("/proc/self/cgroup", "1:cpu,cpuacct:/c\n0::/\n"),
            ("/proc/self/mountinfo", "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"),
            ("/sys/fs/cgroup/cpu/c/cgroup.procs", ""),
            ("/sys/fs/cgroup/cpu/c/cpu.cfs_quota_us", "300000\n"),
            ("/sys/fs/cgroup/cpu/c/cpu.cfs_period_us", "100000\n"),
            ("/sys/fs/cgroup/cpu/c/cpu.stat", "nr_periods 10\nnr_throttled 0\nthrottled_time 5000000\n"),
            ("/sys/fs/cgroup/cpu/cgroup.procs", ""),
            ("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"),
            ("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
        ];
        let (files, _root) = machine(&files);
        let finding = examine(&files, 2);
        assert_eq!((&finding.data["quotaCores"], &finding.data["throttledUs"]), (&json!(3.0), &json!(5000)));
        let (files, _root) = machine(&[]);
        assert_eq!(examine(&files, 2).verdict, Verdict::Unknown);
    }
}
