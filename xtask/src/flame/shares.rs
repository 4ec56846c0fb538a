//! Shares of CPU time, out of folded stacks: by thread, by kernel and user space, by system call, and by the part
//! whose code ran.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anyhow::{Context as _, Result, ensure};

/// Behind the name of a kernel function.
const KERNEL: &str = "_[k]";

/// Rows of a table; the others are summed.
const ROWS_MAX: usize = 12;

/// A row of less is summed, in percent.
const ROW_PERCENT_MIN: f64 = 0.5;

/// Where a processor enters the kernel for a system call: on x86-64, and on arm64.
const CALL_ENTRIES: [&str; 4] = ["entry_SYSCALL", "do_syscall_64", "el0_svc", "do_el0_svc"];

/// Crates of the standard library: what they do is done for their caller.
const STANDARD: [&str; 3] = ["core", "std", "alloc"];

/// Folded stacks of these threads alone. perf follows the processes that one starts, and a process has the name
/// of the thread that started it until it has become its program.
pub(super) fn of_threads(folded: &str, threads: &BTreeSet<&str>) -> String {
    let is_of = |line: &&str| line.split(';').next().is_some_and(|thread| threads.contains(thread));
    folded.lines().filter(is_of).flat_map(|line| [line, "\n"]).collect()
}

/// CPU time by what it was spent in.
#[derive(Debug, Default)]
pub(super) struct Shares {
    /// Sum of all weights: nanoseconds, or cycles.
    whole: u64,
    by_thread: BTreeMap<String, u64>,
    by_space: BTreeMap<&'static str, u64>,
    by_call: BTreeMap<String, u64>,
    by_part: BTreeMap<String, u64>,
}

impl Shares {
    /// Counts folded stacks: `thread;outermost;…;innermost weight` in each line.
    pub(super) fn count(folded: &str) -> Result<Self> {
        let mut shares = Self::default();
        for line in folded.lines() {
            let (stack, weight) = line.rsplit_once(' ').with_context(|| format!("not a stack: {line:?}"))?;
            let weight: u64 = weight.parse().with_context(|| format!("not a weight: {line:?}"))?;
            shares.add(stack, weight);
        }
        ensure!(shares.whole > 0, "not one sample was taken");
        Ok(shares)
    }

    fn add(&mut self, stack: &str, weight: u64) {
        let mut frames = stack.split(';');
        let thread = frames.next().unwrap_or_default().to_owned();
        let frames: Vec<&str> = frames.collect();
        self.whole += weight;
        *self.by_thread.entry(thread).or_default() += weight;
        // A clock that is read without the kernel has the kernel's mark all the same.
        let is_kernel = |frame: &&str| frame.ends_with(KERNEL) && !frame.starts_with("__vdso_");
        let kernel = frames.iter().position(is_kernel);
        let Some(kernel) = kernel else {
            *self.by_space.entry("user space").or_default() += weight;
            *self.by_part.entry(part(&frames)).or_default() += weight;
            return;
        };
        if was_preempted(&frames[kernel..]) {
            *self.by_space.entry("preemption by another thread").or_default() += weight;
            return;
        }
        match call(&frames[kernel..]) {
            Some(call) => {
                *self.by_space.entry("system calls").or_default() += weight;
                *self.by_call.entry(call).or_default() += weight;
            }
            None => *self.by_space.entry("kernel, not for a system call").or_default() += weight,
        }
    }

    /// Sum of all weights: nanoseconds, or cycles.
    pub(super) fn whole(&self) -> u64 {
        self.whole
    }

    /// All tables, in Markdown.
    pub(super) fn tables(&self) -> String {
        let spaces = self.by_space.iter().map(|(name, weight)| ((*name).to_owned(), *weight)).collect();
        let mut text = self.table("thread", &self.by_thread);
        text.push('\n');
        text.push_str(&self.table("time in", &spaces));
        text.push('\n');
        text.push_str(&self.table("system call", &self.by_call));
        text.push('\n');
        text.push_str(&self.table("user space, code of", &self.by_part));
        text
    }

