//! The kernel settings that kubelet, kube-proxy and network plugins change: noted before, put back after.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::layout::Layout;

/// Below /proc/sys. Those of one kernel that another lacks are passed over.
const SETTINGS: [&str; 14] = [
    "kernel/keys/root_maxbytes",
    "kernel/keys/root_maxkeys",
    "kernel/panic",
    "kernel/panic_on_oops",
    "net/bridge/bridge-nf-call-iptables",
    "net/ipv4/conf/all/route_localnet",
    "net/ipv4/ip_forward",
    "net/ipv6/conf/all/forwarding",
    "net/netfilter/nf_conntrack_max",
    "net/netfilter/nf_conntrack_tcp_be_liberal",
    "net/netfilter/nf_conntrack_tcp_timeout_close_wait",
    "net/netfilter/nf_conntrack_tcp_timeout_established",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
];

const NOTE: &str = "before/settings";

pub(super) fn note(layout: &Layout) -> Result<()> {
    let read = |name: &&str| Some(format!("{name} {}\n", read(name)?));
    layout.write(NOTE, &SETTINGS.iter().filter_map(read).collect::<String>())
}

/// Puts back what has another value than before.
pub(super) fn restore(layout: &Layout) -> Result<()> {
    // Without a note nothing was started yet.
    let Ok(note) = fs::read_to_string(layout.path(NOTE)) else { return Ok(()) };
    for (name, value) in note.lines().filter_map(|line| line.split_once(' ')) {
        if read(name).is_some_and(|now| now != value) {
            let path = Path::new("/proc/sys").join(name);
            fs::write(&path, value).with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    Ok(())
}

fn read(name: &str) -> Option<String> {
    Some(fs::read_to_string(Path::new("/proc/sys").join(name)).ok()?.trim().to_owned())
}
