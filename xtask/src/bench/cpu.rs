//! CPU time of a process and its children, by thread, out of `/proc`.
//!
//! `schedstat` counts nanoseconds on a CPU exactly; the `utime` and `stime` that tools like `top` show are
//! rounded to ticks of 10 ms and kept for whole processes only.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;

use anyhow::{Context as _, Result, bail};

/// Nanoseconds of a tick in `/proc/*/stat` and `/proc/stat`: USER_HZ is 100 on every Linux of today.
const TICK_NS: u64 = 10_000_000;

/// CPU time that each thread of a process and its descendants has used since it started.
pub(crate) struct Snapshot {
    threads: BTreeMap<u32, Thread>,
}

struct Thread {
    name: String,
    cpu_ns: u64,
}

/// CPU time that was used between two snapshots.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Used {
    pub total_ns: u64,
    /// Threads of one name together.
    pub by_thread_name_ns: BTreeMap<String, u64>,
    /// Threads that ended in between: what they used after the first snapshot is in no sum.
    pub threads_lost: usize,
}

impl Snapshot {
    /// Of the process `id` and all its descendants: nginx works in a child.
    pub(crate) fn of_tree(id: u32) -> Result<Self> {
        let mut threads = BTreeMap::new();
        for member in tree(id)? {
            read_threads(member, &mut threads)?;
        }
        if threads.is_empty() {
            bail!("process {id} is not there");
        }
        Ok(Self { threads })
    }

    /// Of the process `id` alone.
    pub(crate) fn of_process(id: u32) -> Result<Self> {
        let mut threads = BTreeMap::new();
        read_threads(id, &mut threads)?;
        if threads.is_empty() {
            bail!("process {id} is not there");
        }
        Ok(Self { threads })
    }

    /// Of all descendants of the process `id`, without itself.
    pub(super) fn of_descendants(id: u32) -> Result<Self> {
        let mut threads = BTreeMap::new();
        for member in tree(id)?.into_iter().skip(1) {
            read_threads(member, &mut threads)?;
        }
        if threads.is_empty() {
            bail!("process {id} has no child");
        }
        Ok(Self { threads })
    }

    /// The names of its threads, each once.
    pub(crate) fn names(&self) -> BTreeSet<&str> {
        self.threads.values().map(|thread| thread.name.as_str()).collect()
    }

    pub(crate) fn since(&self, before: &Self) -> Used {
        let mut used = Used { total_ns: 0, by_thread_name_ns: BTreeMap::new(), threads_lost: 0 };
        for (id, thread) in &self.threads {
            let earlier_ns = before.threads.get(id).map_or(0, |earlier| earlier.cpu_ns);
            let ns = thread.cpu_ns.saturating_sub(earlier_ns);
            used.total_ns += ns;
            *used.by_thread_name_ns.entry(thread.name.clone()).or_default() += ns;
        }
        used.threads_lost = before.threads.keys().filter(|id| !self.threads.contains_key(id)).count();
        used
    }
}

/// CPU time in nanoseconds, to 10 ms, of a process with all the threads it ever had; also of one that ended
/// and was not waited for.
pub(crate) fn whole_process_ns(id: u32) -> Result<u64> {
    stat_times_ns(id, &[14, 15])
}

/// The same of the children that it has waited for, and theirs.
pub(crate) fn reaped_ns(id: u32) -> Result<u64> {
    stat_times_ns(id, &[16, 17])
}

/// The same of this process, together with the children that it has waited for, and theirs.
pub(super) fn ours_and_childrens_ns() -> Result<u64> {
    stat_times_ns(std::process::id(), &[14, 15, 16, 17])
}

/// The sum of fields of proc(5) that are times.
fn stat_times_ns(id: u32, times: &[usize]) -> Result<u64> {
    let file = format!("/proc/{id}/stat");
    let stat = fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))?;
    let fields = stat_fields(&stat).with_context(|| format!("{file}: {stat:?}"))?;
    // `stat_fields` leaves out the first two.
    let ticks = |&field: &usize| fields.get(field - 3).and_then(|text| text.parse::<u64>().ok());
    let sum: Option<u64> = times.iter().map(ticks).sum();
    Ok(sum.with_context(|| format!("{file} lacks the fields {times:?}: {stat:?}"))? * TICK_NS)
}

/// The machine's CPU time since it started, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MachineCpu {
    /// Spent on anything but idling and waiting for a disk.
    pub busy_ns: u64,
    /// Wanted by this machine and given to another by the hypervisor.
    pub steal_ns: u64,
}

impl MachineCpu {
    pub(crate) fn read() -> Result<Self> {
        let stat = fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
        Self::parse(&stat).context("/proc/stat begins with no line of CPU times")
    }

    fn parse(stat: &str) -> Option<Self> {
        let line = stat.lines().next()?.strip_prefix("cpu ")?;
        let ticks: Vec<u64> = line.split_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?;
        let [user, nice, system, _idle, _iowait, irq, softirq, steal, ..] = ticks[..] else { return None };
        Some(Self { busy_ns: (user + nice + system + irq + softirq) * TICK_NS, steal_ns: steal * TICK_NS })
    }
}

