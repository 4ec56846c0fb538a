//! Cores that this process may use, and whether others use them, too.

use serde_json::json;

use super::cpu_list;
use super::cpu_quota::tightest;
use super::finding::{Complaint, Finding};
use super::kernel_files::KernelFiles;

const WHY: &str =
    "The gateway, the scheduler and the functions run at the same time only where each has a core.";

/// Fewer than these make the threads of the invoke path take turns.
const CORES_MIN: usize = 2;

/// Looks at the cores. `allowed` is the affinity of this process, `usable` how many of it its quota pays for.
pub(super) fn examine(files: &KernelFiles, allowed: &[usize], usable: usize) -> Finding {
    let online = files.text("/sys/devices/system/cpu/online").and_then(|text| cpu_list::parse(&text));
    let cpuset = cpuset(files);
    let (model, is_virtual) = model(&files.text("/proc/cpuinfo").unwrap_or_default());
    let quota = tightest(files).map(|quota| quota.cores());
    let exclusive = match (&cpuset, &online) {
        (Some(cpuset), Some(online)) => Some(is_set_apart(cpuset.len(), online.len(), quota)),
        (None, _) | (_, None) => None,
    };
    let mut seen = format!("{usable} usable (CPUs {})", cpu_list::write(allowed));
    if let Some(online) = &online {
        seen += &format!(" of {} of the machine", online.len());
    }
    seen += match exclusive {
        Some(true) => ", set apart by a cpuset",
        Some(false) => ", shared with everything that runs there",
        None => "",
    };
    seen += &format!("; {}", model.as_deref().unwrap_or("model not told"));
    if is_virtual {
        seen += ", virtual";
    }
    let data = json!({
        "usable": usable, "allowed": allowed, "online": online, "cpuset": cpuset, "exclusive": exclusive,
        "model": model, "virtual": is_virtual,
    });
    let few = (usable < CORES_MIN).then(|| {
        Complaint::warning(format!(
            "Give picofaas {CORES_MIN} cores at least, and 4 for a scheduler that spins: more CPUs in its affinity, a larger quota."
        ))
    });
    // A quota is the mark of a container, whose CPUs somebody means to hand out.
    let shared = (exclusive == Some(false) && quota.is_some()).then(|| {
        Complaint::warning(
            "Give the container CPUs of its own: in Kubernetes requests equal to limits in whole CPUs (class Guaranteed), on a node whose kubelet has --cpu-manager-policy=static; elsewhere a cpuset (docker --cpuset-cpus, systemd AllowedCPUs=).",
        )
    });
    Finding::new("cores", WHY, seen, data).with(few.into_iter().chain(shared))
}

/// The CPUs that the cgroups leave to this process; `None` where that is not told.
fn cpuset(files: &KernelFiles) -> Option<Vec<usize>> {
    files.groups("cpuset").iter().find_map(|group| {
        let names = ["cpuset.cpus.effective", "cpuset.effective_cpus", "cpuset.cpus"];
        let mut texts = names.iter().filter_map(|name| files.text(group.join(name)));
        texts.find_map(|text| cpu_list::parse(&text))
    })
}

/// Whether a cpuset looks like one that a static CPU manager has handed out: smaller than the machine, with
/// no quota or one for just these CPUs. The pool that is left to all others has another quota.
fn is_set_apart(cpuset: usize, online: usize, quota: Option<f64>) -> bool {
    cpuset < online && quota.is_none_or(|quota| (quota - cpuset as f64).abs() < f64::EPSILON)
}

/// The model of the first CPU, and whether a hypervisor has made it.
fn model(cpuinfo: &str) -> (Option<String>, bool) {
    let field = |name: &str| {
        cpuinfo.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            (key.trim() == name).then(|| value.trim().to_owned())
        })
    };
    let is_virtual = field("flags").is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor"));
    (field("model name").or_else(|| field("Model")), is_virtual)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Verdict;
    use crate::doctor::kernel_files::tests::machine;

    const MOUNTS: (&str, &str) =
        ("/proc/self/mountinfo", "41 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    const GROUP: (&str, &str) = ("/proc/self/cgroup", "0::/c\n");
    const PROCS: (&str, &str) = ("/sys/fs/cgroup/c/cgroup.procs", "");
    const ONLINE: (&str, &str) = ("/sys/devices/system/cpu/online", "0-7\n");

    fn container(cpuset: &str, quota: &str, allowed: &[usize]) -> Finding {
        let set = ("/sys/fs/cgroup/c/cpuset.cpus.effective", cpuset);
        let (files, _root) =
            machine(&[MOUNTS, GROUP, PROCS, ONLINE, set, ("/sys/fs/cgroup/c/cpu.max", quota)]);
        examine(&files, allowed, allowed.len())
    }

    #[test]
    fn cpus_that_a_static_cpu_manager_hands_out_are_told_from_the_pool_of_all_others() {
        let apart = container("4-7\n", "400000 100000\n", &[4, 5, 6, 7]);
        assert_eq!((apart.verdict, &apart.data["exclusive"]), (Verdict::Ok, &json!(true)));
        assert!(
            apart.seen.starts_with("4 usable (CPUs 4-7) of 8 of the machine, set apart"),
            "{}",
            apart.seen
        );
        let without_quota = container("4-7\n", "max 100000\n", &[4, 5, 6, 7]);
        assert_eq!(without_quota.data["exclusive"], true);

        let pool = container("0-3\n", "250000 100000\n", &[0, 1, 2, 3]);
        assert_eq!((pool.verdict, &pool.data["exclusive"]), (Verdict::Warning, &json!(false)));
        assert!(pool.advice.unwrap().contains("static"));
        let whole = container("0-7\n", "max 100000\n", &[0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!((whole.verdict, &whole.data["exclusive"]), (Verdict::Ok, &json!(false)), "no container");
    }

    #[test]
    fn a_single_core_is_a_warning_and_files_that_are_not_there_are_told_as_null() {
        let (files, _root) = machine(&[]);
        let one = examine(&files, &[3], 1);
        assert_eq!(one.verdict, Verdict::Warning);
        assert_eq!(one.data["allowed"], json!([3]));
        for unknown in ["online", "cpuset", "exclusive", "model"] {
            assert!(one.data[unknown].is_null(), "{unknown}");
        }
        assert_eq!(examine(&files, &[2, 3], 2).verdict, Verdict::Ok);
    }

    #[test]
    fn the_model_of_a_cpu_and_its_hypervisor_are_read() {
        let text = "processor\t: 0\nmodel name\t: AMD EPYC\nflags\t\t: fpu hypervisor lahf_lm\n";
        assert_eq!(model(text), (Some("AMD EPYC".to_owned()), true));
        assert_eq!(model("model name : X\nflags : fpu\n"), (Some("X".to_owned()), false));
        assert_eq!(model(""), (None, false));
    }
}
