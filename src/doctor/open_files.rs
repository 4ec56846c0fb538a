//! The limit of open files.

use rustix::process::{Resource, getrlimit};
use serde_json::json;

use super::finding::{Complaint, Finding};

const WHY: &str = "Each connection of a client, and each to an instance, is an open file; over the limit, connections are closed unanswered.";

/// Files beside the connections of clients: those to instances, of which each keeps up to 256, listeners, logs.
const BESIDES: u64 = 1024;
/// Connections that a busy control plane is asked for.
const MANY_CONNECTIONS: u64 = 10_000;

/// Looks at the limits that this process has inherited, as `serve` would.
pub(super) fn examine(max_connections: usize) -> Finding {
    let limit = getrlimit(Resource::Nofile);
    judge(limit.current, limit.maximum, max_connections as u64)
}

/// `None` is no limit.
fn judge(soft: Option<u64>, hard: Option<u64>, connections: u64) -> Finding {
    let shown = |limit: Option<u64>| limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string());
    let needed = connections + BESIDES;
    let many = MANY_CONNECTIONS + BESIDES;
    let seen = format!(
        "{} soft, {} hard, which `serve` raises the soft one to; --max-connections {connections} needs {needed}, 10000 connections {many}",
        shown(soft),
        shown(hard)
    );
    let data = json!({
        "soft": soft, "hard": hard, "maxConnections": connections, "needed": needed, "neededFor10000": many,
    });
    let complaint = hard.filter(|hard| *hard < needed).map(|hard| {
        Complaint::warning(format!(
            "Raise the hard limit from {hard} to {needed} at least (ulimit -Hn, LimitNOFILE=, the container runtime), {many} for 10000 connections, or lower --max-connections."
        ))
    });
    Finding::new("open-files", WHY, seen, data).with(complaint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Verdict;

    #[test]
    fn the_hard_limit_counts_because_the_soft_one_is_raised_to_it() {
        assert_eq!(judge(Some(256), Some(5120), 4096).verdict, Verdict::Ok);
        let low = judge(Some(256), Some(5119), 4096);
        assert_eq!(low.verdict, Verdict::Warning);
        assert!(low.advice.unwrap().contains("from 5119 to 5120"));
        assert_eq!(judge(Some(1024), Some(5120), 10_000).verdict, Verdict::Warning);
        assert_eq!(judge(None, None, 65_536).data["soft"], json!(null));
    }
}
