//! The pods of a `WARM` function on a stage, and what its status says of them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::stage::{Stage, in_pods};
use crate::support::patience::eventually;
use crate::support::server::Server;

/// By the pod's name, its uid and how often its container was started again.
pub(crate) type Pods = BTreeMap<String, (String, i64)>;

/// A `WARM` function of a handler of the `faulty` example, with what is to be different.
pub(crate) fn warm(name: &str, handler: &str, different: &Value) -> Value {
    let mut function = in_pods(name, "WARM", handler);
    function["resources"] = json!({ "requests": { "cpu": "10m", "memory": "16Mi" } });
    for (key, value) in different.as_object().unwrap() {
        function[key] = value.clone();
    }
    function
}

/// Creates a function or replaces it.
#[track_caller]
pub(crate) fn put(server: &Server, function: &Value) {
    let name = function["name"].as_str().unwrap();
    let answer = server.client().put(&format!("/v1/functions/{name}"), function);
    assert!(matches!(answer.status, 200 | 201), "{answer:?}");
}

/// The pods of a function that are not being deleted.
pub(crate) fn pods(stage: &Stage, function: &str) -> Pods {
    pods_in(&stage.objects("pods"), function)
}

/// The same, of all pods of a namespace.
pub(crate) fn pods_in(all: &[Value], function: &str) -> Pods {
    let of = |pod: &Value, at: &str| pod["metadata"][at].as_str().unwrap().to_owned();
    all.iter()
        .filter(|pod| pod["metadata"]["labels"]["picofaas.dev/function"] == function)
        .filter(|pod| pod["metadata"]["deletionTimestamp"].is_null())
        .map(|pod| {
            let restarts = pod["status"]["containerStatuses"][0]["restartCount"].as_i64();
            (of(pod, "name"), (of(pod, "uid"), restarts.unwrap_or_default()))
        })
        .collect()
}

/// Waits until so many instances are ready, and no version is on its way.
pub(crate) fn until_ready(server: &Server, function: &str, wanted: u64) {
    until(server, function, &format!("{wanted} instances of {function} are ready"), |status| {
        status["ready"] == wanted && condition(status, "Progressing").is_none()
    });
}

/// Waits until a function's status is as it should be.
pub(crate) fn until(server: &Server, function: &str, what: &str, is_so: impl Fn(&Value) -> bool) {
    let mut client = server.client();
    let path = format!("/v1/functions/{function}");
    eventually(what, || is_so(&client.get(&path).json()["status"]).then_some(()));
}

/// A condition of a function's status, where it has it.
pub(crate) fn condition<'a>(status: &'a Value, kind: &str) -> Option<&'a Value> {
    status["conditions"].as_array()?.iter().find(|one| one["type"] == kind)
}
