//! Settings of the kernel that matter for many connections.

use serde_json::json;

use super::finding::{Complaint, Finding};
use super::kernel_files::KernelFiles;
use crate::server::bind::BACKLOG;

const CORE: &str = "/proc/sys/net/core";
const IPV4: &str = "/proc/sys/net/ipv4";

/// Ports that connections to one address can have at once; fewer are a limit of calls to one endpoint.
const PORTS_MIN: u64 = 10_000;
/// One pass of a CPU over its packets in this many that had to stop before it was done.
const SQUEEZED_MAX: u64 = 1000;

/// Looks at the settings of the network namespace that this process is in.
pub(super) fn examine(files: &KernelFiles) -> Vec<Finding> {
    vec![accept_queue(files), ports(files), packets(files)]
}

/// Connections that wait to be accepted.
fn accept_queue(files: &KernelFiles) -> Finding {
    const NAME: &str = "accept-queue";
    const WHY: &str = "Of a burst of new connections, those beyond the queue are dropped, and their clients try again a second later.";
    let somaxconn = files.number::<u64>(format!("{CORE}/somaxconn"));
    let syn_backlog = files.number::<u64>(format!("{IPV4}/tcp_max_syn_backlog"));
    let syncookies = files.number::<u64>(format!("{IPV4}/tcp_syncookies"));
    let Some(somaxconn) = somaxconn else { return hidden(NAME, WHY, "net.core.somaxconn") };
    let wanted = u64::from(BACKLOG.unsigned_abs());
    let shown = |value: Option<u64>| value.map_or_else(|| "not told".to_owned(), |value| value.to_string());
    let seen = format!(
        "somaxconn {somaxconn}, picofaas asks for {wanted}; tcp_max_syn_backlog {}, tcp_syncookies {}",
        shown(syn_backlog),
        shown(syncookies)
    );
    let data = json!({
        "somaxconn": somaxconn, "backlog": wanted, "tcpMaxSynBacklog": syn_backlog, "tcpSyncookies": syncookies,
    });
    let mut complaints = Vec::new();
    if somaxconn < wanted {
        complaints.push(Complaint::warning(format!("Set net.core.somaxconn={wanted} (sysctl -w).")));
    }
    if syncookies == Some(0) && syn_backlog.is_some_and(|backlog| backlog < wanted) {
        complaints.push(Complaint::warning(format!(
            "Set net.ipv4.tcp_syncookies=1, or net.ipv4.tcp_max_syn_backlog={wanted}."
        )));
    }
    Finding::new(NAME, WHY, seen, data).with(complaints)
}

/// Ports of outgoing connections.
fn ports(files: &KernelFiles) -> Finding {
    const NAME: &str = "ports";
    const WHY: &str = "Each connection to an instance over TCP has a port of its own, and a closed one keeps it for a minute; calls fail when none is left.";
    let range = files.text(format!("{IPV4}/ip_local_port_range")).and_then(|text| port_range(&text));
    let reuse = files.number::<u64>(format!("{IPV4}/tcp_tw_reuse"));
    let Some((first, last)) = range else { return hidden(NAME, WHY, "net.ipv4.ip_local_port_range") };
    let count = (last + 1).saturating_sub(first);
    let how = match reuse {
        Some(0) => "never reused while they wait",
        Some(1) => "reused while they wait",
        Some(_) => "reused while they wait on loopback alone",
        None => "reuse not told",
    };
    let seen = format!("{count} for each address called ({first} … {last}), {how} (tcp_tw_reuse)");
    let data = json!({ "first": first, "last": last, "count": count, "tcpTwReuse": reuse });
    let complaint = (count < PORTS_MIN).then(|| {
        Complaint::warning("Set net.ipv4.ip_local_port_range=\"10240 65535\" and net.ipv4.tcp_tw_reuse=1.")
    });
    Finding::new(NAME, WHY, seen, data).with(complaint)
}

