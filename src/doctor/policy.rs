//! The scheduler policy that `serve` would choose here, and where its threads would run.

use serde_json::json;

use super::cpu_list;
use super::finding::{Complaint, Finding};
use crate::config::{SPIN_CORES_MIN, SchedulerPolicy, Settings};

const WHY: &str =
    "A scheduler that spins on a core of its own decides at once; one that parks has to be woken first.";

/// Looks at the settings as `serve` makes them.
pub(super) fn examine(settings: Result<&Settings, &String>, allowed: &[usize], usable: usize) -> Finding {
    let settings = match settings {
        Ok(settings) => settings,
        Err(refusal) => {
            let seen = format!("`serve` would not start: {refusal}");
            let data = json!({
                "policy": null, "reason": null, "schedulerCore": null, "gatewayTicks": null,
                "gatewayThreads": null, "pollSpinUs": null, "refusal": refusal,
            });
            return Finding::new("scheduler", WHY, seen, data).with([Complaint::problem("Mend the flag.")]);
        }
    };
    let policy = settings.policy;
    let mut seen = format!("{} ({})", policy.as_str(), settings.policy_reason);
    match settings.scheduler_core {
        Some(core) => {
            let others: Vec<usize> = allowed.iter().copied().filter(|cpu| *cpu != core).collect();
            let others = if others.is_empty() { allowed } else { &others };
            seen += &format!(
                "; its thread is pinned to CPU {core}, gateways, control and functions run on {}",
                cpu_list::write(others)
            );
        }
        None => seen += &format!("; no thread is pinned, all run on {}", cpu_list::write(allowed)),
    }
    seen += match (settings.gateway_ticks, policy) {
        (true, _) => "; gateways decide themselves while it is parked",
        (false, SchedulerPolicy::Spin) => "",
        (false, SchedulerPolicy::Adaptive | SchedulerPolicy::Park | SchedulerPolicy::Auto) => {
            "; each decision is its own"
        }
    };
    let data = json!({
        "policy": policy.as_str(), "reason": settings.policy_reason, "schedulerCore": settings.scheduler_core,
        "gatewayTicks": settings.gateway_ticks, "gatewayThreads": settings.gateways,
        "pollSpinUs": settings.poll_spin() / 1000, "refusal": null,
    });
    Finding::new("scheduler", WHY, seen, data).with(complaint(policy, usable))
}

fn complaint(policy: SchedulerPolicy, usable: usize) -> Option<Complaint> {
    match policy {
        SchedulerPolicy::Spin if usable < SPIN_CORES_MIN => Some(Complaint::warning(format!(
            "It takes one of {usable} usable cores away from gateways and functions: leave --scheduler at auto, or give it {SPIN_CORES_MIN} cores."
        ))),
        SchedulerPolicy::Spin => None,
        SchedulerPolicy::Adaptive | SchedulerPolicy::Park | SchedulerPolicy::Auto
            if usable < SPIN_CORES_MIN =>
        {
            Some(Complaint::warning(format!(
                "Give picofaas {SPIN_CORES_MIN} usable cores, and --scheduler auto lets it spin."
            )))
        }
        SchedulerPolicy::Adaptive | SchedulerPolicy::Park | SchedulerPolicy::Auto => Some(
            Complaint::warning(format!("{usable} cores are enough for it to spin: --scheduler auto would.")),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Verdict;

    #[test]
    fn a_policy_that_parks_is_a_warning_with_what_would_let_it_spin() {
        let advice = |policy, usable| complaint(policy, usable).map(|complaint| complaint.remedy);
        assert_eq!(advice(SchedulerPolicy::Spin, 4), None);
        assert!(advice(SchedulerPolicy::Spin, 2).unwrap().contains("one of 2 usable cores"));
        assert!(advice(SchedulerPolicy::Adaptive, 2).unwrap().contains("4 usable cores"));
        assert!(advice(SchedulerPolicy::Park, 8).unwrap().contains("auto would"));
    }

    #[test]
    fn flags_that_serve_refuses_are_a_problem_with_its_words() {
        let refusal = "--scheduler-core 9: this process may only use the CPUs [0, 1]".to_owned();
        let finding = examine(Err(&refusal), &[0, 1], 2);
        assert_eq!(finding.verdict, Verdict::Problem);
        assert!(finding.seen.ends_with(&refusal) && finding.data["refusal"] == refusal);
    }
}
