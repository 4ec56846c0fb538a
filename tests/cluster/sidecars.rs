//! Pods into which the cluster puts a container of its own, as a mesh does.

use std::time::Duration;

use serde_json::{Value, json};

use crate::pods::{pods, put, until, until_ready, warm};
use crate::stage::{Stage, in_pods, kubectl};
use crate::support::lines::texts;
use crate::support::patience::{Stopwatch, eventually};
use crate::support::specification::With;

/// Longest time of a call that waits for nothing but its own pod.
const AT_ONCE: Duration = Duration::from_secs(60);

/// The policy that puts a container into each new pod of a namespace; it goes when this is dropped.
pub(crate) struct Injection(String);

impl Injection {
    /// Puts one that runs a handler of the `faulty` example in front of the function's, and whose name comes first
    /// where kubelet sorts them.
    pub(crate) fn new(stage: &Stage, handler: &str) -> Self {
        let name = stage.namespace.clone();
        let image = in_pods("f", "JOB", "echo")["image"].as_str().unwrap().to_owned();
        let variable = |name: &str, value: &str| {
            format!("Object.spec.containers.env{{name: {name:?}, value: {value:?}}}")
        };
        let env =
            [("EXECUTION_MODE", "WARM"), ("PORT", "9090"), ("HANDLER", handler), ("FUNCTION_NAME", "mesh")];
        let env = env.map(|(name, value)| variable(name, value)).join(", ");
        let security = "Object.spec.containers.securityContext{allowPrivilegeEscalation: false, \
                        capabilities: Object.spec.containers.securityContext.capabilities{drop: [\"ALL\"]}}";
        let expression = format!(
            "[JSONPatch{{op: \"add\", path: \"/spec/containers/0\", value: Object.spec.containers{{\
             name: \"a-mesh\", image: {image:?}, env: [{env}], securityContext: {security}}}}}]"
        );
        let version = "admissionregistration.k8s.io/v1beta1";
        let policy = json!({
            "apiVersion": version, "kind": "MutatingAdmissionPolicy", "metadata": { "name": name },
            "spec": {
                "failurePolicy": "Fail",
                "reinvocationPolicy": "Never",
                "matchConstraints": {
                    "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": name } },
                    "resourceRules": [{
                        "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"],
                    }],
                },
                "mutations": [{ "patchType": "JSONPatch", "jsonPatch": { "expression": expression } }],
            },
        });
        let binding = json!({
            "apiVersion": version, "kind": "MutatingAdmissionPolicyBinding", "metadata": { "name": name },
            "spec": { "policyName": name },
        });
        for object in [policy, binding] {
            apply(&["apply"], &object);
        }
        let injection = Self(name);
        eventually("containers are put into pods", || injection.is_in_force(&image).then_some(()));
        injection
    }

    fn is_in_force(&self, image: &str) -> bool {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "probe", "namespace": self.0 },
            "spec": {
                "securityContext": { "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } },
                "containers": [{
                    "name": "probe", "image": image,
                    "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
                }],
            },
        });
        let made = apply(&["create", "--dry-run=server", "--output", "json"], &pod);
        serde_json::from_str::<Value>(&made).unwrap()["spec"]["containers"].as_array().unwrap().len() == 2
    }
}

impl Drop for Injection {
    fn drop(&mut self) {
        for kind in ["mutatingadmissionpolicybindings", "mutatingadmissionpolicies"] {
            // It binds nobody once its namespace is gone.
            let _ = crate::stage::command(&crate::stage::kubeconfig(), &["delete", kind, &self.0]).output();
        }
    }
}

fn apply(arguments: &[&str], object: &Value) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), object.to_string()).unwrap();
    kubectl(&[arguments, &["--filename", file.path().to_str().unwrap()]].concat())
}

#[test]
fn a_job_beside_a_container_that_never_ends_gives_its_permit_back_with_its_function() {
    let stage = Stage::new("sidecar-job");
    let _injection = Injection::new(&stage, "echo");
    let server = stage.server(&[]);
    let once = |name: &str, handler: &str| {
        in_pods(name, "JOB", handler).with("maxRetries", 0).with("concurrency", 1).with("timeoutMs", 300_000)
    };
    server.register(&once("writes", "write"));
    server.register(&once("crashes", "exit"));
    let mut client = server.client();
    let input = |text: &str| json!({ "to": "stdout", "text": text, "times": 1, "ms": 0 });
    let watch = Stopwatch::start();
    let ids = ["one", "two", "three"].map(|text| {
        let answer = client.invoke("writes", input(text));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.header("x-execution-id").unwrap().to_owned()
    });
    assert!(
        watch.elapsed() < AT_ONCE,
        "after {:?}: a permit was held for the other container",
        watch.elapsed()
    );
    server.until_status("writes", "inFlight", 0);
    for (id, text) in ids.iter().zip(["one", "two", "three"]) {
        // Of the function's container, and not of the other one.
        assert_eq!(texts(&mut client, &format!("/v1/executions/{id}/logs")), [text]);
    }
    let watch = Stopwatch::start();
    let answer = client.invoke("crashes", 1);
    answer.assert_error(500, "INSTANCE_CRASHED", "function", &["exit code 3"]);
    assert!(watch.elapsed() < AT_ONCE, "after {:?}", watch.elapsed());
    // Nothing runs on for nobody.
    stage.until("no pod is left that runs", "pods", <[_]>::is_empty);
    stage.until("their Jobs are gone", "jobs", <[_]>::is_empty);
    assert_eq!(texts(&mut client, &format!("/v1/executions/{}/logs", ids[0])), ["one"]);
    println!(
        "fault: a container beside a JOB's never ends | permits went with the function's container; the pods were gone {:.1?} after the last",
        watch.elapsed()
    );
}

#[test]
fn a_warm_pod_beside_a_container_that_crashes_again_and_again_serves_and_is_stopped_when_it_is_idle() {
    let stage = Stage::new("sidecar-warm");
    let _injection = Injection::new(&stage, "exit-at-start");
    let server = stage.server(&[]);
    let different = json!({ "replicas": { "min": 0, "max": 1 }, "idleTimeoutMs": 1000, "maxRetries": 0 });
    put(&server, &warm("f", "write", &different));
    let said = |text: &str| json!({ "to": "stdout", "text": text, "times": 1, "ms": 0 });
    assert_eq!(server.invoke("f", said("first")).status, 200);
    eventually("its lines are those of the function", || {
        let lines = texts(&mut server.client(), "/v1/functions/f/logs");
        lines.iter().any(|line| line.contains("first")).then(|| {
            assert!(!lines.iter().any(|line| line.contains("ending before listening")), "{lines:?}");
        })
    });
    stage.until("it is stopped when it is idle", "pods", <[_]>::is_empty);

    let different = json!({ "replicas": { "min": 1, "max": 1 }, "maxRetries": 0 });
    put(&server, &warm("g", "echo", &different));
    until_ready(&server, "g", 1);
    let before = pods(&stage, "g");
    stage.until("the other container has crashed three times", "pods", |pods| {
        let states = pods.iter().flat_map(|pod| pod["status"]["containerStatuses"].as_array().unwrap());
        let mesh = states.clone().find(|state| state["name"] == "a-mesh");
        assert_eq!(server.invoke("g", 1).output(), 1, "it serves all the time");
        mesh.is_some_and(|state| state["restartCount"].as_u64() >= Some(2))
    });
    until(&server, "g", "nothing is said against it", |status| {
        status["ready"] == 1 && !status.to_string().contains("exit code 7")
    });
    assert_eq!(pods(&stage, "g").keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
}
