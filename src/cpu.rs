//! The CPUs that this process may use.

use rustix::thread::CpuSet;

/// The CPUs this process may use: its affinity, and how many of them its cgroup's CPU quota
/// pays for (rounded down, at least one).
#[must_use]
pub(crate) fn usable_cores() -> (Vec<usize>, usize) {
    let allowed: Vec<usize> = rustix::thread::sched_getaffinity(None)
        .map(|set| (0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect())
        .unwrap_or_default();
    // `available_parallelism` reads affinity and cgroup quotas, v1 and v2.
    let paid = std::thread::available_parallelism().map_or(1, usize::from);
    let usable = paid.min(allowed.len().max(1));
    (allowed, usable)
}

/// Keeps the calling thread, and the processes it starts, off one CPU.
pub(crate) fn stay_off(core: usize) {
    let Ok(mut set) = rustix::thread::sched_getaffinity(None) else { return };
    set.unset(core);
    if set.count() > 0 {
        let _ = rustix::thread::sched_setaffinity(None, &set);
    }
}