/// The process `id` and all its descendants.
pub(super) fn tree(id: u32) -> Result<Vec<u32>> {
    let parents = parents()?;
    let mut members = vec![id];
    let mut next = 0;
    while let Some(&parent) = members.get(next) {
        members.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(child, _)| *child));
        next += 1;
    }
    Ok(members)
}

/// Every process and its parent.
fn parents() -> Result<Vec<(u32, u32)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").context("cannot read /proc")? {
        let entry = entry.context("cannot read /proc")?;
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // A process may end while we walk by.
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        let parent = stat_fields(&stat).and_then(|fields| fields.get(1)?.parse().ok());
        found.push((id, parent.with_context(|| format!("/proc/{id}/stat: {stat:?}"))?));
    }
    Ok(found)
}

/// The fields of a `stat` file behind the name, which itself may hold blanks and parentheses.
fn stat_fields(stat: &str) -> Option<Vec<&str>> {
    let (_, fields) = stat.rsplit_once(") ")?;
    Some(fields.split_whitespace().collect())
}

fn read_threads(process: u32, threads: &mut BTreeMap<u32, Thread>) -> Result<()> {
    let folder = format!("/proc/{process}/task");
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {folder}")),
    };
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot read {folder}"))?;
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // A thread may end while we walk by; a kernel without schedstat is told apart below.
        let (Ok(name), Ok(schedstat)) = (
            fs::read_to_string(entry.path().join("comm")),
            fs::read_to_string(entry.path().join("schedstat")),
        ) else {
            continue;
        };
        let Some(cpu_ns) = on_cpu_ns(&schedstat) else {
            bail!("{folder}/{id}/schedstat is {schedstat:?}: expected nanoseconds on CPU first");
        };
        threads.insert(id, Thread { name: name.trim_end().to_owned(), cpu_ns });
    }
    Ok(())
}

/// `schedstat` holds: nanoseconds on a CPU, nanoseconds waiting for one, times put on one.
fn on_cpu_ns(schedstat: &str) -> Option<u64> {
    let mut fields = schedstat.split_whitespace();
    let on_cpu = fields.next()?.parse().ok()?;
    (fields.count() == 2).then_some(on_cpu)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(threads: &[(u32, &str, u64)]) -> Snapshot {
        let thread = |&(id, name, cpu_ns): &(u32, &str, u64)| (id, Thread { name: name.to_owned(), cpu_ns });
        Snapshot { threads: threads.iter().map(thread).collect() }
    }

    #[test]
    fn the_first_number_of_schedstat_is_the_time_on_a_cpu() {
        assert_eq!(on_cpu_ns("46142403 32513745 73\n"), Some(46_142_403));
        assert_eq!(on_cpu_ns("0 0 0\n"), Some(0));
        assert_eq!(on_cpu_ns(""), None);
        assert_eq!(on_cpu_ns("46142403\n"), None);
        assert_eq!(on_cpu_ns("a b c\n"), None);
    }

    #[test]
    fn threads_of_one_name_are_summed_and_new_and_lost_ones_are_told_apart() {
        let before = snapshot(&[(1, "gateway-0", 100), (2, "gateway-0", 200), (3, "gone", 50)]);
        let after = snapshot(&[(1, "gateway-0", 150), (2, "gateway-0", 260), (4, "new", 7)]);
        let used = after.since(&before);
        assert_eq!(used.total_ns, 117);
        assert_eq!(used.by_thread_name_ns["gateway-0"], 110);
        assert_eq!(used.by_thread_name_ns["new"], 7);
        assert_eq!(used.threads_lost, 1);
    }

    #[test]
    fn a_name_with_blanks_and_parentheses_does_not_shift_the_fields() {
        let stat = "7 (a (b) c) S 3 7 7 0 -1 4194560 1 0 0 0 12 34 0 0 20 0 1 0";
        assert_eq!(stat_fields(stat).unwrap()[1], "3");
        assert_eq!(stat_fields(stat).unwrap()[14 - 3], "12");
    }

    #[test]
    fn the_machines_busy_time_leaves_out_idle_disk_and_steal() {
        let stat = "cpu  1 2 4 1000 2000 8 16 32 0 0\ncpu0 1 2 4 1000 2000 8 16 32 0 0\n";
        let expected = MachineCpu { busy_ns: 31 * TICK_NS, steal_ns: 32 * TICK_NS };
        assert_eq!(MachineCpu::parse(stat), Some(expected));
        assert_eq!(MachineCpu::parse("intr 1 2 3\n"), None);
    }

    #[test]
    fn our_own_threads_are_found_and_use_time() {
        let id = std::process::id();
        let before = Snapshot::of_tree(id).unwrap();
        let sum = std::hint::black_box((0..2_000_000_u64).fold(0, |a, b| a ^ std::hint::black_box(b)));
        let used = Snapshot::of_tree(id).unwrap().since(&before);
        assert!(used.total_ns > 0, "{used:?} {sum}");
    }
}
