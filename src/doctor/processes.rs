//! Limits of processes and threads.

use rustix::process::{Resource, getrlimit};
use serde_json::json;

use super::finding::{Complaint, Finding};
use super::kernel_files::KernelFiles;
use crate::config::ServeArgs;

const WHY: &str = "Where no process or thread can be made, instances do not start and attempts fail.";

/// Threads of the control plane itself, and some to spare.
const OWN: u64 = 64;

/// The tightest limit of the cgroups: what it leaves, its maximum, and its group.
struct PidsLimit {
    room: u64,
    max: u64,
    group: String,
}

/// Looks at the limits that this process has inherited, and at those of its cgroups.
pub(super) fn examine(files: &KernelFiles, flags: &ServeArgs) -> Finding {
    let limit = getrlimit(Resource::Nproc);
    // Root is not bound by it.
    let soft = limit.current.filter(|_| !rustix::process::getuid().is_root());
    let needed = if flags.backend.runs_in_cluster() { OWN } else { OWN + flags.local_pids_max };
    judge(files, soft, needed)
}

fn judge(files: &KernelFiles, soft: Option<u64>, needed: u64) -> Finding {
    let tightest = tightest(files);
    let machine = files.number::<u64>("/proc/sys/kernel/pid_max");
    let threads = files.number::<u64>("/proc/sys/kernel/threads-max");
    let shown = |limit: Option<u64>, other: &str| limit.map_or_else(|| other.to_owned(), |it| it.to_string());
    let by_group = match &tightest {
        Some(PidsLimit { room, max, group }) => format!("pids.max {max} of {group} leaves {room}"),
        None => "no pids.max".to_owned(),
    };
    let seen = format!(
        "{by_group}; of the user {}; of the machine {}",
        shown(soft, "unlimited"),
        shown(machine.into_iter().chain(threads).min(), "not told")
    );
    let data = json!({
        "pidsMax": tightest.as_ref().map(|it| it.max), "room": tightest.as_ref().map(|it| it.room),
        "group": tightest.as_ref().map(|it| &it.group), "userMax": soft, "pidMax": machine,
        "threadsMax": threads, "needed": needed,
    });
    let least = [tightest.map(|it| it.room), soft].into_iter().flatten().min();
    let complaint = least.filter(|least| *least < needed).map(|least| {
        let remedy = format!(
            "Raise pids.max (TasksMax=, kubelet's podPidsLimit, docker --pids-limit) or ulimit -u: {least} are left, and {needed} are what one local instance and picofaas may take."
        );
        if least < OWN { Complaint::problem(remedy) } else { Complaint::warning(remedy) }
    });
    Finding::new("processes", WHY, seen, data).with(complaint)
}

/// The limit of our group and those above it that leaves the least.
fn tightest(files: &KernelFiles) -> Option<PidsLimit> {
    let limits = files.groups("pids").into_iter().filter_map(|group| {
        // `max` is no number.
        let max: u64 = files.number(group.join("pids.max"))?;
        let current: u64 = files.number(group.join("pids.current")).unwrap_or(0);
        Some(PidsLimit { room: max.saturating_sub(current), max, group: group.display().to_string() })
    });
    limits.min_by_key(|limit| limit.room)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Verdict;
    use crate::doctor::kernel_files::tests::machine;

    fn with(own: &str, above: &str, soft: Option<u64>) -> Finding {
        let (files, _root) = machine(&[
            ("/proc/self/cgroup", "8:pids:/pod/c\n"),
            ("/proc/self/mountinfo", "39 31 0:36 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"),
            ("/sys/fs/cgroup/pids/cgroup.procs", ""),
            ("/sys/fs/cgroup/pids/pod/cgroup.procs", ""),
            ("/sys/fs/cgroup/pids/pod/pids.max", above),
            ("/sys/fs/cgroup/pids/pod/pids.current", "40\n"),
            ("/sys/fs/cgroup/pids/pod/c/cgroup.procs", ""),
            ("/sys/fs/cgroup/pids/pod/c/pids.max", own),
            ("/sys/fs/cgroup/pids/pod/c/pids.current", "5\n"),
            ("/proc/sys/kernel/pid_max", "32768\n"),
            ("/proc/sys/kernel/threads-max", "192731\n"),
        ]);
        judge(&files, soft, 1088)
    }

    #[test]
    fn the_group_that_leaves_the_least_counts() {
        let free = with("max\n", "max\n", None);
        assert_eq!((free.verdict, &free.data["room"]), (Verdict::Ok, &json!(null)));
        assert!(free.seen.ends_with("of the user unlimited; of the machine 32768"), "{}", free.seen);
        let tight = with("4000\n", "1000\n", None);
        assert_eq!((tight.verdict, &tight.data["room"]), (Verdict::Warning, &json!(960)));
        assert_eq!(tight.data["group"], "/sys/fs/cgroup/pids/pod");
        assert_eq!(with("50\n", "max\n", None).verdict, Verdict::Problem);
        assert_eq!(with("max\n", "max\n", Some(1087)).verdict, Verdict::Warning);
        assert_eq!(with("max\n", "max\n", Some(1088)).verdict, Verdict::Ok);
    }
}
