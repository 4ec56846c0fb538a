//! Manifests of `k8s/` beside the objects that are made here: the peers that the network lets in, and the rights of
//! the control plane's account.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::template;

const POLICIES: &str = include_str!("../../k8s/40-networkpolicies.yaml");
const ROLE: &str = include_str!("../../k8s/20-rbac.yaml");
const DEPLOYMENT: &str = include_str!("../../k8s/50-deployment.yaml");
const NAMESPACE: &str = include_str!("../../k8s/00-namespace.yaml");

fn objects(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).expect("the manifest is YAML")
}

fn control_plane() -> Value {
    objects(DEPLOYMENT).swap_remove(0)["spec"]["template"].take()
}

/// The policy whose selector has some labels.
fn policy_of(labels: &Value) -> Value {
    let is_of = |policy: &Value| is_selected(&policy["spec"]["podSelector"]["matchLabels"], labels);
    let mut policies = objects(POLICIES).into_iter().filter(is_of);
    let policy = policies.next().expect("a policy selects the pod");
    assert_eq!(policies.next(), None, "another policy would let in more");
    policy
}

/// Whether a pod with these labels has all that a selector asks for.
fn is_selected(selector: &Value, labels: &Value) -> bool {
    let asked = selector.as_object().expect("labels");
    assert!(!asked.is_empty(), "it selects every pod");
    asked.iter().all(|(name, value)| labels[name] == *value)
}

#[test]
fn the_pods_of_a_function_are_reached_by_the_control_plane_alone_and_only_where_they_listen() {
    let (function, control_plane) = (json!(template::labels("f")), control_plane());
    let spec = &policy_of(&function)["spec"];
    assert_eq!(spec["policyTypes"], json!(["Ingress"]));
    let [rule] = spec["ingress"].as_array().expect("rules").as_slice() else { panic!("{spec}") };
    assert_eq!(rule["ports"], json!([{ "port": template::PORT, "protocol": "TCP" }]));
    let [from] = rule["from"].as_array().expect("peers").as_slice() else { panic!("{rule}") };
    // A peer without a selector of namespaces is of this one.
    assert_eq!(from.as_object().expect("a peer").keys().collect::<Vec<_>>(), ["podSelector"]);
    let selector = &from["podSelector"]["matchLabels"];
    assert!(is_selected(selector, &control_plane["metadata"]["labels"]));
    assert!(!is_selected(selector, &function), "one function reaches another");
}

#[test]
fn operators_and_runtimes_reach_their_own_listener_of_the_control_plane_and_others_that_of_clients() {
    let control_plane = control_plane();
    let labels = &control_plane["metadata"]["labels"];
    let function = json!(template::labels("f"));
    let spec = &policy_of(labels)["spec"];
    let mut ports = BTreeSet::new();
    for rule in spec["ingress"].as_array().expect("rules") {
        let [port] = rule["ports"].as_array().expect("ports").as_slice() else { panic!("{rule}") };
        let [from] = rule["from"].as_array().expect("peers").as_slice() else { panic!("{rule}") };
        let port = port["port"].as_str().expect("a name");
        match port {
            "http" => assert_eq!(from, &json!({ "namespaceSelector": {} })),
            "management" => assert_eq!(
                from,
                &json!({ "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "monitoring" } } })
            ),
            "runtime" => {
                assert_eq!(from.as_object().expect("a peer").keys().collect::<Vec<_>>(), ["podSelector"]);
                let selector = &from["podSelector"]["matchLabels"];
                assert!(is_selected(selector, &function) && !is_selected(selector, labels));
            }
            other => panic!("who reaches {other}?"),
        }
        assert!(ports.insert(port), "{port} has two rules");
    }
    assert_eq!(ports.len(), 3);
    assert!(!is_selected(&objects(DEPLOYMENT)[0]["spec"]["selector"]["matchLabels"], &function));
}

#[test]
fn the_account_of_the_control_plane_reads_no_secret_enters_no_pod_and_has_no_right_elsewhere() {
    let objects = objects(ROLE);
    let kinds: Vec<&str> = objects.iter().filter_map(|object| object["kind"].as_str()).collect();
    assert_eq!(kinds, ["ServiceAccount", "Role", "RoleBinding"]);
    assert_eq!(objects[0]["automountServiceAccountToken"], false);
    let mut rights = BTreeSet::new();
    for rule in objects[1]["rules"].as_array().expect("rules") {
        assert!(rule.get("nonResourceURLs").is_none() && !rule.to_string().contains('*'), "{rule}");
        for resource in rule["resources"].as_array().expect("resources") {
            rights.insert(resource.as_str().expect("a name"));
        }
    }
    let known = [
        "deployments",
        "deployments/scale",
        "events",
        "functions",
        "functions/status",
        "jobs",
        "leases",
        "pods",
        "pods/log",
    ];
    assert_eq!(rights, BTreeSet::from(known));
}

#[test]
fn neither_the_control_plane_nor_a_function_runs_as_root_or_with_privileges() {
    let labels = &objects(NAMESPACE)[0]["metadata"]["labels"];
    assert_eq!(labels["pod-security.kubernetes.io/enforce"], "restricted");
    let spec = crate::spec::parse_function(br#"{"name":"f","image":"i"}"#).expect("a function");
    let function =
        serde_json::to_value(template::pods(&spec, template::environment(&spec, spec.execution_mode)))
            .expect("JSON");
    for pod in [&control_plane()["spec"], &function["spec"]] {
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
        for container in pod["containers"].as_array().expect("containers") {
            assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false);
            assert_eq!(container["securityContext"]["capabilities"]["drop"], json!(["ALL"]));
        }
        for name in ["hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"] {
            assert_eq!(pod.get(name), None, "{name}");
        }
    }
    assert_eq!(function["spec"]["automountServiceAccountToken"], false);
}