    /// Rows by size, in percent of the whole.
    fn table(&self, head: &str, rows: &BTreeMap<String, u64>) -> String {
        let mut sorted: Vec<(&String, u64)> = rows.iter().map(|(name, weight)| (name, *weight)).collect();
        sorted.sort_by_key(|(name, weight)| (u64::MAX - weight, *name));
        let percent = |weight: u64| weight as f64 * 100.0 / self.whole as f64;
        let mut shown =
            sorted.iter().take(ROWS_MAX).take_while(|row| percent(row.1) >= ROW_PERCENT_MIN).count();
        if shown + 1 == sorted.len() {
            shown += 1;
        }
        let mut table = format!("| {head} | % of the CPU time |\n|---|---|\n");
        for (name, weight) in &sorted[..shown] {
            // Writes to a string do not fail.
            let _ = writeln!(table, "| {name} | {:.1} |", percent(*weight));
        }
        let rest: u64 = sorted[shown..].iter().map(|row| row.1).sum();
        if rest > 0 {
            let _ = writeln!(table, "| {} others | {:.1} |", sorted.len() - shown, percent(rest));
        }
        table
    }
}

/// Whether kernel frames are of another thread's turn, before the way back into user space.
fn was_preempted(kernel: &[&str]) -> bool {
    let way_back = kernel.iter().position(|frame| frame.contains("exit_to_user_mode"));
    way_back.is_some_and(|at| kernel[at..].iter().any(|frame| frame.starts_with("schedule")))
}

/// The system call that kernel frames, outermost first, are of; `None` where they are of an interrupt or a fault.
fn call(kernel: &[&str]) -> Option<String> {
    let is_entry = |frame: &str| CALL_ENTRIES.iter().any(|entry| frame.starts_with(entry));
    if !kernel.iter().any(|frame| is_entry(frame)) {
        return None;
    }
    let names = || kernel.iter().map(|frame| frame.trim_end_matches(KERNEL));
    let named = names().find_map(|name| {
        ["__x64_sys_", "__arm64_sys_", "__do_sys_", "__se_sys_"]
            .iter()
            .find_map(|prefix| name.strip_prefix(prefix))
    });
    // Where the compiler has put the function of the call into the entry, the next one tells.
    let inner = names().find(|name| !is_entry(name));
    Some(named.or(inner).map_or("the entry itself", |name| plain(name)).to_owned())
}

/// The name of a call's function without the marks of the layers of the kernel.
fn plain(name: &str) -> &str {
    let prefixes = ["__sys_", "ksys_", "do_sys_", "do_"];
    prefixes.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name)
}

/// The part whose code the innermost frames are: a folder of picofaas, or a crate. The standard library, and
/// what has no name, count for their caller.
fn part(frames: &[&str]) -> String {
    for frame in frames.iter().rev() {
        if frame.starts_with("mi_") || frame.starts_with("_mi_") {
            return "the allocator".to_owned();
        }
        // A name without a path is one of C, or a parameter that stands for a type.
        let Some((first, rest)) = path(frame).split_once("::") else { continue };
        if STANDARD.contains(&first) {
            continue;
        }
        let folder = rest.split("::").next().filter(|_| first == "picofaas");
        return folder.map_or_else(|| first.to_owned(), |folder| format!("picofaas::{folder}"));
    }
    "no name".to_owned()
}

