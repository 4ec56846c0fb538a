//! Huge pages and swap.

use serde_json::json;

use super::finding::{Complaint, Finding};
use super::kernel_files::KernelFiles;

const HUGE_PAGES: &str = "/sys/kernel/mm/transparent_hugepage";

/// Looks at what can make an access to memory wait.
pub(super) fn examine(files: &KernelFiles) -> Vec<Finding> {
    vec![huge_pages(files), swap(files)]
}

fn huge_pages(files: &KernelFiles) -> Finding {
    const WHY: &str = "Where the kernel makes room for huge pages when memory is first touched, that access waits, for milliseconds.";
    let setting = |name: &str| files.text(format!("{HUGE_PAGES}/{name}")).and_then(|text| chosen(&text));
    let (enabled, defrag) = (setting("enabled"), setting("defrag"));
    let seen = match (&enabled, &defrag) {
        (Some(enabled), Some(defrag)) => format!("{enabled}, room for them is made: {defrag}"),
        (None, _) | (_, None) => "not told, the kernel may have none".to_owned(),
    };
    let waits = enabled.as_deref() == Some("always") && defrag.as_deref() == Some("always");
    let complaint = waits.then(|| {
        Complaint::warning(format!("Let nobody wait for them: echo madvise > {HUGE_PAGES}/defrag."))
    });
    let data = json!({ "enabled": enabled, "defrag": defrag });
    Finding::new("huge-pages", WHY, seen, data).with(complaint)
}

/// The word between brackets: `always [madvise] never`.
fn chosen(text: &str) -> Option<String> {
    let (_, rest) = text.split_once('[')?;
    Some(rest.split_once(']')?.0.to_owned())
}

fn swap(files: &KernelFiles) -> Finding {
    const WHY: &str =
        "Memory that was swapped out comes back in milliseconds, in the middle of an invocation.";
    let meminfo = files.text("/proc/meminfo").unwrap_or_default();
    let Some(swap_kib) = meminfo_kib(&meminfo, "SwapTotal") else {
        return Finding::not_looked_at("swap", WHY, "/proc/meminfo cannot be read here", "Look at `swapon`.");
    };
    let swappiness = files.number::<u64>("/proc/sys/vm/swappiness");
    let groups = files.groups("memory");
    let is_kept_out =
        groups.iter().any(|group| files.text(group.join("memory.swap.max")).as_deref() == Some("0"));
    let seen = match (swap_kib, is_kept_out) {
        (0, _) => "none".to_owned(),
        (kib, true) => format!("{} MiB, none of it for this cgroup", kib / 1024),
        (kib, false) => format!("{} MiB", kib / 1024),
    };
    let complaint = (swap_kib > 0 && !is_kept_out).then(|| {
        Complaint::warning(
            "Keep picofaas out of it: swapoff -a, or MemorySwapMax=0 (memory.swap.max of its cgroup).",
        )
    });
    let data = json!({ "swapMib": swap_kib / 1024, "cgroupKeepsOut": is_kept_out, "swappiness": swappiness });
    Finding::new("swap", WHY, seen, data).with(complaint)
}

/// A field of `/proc/meminfo`, in KiB.
fn meminfo_kib(text: &str, name: &str) -> Option<u64> {
    let mut values = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    values.next()?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Verdict;
    use crate::doctor::kernel_files::tests::machine;

    #[test]
    fn huge_pages_are_a_fault_only_where_an_access_waits_for_them() {
        let with = |enabled, defrag| {
            let (files, _root) = machine(&[
                ("/sys/kernel/mm/transparent_hugepage/enabled", enabled),
                ("/sys/kernel/mm/transparent_hugepage/defrag", defrag),
            ]);
            huge_pages(&files)
        };
        let usual = with("always [madvise] never\n", "always defer defer+madvise [madvise] never\n");
        assert_eq!((usual.verdict, &usual.data["enabled"]), (Verdict::Ok, &json!("madvise")));
        assert_eq!(with("[always] madvise never\n", "always [madvise] never\n").verdict, Verdict::Ok);
        assert_eq!(with("[always] madvise never\n", "[always] madvise never\n").verdict, Verdict::Warning);
        assert_eq!(huge_pages(&machine(&[]).0).verdict, Verdict::Ok);
    }

    #[test]
    fn swap_is_a_fault_unless_the_cgroup_keeps_out_of_it() {
        let with = |total: &str, max: &str| {
            let meminfo = format!("MemTotal:  9 kB\nSwapTotal:       {total} kB\nSwapFree: 0 kB\n");
            let (files, _root) = machine(&[
                ("/proc/meminfo", &meminfo),
                ("/proc/self/cgroup", "0::/c\n"),
                ("/proc/self/mountinfo", "41 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"),
                ("/sys/fs/cgroup/c/cgroup.procs", ""),
                ("/sys/fs/cgroup/c/memory.swap.max", max),
            ]);
            swap(&files)
        };
        assert_eq!(with("0", "max\n").verdict, Verdict::Ok);
        let some = with("2097152", "max\n");
        assert_eq!((some.verdict, &some.data["swapMib"]), (Verdict::Warning, &json!(2048)));
        assert_eq!(with("2097152", "0\n").verdict, Verdict::Ok);
        assert_eq!(swap(&machine(&[]).0).verdict, Verdict::Unknown);
    }
}
