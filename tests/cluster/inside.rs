//! The specification of a function's pods, read back inside of one.

use serde_json::{Value, json};

use crate::pods::{put, until_ready, warm};
use crate::stage::{Stage, in_pods};

/// The fields with secrets, config maps and the template of the pod.
fn furnished() -> Value {
    json!({
        "env": [
            { "name": "HANDLER", "value": "surroundings" },
            { "name": "PASSWORD", "valueFrom": { "secretKeyRef": { "name": "login", "key": "password" } } },
            { "name": "LEVEL", "valueFrom": { "configMapKeyRef": { "name": "settings", "key": "level" } } },
            { "name": "ABSENT", "valueFrom": { "secretKeyRef": { "name": "none", "key": "k", "optional": true } } },
            { "name": "NAMESPACE", "valueFrom": { "fieldRef": { "fieldPath": "metadata.namespace" } } },
            { "name": "both", "value": "of the function" },
        ],
        "envFrom": [{ "secretRef": { "name": "login" } }, { "prefix": "SET_", "configMapRef": { "name": "settings" } }],
        "secrets": ["login"],
        "podTemplate": {
            "nodeSelector": { "kubernetes.io/os": "linux" },
            "tolerations": [{ "key": "example.com/spot", "operator": "Exists", "effect": "NoSchedule" }],
            "annotations": { "example.com/team": "a" },
        },
    })
}

#[test]
fn secrets_config_maps_and_what_is_said_of_pods_are_in_the_pods_of_both_modes() {
    let stage = Stage::new("inside");
    stage.kubectl(&[
        "create",
        "secret",
        "generic",
        "login",
        "--from-literal=password=open sesame",
        "--from-literal=both=of the secret",
    ]);
    stage.kubectl(&[
        "create",
        "configmap",
        "settings",
        "--from-literal=level=high",
        "--from-literal=other=1",
    ]);
    let server = stage.server(&[]);
    let furnished = furnished();
    let mut once = in_pods("once", "JOB", "");
    for (key, value) in furnished.as_object().unwrap() {
        once[key] = value.clone();
    }
    server.register(&once);
    put(&server, &warm("stays", "", &furnished));
    until_ready(&server, "stays", 1);

    let folder = "/var/run/secrets/picofaas/login";
    let account = "/var/run/secrets/kubernetes.io/serviceaccount/token";
    let variables =
        ["PASSWORD", "LEVEL", "ABSENT", "NAMESPACE", "both", "password", "SET_level", "SET_other", "level"];
    let files = [format!("{folder}/password"), format!("{folder}/both"), account.to_owned()];
    let input = json!({ "variables": variables, "files": files });
    for function in ["once", "stays"] {
        let answer = server.invoke(function, &input);
        let found = answer.output();
        assert_eq!(
            found["variables"],
            json!({
                "PASSWORD": "open sesame", "LEVEL": "high", "ABSENT": null, "NAMESPACE": stage.namespace,
                "both": "of the function", "password": "open sesame",
                "SET_level": "high", "SET_other": "1", "level": null,
            }),
            "{function}"
        );
        assert_eq!(found["files"][&files[0]], json!({ "Ok": "open sesame" }), "{function}");
        assert_eq!(found["files"][&files[1]], json!({ "Ok": "of the secret" }), "{function}");
        assert!(found["files"][account]["Err"].is_string(), "{function} has an account's token: {found}");
    }
    let pods = stage.objects("pods");
    assert_eq!(pods.len(), 2);
    for pod in pods {
        assert_eq!(pod["metadata"]["annotations"]["example.com/team"], "a");
        assert_eq!(pod["spec"]["nodeSelector"], json!({ "kubernetes.io/os": "linux" }));
        let tolerations = pod["spec"]["tolerations"].as_array().unwrap();
        assert!(tolerations.iter().any(|one| one["key"] == "example.com/spot"), "{tolerations:?}");
    }
    let everything = [stage.objects("pods"), stage.objects("jobs"), stage.objects("deployments")].concat();
    assert!(!json!(everything).to_string().contains("open sesame"), "a secret is in an object");
}