/// The path of a function: `hyper::proto` of `<hyper::proto::Conn<T> as core::fmt::Debug>::fmt`, too.
fn path(frame: &str) -> &str {
    let mut path = frame;
    for mark in ["<", "&", "mut ", "dyn "].iter().cycle().take(12) {
        path = path.strip_prefix(mark).unwrap_or(path);
    }
    path.split(['<', '>', ' ', '+', '(']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOLDED: &str = "\
gateway-0;main;picofaas::gateway::thread::run;picofaas::store::execution_store::ExecutionStore::insert 30
gateway-0;main;picofaas::gateway::thread::run;core::ptr::drop_in_place<T>;mi_free 10
gateway-0;main;picofaas::gateway::thread::run;<bytes::Bytes as core::ops::Drop>::drop;memcpy 5
gateway-0;main;writev;entry_SYSCALL_64_after_hwframe_[k];do_syscall_64_[k];do_writev_[k];tcp_sendmsg_[k] 25
gateway-0;main;recv;entry_SYSCALL_64_after_hwframe_[k];do_syscall_64_[k];__x64_sys_recvfrom_[k];__sys_recvfrom_[k] 12
gateway-0;main;recv;entry_SYSCALL_64_after_hwframe_[k];do_syscall_64_[k];exit_to_user_mode_loop_[k];schedule_[k] 3
scheduler;main;asm_exc_page_fault_[k];exc_page_fault_[k] 5
scheduler;[unknown] 4
scheduler;std::time::Instant::now;__vdso_clock_gettime_[k] 6
";

    fn map(of: &BTreeMap<String, u64>) -> Vec<(&str, u64)> {
        of.iter().map(|(name, samples)| (name.as_str(), *samples)).collect()
    }

    #[test]
    fn each_sample_counts_once_for_its_thread_its_space_and_its_part() {
        let shares = Shares::count(FOLDED).unwrap();
        assert_eq!(shares.whole(), 100);
        assert_eq!(map(&shares.by_thread), [("gateway-0", 85), ("scheduler", 15)]);
        let spaces: Vec<_> = shares.by_space.into_iter().collect();
        let (fault, preempted) = (("kernel, not for a system call", 5), ("preemption by another thread", 3));
        assert_eq!(spaces, [fault, preempted, ("system calls", 37), ("user space", 55)]);
        assert_eq!(map(&shares.by_call), [("recvfrom", 12), ("writev", 25)]);
        let parts = [("bytes", 5), ("no name", 10), ("picofaas::store", 30), ("the allocator", 10)];
        assert_eq!(map(&shares.by_part), parts);
    }

    #[test]
    fn a_table_is_sorted_and_sums_small_rows_where_there_are_several() {
        let rows = "a;x::y::z 700\na;p::q 297\na;s::t 2\na;u::v 1\n";
        let shares = Shares::count(rows).unwrap();
        let table = shares.table("crate", &shares.by_part);
        assert!(table.ends_with("| x | 70.0 |\n| p | 29.7 |\n| 2 others | 0.3 |\n"), "{table}");
        let shares = Shares::count("a;x::y::z 998\na;s::t 2\n").unwrap();
        assert!(shares.table("crate", &shares.by_part).ends_with("| x | 99.8 |\n| s | 0.2 |\n"));
    }

    #[test]
    fn the_part_of_a_method_of_a_trait_is_that_of_its_type() {
        for (frame, expected) in [
            (
                "<picofaas::server::client_io::ClientIo as hyper::rt::io::Write>::poll_write",
                "picofaas::server",
            ),
            ("<&mut hyper::proto::h1::Conn<I,B> as core::future::Future>::poll", "hyper"),
            ("<&mut T as tokio::io::AsyncRead>::poll_read", "no name"),
            ("tokio::runtime::park::Parker::park", "tokio"),
            ("__memmove_avx_unaligned_erms", "no name"),
        ] {
            assert_eq!(part(&[frame]), expected, "{frame}");
        }
        assert_eq!(part(&["hyper::a", "core::ptr::read", "memcpy"]), "hyper");
    }

    #[test]
    fn stacks_of_functions_are_left_out() {
        let folded = "gateway-0;a 1\necho;a 2\npicofaas;a 3\ngateway-01;a 4\n";
        assert_eq!(of_threads(folded, &["gateway-0", "picofaas"].into()), "gateway-0;a 1\npicofaas;a 3\n");
    }

    #[test]
    fn what_is_no_stack_and_a_recording_without_samples_are_errors() {
        assert!(Shares::count("").is_err());
        assert!(Shares::count("gateway-0;main\n").is_err());
        assert!(Shares::count("gateway-0;main many\n").is_err());
    }
}
