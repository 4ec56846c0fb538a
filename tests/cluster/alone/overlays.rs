//! The overlays of `kustomize/`, each applied, and its control plane asked what it makes of it.

use serde_json::Value;

use super::installation::Installation;
use crate::support::patience::eventually;

/// CPUs that the overlay `spin` asks for.
const SPIN_CPUS: u64 = 4;

/// The scheduler policy in force.
fn policy(installation: &Installation) -> Value {
    installation.operator().get("/debug/state").json()["scheduler"]["policy"].clone()
}

/// A call of a function that is put at the address of clients or of operators.
fn serves(installation: &Installation) {
    installation.apply("f", "WARM", "echo", &serde_json::json!({}));
    installation.until_ready("f", 1);
    let answer = installation.client().invoke("f", "7");
    assert_eq!((answer.status, answer.output()), (200, 7.into()), "{answer:?}");
}

#[test]
fn the_overlay_dev_asks_for_little_and_takes_writes_of_clients() {
    let Some(installation) = Installation::of_overlay("dev") else { return };
    installation.until_installed();
    assert_eq!(installation.pod()["status"]["qosClass"], "Burstable");
    assert_eq!(policy(&installation), "park");
    serves(&installation);
    let deleted = installation.client().delete("/v1/functions/f");
    assert_eq!(deleted.status, 204, "{deleted:?}");
}

#[test]
fn the_overlay_no_network_policy_has_none_and_serves() {
    let Some(installation) = Installation::of_overlay("no-network-policy") else { return };
    installation.until_installed();
    assert_eq!(installation.objects(&["networkpolicies"]), Vec::<Value>::new());
    serves(&installation);
}

#[test]
fn the_overlay_spin_waits_for_a_node_with_four_cpus_and_spins() {
    let Some(installation) = Installation::of_overlay("spin") else { return };
    let nodes = installation.objects(&["nodes"]);
    let cpus = |node: &Value| node["status"]["allocatable"]["cpu"].as_str()?.parse::<u64>().ok();
    if nodes.iter().filter_map(cpus).max().unwrap() <= SPIN_CPUS {
        eventually("the pod is told to be too large for the node", || {
            let conditions = installation.pod()["status"]["conditions"].as_array()?.clone();
            let says = |condition: &Value| condition["message"].as_str().unwrap_or_default().contains("cpu");
            conditions
                .iter()
                .any(|condition| condition["reason"] == "Unschedulable" && says(condition))
                .then_some(())
        });
        println!(
            "no node has more than {SPIN_CPUS} CPUs: the pod was refused, and gets 1500m for the rest of this test"
        );
        let resources =
            ["set", "resources", "deployment/picofaas", "--requests=cpu=1500m", "--limits=cpu=1500m"];
        installation.kubectl(&resources);
    }
    installation.until_installed();
    assert_eq!(installation.pod()["status"]["qosClass"], "Guaranteed");
    assert_eq!(policy(&installation), "spin");
    serves(&installation);
}