/// First and last of a range of ports.
fn port_range(text: &str) -> Option<(u64, u64)> {
    let mut numbers = text.split_whitespace().map(str::parse::<u64>);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// Packets that came faster than they were taken.
fn packets(files: &KernelFiles) -> Finding {
    const NAME: &str = "packets";
    const WHY: &str = "A packet that is dropped is sent again 200 ms later or more, and one that waits for the next pass is late.";
    let Some(text) = files.text("/proc/net/softnet_stat") else {
        return hidden(NAME, WHY, "/proc/net/softnet_stat");
    };
    let PacketCounts { processed, dropped, squeezed } = packet_counts(&text);
    let budget = files.number::<u64>(format!("{CORE}/netdev_budget"));
    let backlog = files.number::<u64>(format!("{CORE}/netdev_max_backlog"));
    let seen = format!("{dropped} of {processed} dropped since the start, {squeezed} passes stopped early");
    let data = json!({
        "processed": processed, "dropped": dropped, "squeezed": squeezed, "netdevBudget": budget,
        "netdevMaxBacklog": backlog,
    });
    let now = |value: Option<u64>| value.map_or_else(String::new, |value| format!(" (now {value})"));
    let mut complaints = Vec::new();
    if dropped > 0 {
        complaints.push(Complaint::warning(format!(
            "Raise net.core.netdev_max_backlog{} to twice its value, or spread the packets over more CPUs (receive queues, RPS).",
            now(backlog)
        )));
    }
    if squeezed * SQUEEZED_MAX > processed {
        complaints.push(Complaint::warning(format!(
            "Raise net.core.netdev_budget{} to twice its value.",
            now(budget)
        )));
    }
    Finding::new(NAME, WHY, seen, data).with(complaints)
}

/// Counters over all CPUs since the start of the machine.
#[derive(Debug, Default, PartialEq, Eq)]
struct PacketCounts {
    processed: u64,
    dropped: u64,
    squeezed: u64,
}

/// Sums `softnet_stat`, which has a line for each CPU, of numbers to the base of 16.
fn packet_counts(text: &str) -> PacketCounts {
    let mut sum = PacketCounts::default();
    for line in text.lines() {
        let mut fields = line.split_whitespace().map(|field| u64::from_str_radix(field, 16).unwrap_or(0));
        let mut next = || fields.next().unwrap_or(0);
        let (processed, dropped, squeezed) = (next(), next(), next());
        sum.processed += processed;
        sum.dropped += dropped;
        sum.squeezed += squeezed;
    }
    sum
}

fn hidden(name: &'static str, why: &'static str, file: &str) -> Finding {
    Finding::not_looked_at(
        name,
        why,
        &format!("{file} cannot be read here"),
        "Look at it on the machine itself.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Verdict;
    use crate::doctor::kernel_files::tests::machine;

    fn with(files: &[(&str, &str)]) -> Vec<Finding> {
        let paths: Vec<(String, &str)> =
            files.iter().map(|(path, text)| (format!("/proc/sys/net/{path}"), *text)).collect();
        let files: Vec<(&str, &str)> = paths.iter().map(|(path, text)| (path.as_str(), *text)).collect();
        let (files, _root) = machine(&files);
        examine(&files)
    }

    #[test]
    fn a_queue_that_is_shorter_than_picofaas_asks_for_is_a_warning_with_the_number_to_set() {
        let queue = |somaxconn, syn, cookies| {
            let files = [
                ("core/somaxconn", somaxconn),
                ("ipv4/tcp_max_syn_backlog", syn),
                ("ipv4/tcp_syncookies", cookies),
            ];
            with(&files).swap_remove(0)
        };
        assert_eq!(queue("4096\n", "128\n", "1\n").verdict, Verdict::Ok);
        let short = queue("128\n", "512\n", "1\n");
        assert_eq!(short.verdict, Verdict::Warning);
        assert!(short.advice.unwrap().contains("net.core.somaxconn=1024"));
        let without_cookies = queue("4096\n", "512\n", "0\n");
        assert!(without_cookies.advice.unwrap().contains("tcp_max_syn_backlog=1024"));
        assert_eq!(with(&[])[0].verdict, Verdict::Unknown);
    }

    #[test]
    fn a_small_range_of_ports_is_a_warning() {
        let ports =
            |range| with(&[("ipv4/ip_local_port_range", range), ("ipv4/tcp_tw_reuse", "2\n")]).swap_remove(1);
        let usual = ports("32768\t60999\n");
        assert_eq!((usual.verdict, &usual.data["count"]), (Verdict::Ok, &json!(28_232)));
        assert_eq!(ports("60000 60999\n").verdict, Verdict::Warning);
        assert_eq!(ports("none\n").verdict, Verdict::Unknown);
    }

    #[test]
    fn dropped_and_late_packets_are_summed_over_all_cpus() {
        let text = "000003e8 00000000 00000001 00000000\n00000bb8 00000000 00000003 00000000\n";
        assert_eq!(packet_counts(text), PacketCounts { processed: 4000, dropped: 0, squeezed: 4 });
        let verdict = |text: &str| {
            let (files, _root) = machine(&[("/proc/net/softnet_stat", text)]);
            packets(&files).verdict
        };
        assert_eq!(verdict(text), Verdict::Ok);
        assert_eq!(verdict("000003e8 00000001 00000000\n"), Verdict::Warning);
        assert_eq!(verdict("000003e8 00000000 00000002\n"), Verdict::Warning);
    }
}
