//! The means by which local functions are held to their limits here.

use serde_json::json;

use super::finding::{Complaint, Finding};
use crate::config::{LocalLimits, ServeArgs};
use crate::instances::local::limits::Limits;

const NAME: &str = "local-limits";
const WHY: &str = "A function without a limit can take memory and CPU away from all others.";

/// Prepares the limits as `serve` does, but for what a dead one left, and takes them down again.
pub(super) fn examine(flags: &ServeArgs) -> Finding {
    if flags.backend.runs_in_cluster() {
        let data = json!({ "means": null, "withoutCgroup": null, "refusal": null });
        return Finding::new(NAME, WHY, "not needed: a cluster bounds its pods", data);
    }
    let limits = match Limits::probe(flags) {
        Ok(limits) => limits,
        Err(refusal) => {
            let seen = format!("`serve` would not start: {refusal}");
            return Finding::new(
                NAME,
                WHY,
                seen,
                json!({ "means": null, "withoutCgroup": null, "refusal": refusal }),
            )
            .with([Complaint::problem("Mend the flag, or give picofaas such a cgroup.")]);
        }
    };
    let without: Vec<&str> =
        limits.without_cgroup().into_iter().map(picofaas_child::cgroup::Controller::as_str).collect();
    let complaint = if without.is_empty() {
        None
    } else if flags.local_limits == LocalLimits::Auto {
        Some(Complaint::warning(format!(
            "Give picofaas a writable cgroup with the controllers memory, pids and cpu (systemd: Delegate=yes); it has none for {}.",
            without.join(", ")
        )))
    } else {
        Some(Complaint::warning("Leave --local-limits at auto."))
    };
    let data = json!({ "means": limits.summary(), "withoutCgroup": without, "refusal": null });
    Finding::new(NAME, WHY, limits.summary(), data).with(complaint)
}
