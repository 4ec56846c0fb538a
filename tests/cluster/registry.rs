//! Function objects and the HTTP API are two doors to one registry.

use serde_json::{Value, json};

use crate::namespace::{Namespace, until_ready};
use crate::support::endpoint::Endpoint;
use crate::support::patience::{Stopwatch, eventually};
use crate::support::server::Server;
use crate::support::specification::{With, pool};

const NOWHERE: &str = "http://127.0.0.1:9";

/// The function as it is served, once it is as it should be.
fn until_served(server: &Server, name: &str, is_right: impl Fn(&Value) -> bool) -> Value {
    let mut client = server.client();
    eventually(&format!("{name} is served as it should be"), || {
        let answer = client.get(&format!("/v1/functions/{name}"));
        (answer.status == 200).then(|| answer.json()).filter(|function| is_right(function))
    })
}

fn until_unknown(server: &Server, name: &str) {
    let mut client = server.client();
    let path = format!("/v1/functions/{name}");
    eventually(&format!("{name} is not served"), || (client.get(&path).status == 404).then_some(()));
}

#[test]
fn both_doors_lead_to_one_function_and_agree_on_its_generation() {
    let namespace = Namespace::new();
    let server = namespace.start();
    until_ready(&server);

    // In by one door …
    let endpoint = Endpoint::listen();
    namespace.apply("f", &json!({ "executionMode": "POOL", "endpointUrl": endpoint.url() })).unwrap();
    until_served(&server, "f", |_| true);
    let mut client = server.client();
    client.ask_invoke("f", "", "1");
    endpoint.next().answer(200, "\"here\"");
    assert_eq!(client.receive().output(), "here");

    // … changed by the other, whose answer is right at once …
    let specification = pool("f", NOWHERE).with("timeoutMs", 777);
    let answer = client.put("/v1/functions/f", &specification);
    assert_eq!((answer.status, &answer.json()["timeoutMs"]), (200, &json!(777)), "{answer:?}");
    let etag = answer.header("etag").unwrap().to_owned();
    let object = namespace.function("f").unwrap();
    assert_eq!(object["spec"]["timeoutMs"], 777);
    assert_eq!(object["spec"].get("name"), None);
    let generation = object["metadata"]["generation"].clone();
    eventually("the status is about this generation", || {
        (namespace.function("f")?["status"]["observedGeneration"] == generation).then_some(())
    });

    // … and the same again is no change to either.
    assert_eq!(client.put("/v1/functions/f", &specification).status, 200);
    assert_eq!(namespace.function("f").unwrap()["metadata"]["generation"], generation);
    let stale = client.call("PUT /v1/functions/f", "if-match: \"0\"\r\n", specification.to_string());
    stale.assert_refused(412, "VERSION_MISMATCH", &[]);
    let edit = json!({ "executionMode": "POOL", "endpointUrl": NOWHERE, "timeoutMs": 888 });
    namespace.apply("f", &edit).unwrap();
    // Whether the watch has told of it or not, that version is the one that If-Match must name.
    let late =
        client.call("PUT /v1/functions/f", &format!("if-match: {etag}\r\n"), specification.to_string());
    late.assert_refused(412, "VERSION_MISMATCH", &[]);
    until_served(&server, "f", |function| function["timeoutMs"] == 888);

    client.post("/v1/functions", &specification).assert_refused(409, "FUNCTION_EXISTS", &[]);
    assert_eq!(client.delete("/v1/functions/f").status, 204);
    client.get("/v1/functions/f").assert_refused(404, "FUNCTION_NOT_FOUND", &[]);
    // A function that is being deleted is waited for, and one of the same name is another one.
    let again = client.post("/v1/functions", &specification);
    assert_eq!(again.status, 201, "{again:?}");
    until_served(&server, "f", |function| function["timeoutMs"] == 777);
    namespace.delete("f");
    until_unknown(&server, "f");
    client.delete("/v1/functions/f").assert_refused(404, "FUNCTION_NOT_FOUND", &[]);
    assert_eq!(server.stop().code, 0);
}

#[test]
fn an_edit_that_cannot_be_served_keeps_the_version_before_and_the_status_says_why() {
    let namespace = Namespace::new();
    let server = namespace.start();
    until_ready(&server);
    let spec = json!({ "executionMode": "POOL", "endpointUrl": NOWHERE, "timeoutMs": 700 });
    namespace.apply("f", &spec).unwrap();
    namespace.until_condition("f", "Valid", "True");

    // The definition cannot judge the form of a URL.
    namespace.apply("f", &spec.clone().with("endpointUrl", "https://h").with("timeoutMs", 701)).unwrap();
    let condition = namespace.until_condition("f", "Valid", "False");
    let message = condition["message"].as_str().unwrap();
    assert!(message.starts_with("endpointUrl: https is not supported"), "{message}");
    let function = until_served(&server, "f", |_| true);
    assert_eq!(function["timeoutMs"], 700, "the version before");
    let conditions = function["status"]["conditions"].as_array().unwrap();
    assert!(conditions.iter().any(|one| one["type"] == "Valid" && one["message"] == message), "{function}");

    // One that never was valid is told of as well.
    namespace.apply("g", &spec.clone().with("endpointUrl", "nonsense")).unwrap();
    namespace.until_condition("g", "Valid", "False");
    server.client().get("/v1/functions/g").assert_refused(404, "FUNCTION_NOT_FOUND", &[]);

    namespace.apply("f", &spec.with("timeoutMs", 702)).unwrap();
    until_served(&server, "f", |function| function["timeoutMs"] == 702);
    namespace.until_condition("f", "Valid", "True");

    // A function that the definition refuses never comes here, through either door.
    let secrets: Vec<String> = (0..65).map(|index| format!("s{index}")).collect();
    let answer = server.create(&pool("h", NOWHERE).with("secrets", secrets));
    answer.assert_refused(422, "INVALID_FUNCTION", &["the API server refused"]);
    assert!(answer.details()[0].starts_with("secrets: "), "{answer:?}");
    assert_eq!(namespace.function("h"), None);
}

#[test]
fn a_function_that_was_read_with_its_values_hidden_is_not_written_through_either_door() {
    let namespace = Namespace::new();
    let server = namespace.start_open();
    until_ready(&server);
    let whole = json!([{ "name": "A", "value": "open sesame" }]);
    let spec = json!({ "executionMode": "POOL", "endpointUrl": NOWHERE, "env": whole });
    namespace.apply("f", &spec).unwrap();
    let masked = until_served(&server, "f", |_| true);
    assert_eq!(masked["env"], json!([{ "name": "A", "valueHidden": true }]));

    let answer = server.client().put("/v1/functions/f", &masked);
    answer.assert_refused(422, "INVALID_FUNCTION", &[]);
    assert!(answer.details()[0].starts_with("env[0].valueHidden: "), "{answer:?}");
    let refused = namespace.apply("f", &spec.with("env", masked["env"].clone())).unwrap_err();
    assert!(refused.contains("spec.env[0].valueHidden"), "{refused}");
    assert_eq!(namespace.function("f").unwrap()["spec"]["env"], whole);
    assert_eq!(server.operator().get("/v1/functions/f").json()["env"], whole);
}

#[test]
fn a_restart_serves_what_there_is_and_not_what_went_meanwhile_and_writes_nothing_anew() {
    let namespace = Namespace::new();
    let server = namespace.start();
    until_ready(&server);
    for name in ["stays", "goes"] {
        assert_eq!(server.create(&pool(name, NOWHERE)).status, 201);
        namespace.until_condition(name, "Valid", "True");
    }
    assert_eq!(server.stop().code, 0);
    namespace.delete("goes");
    let labels = json!({ "app.kubernetes.io/managed-by": "picofaas", "picofaas.dev/function": "goes" });
    let pods = json!({ "metadata": { "labels": labels }, "spec": {
        "containers": [{ "name": "function", "image": "none.example/none" }], "restartPolicy": "Never",
    } });
    namespace.make(
        "batch",
        "v1",
        "Job",
        &json!({
            "metadata": { "name": "old", "labels": labels.clone().with("picofaas.dev/boot", "00000000") },
            "spec": { "suspend": true, "template": pods },
        }),
    );
    let template =
        pods.with("spec", json!({ "containers": [{ "name": "f", "image": "none.example/none" }] }));
    namespace.make(
        "apps",
        "v1",
        "Deployment",
        &json!({
            "metadata": { "name": "fn-goes", "labels": labels },
            "spec": { "replicas": 0, "selector": { "matchLabels": labels }, "template": template },
        }),
    );
    let before = namespace.function("stays").unwrap()["metadata"]["resourceVersion"].clone();

    let server = namespace.start();
    until_ready(&server);
    until_served(&server, "stays", |_| true);
    server.client().get("/v1/functions/goes").assert_refused(404, "FUNCTION_NOT_FOUND", &[]);
    eventually("the Job of the earlier boot is deleted", || {
        namespace.names("batch", "v1", "Job").is_empty().then_some(())
    });
    eventually("the Deployment without a function is deleted", || {
        namespace.names("apps", "v1", "Deployment").is_empty().then_some(())
    });
    // By now the status would have been written, for what was deleted came after it.
    assert_eq!(namespace.function("stays").unwrap()["metadata"]["resourceVersion"], before);
}

#[test]
fn a_second_control_plane_waits_until_the_first_has_ended() {
    let namespace = Namespace::new();
    let first = namespace.start();
    until_ready(&first);
    let second = namespace.start();
    first.register(&pool("f", NOWHERE));
    let not_ready = eventually("the second has met the first one's Lease", || {
        let answer = second.operator().get("/readyz");
        answer.text().contains("another control plane").then_some(answer)
    });
    not_ready.assert_refused(503, "CONTROL_BUSY", &["not read", "another control plane"]);
    // A client that calls it is not told that there is no such function.
    second.invoke("f", 1).assert_refused(503, "CONTROL_BUSY", &["not read yet"]);
    for path in ["/v1/functions", "/v1/functions/f", "/v1/functions/f/logs"] {
        second.operator().get(path).assert_refused(503, "CONTROL_BUSY", &["not read yet"]);
    }
    assert_eq!(first.stop().code, 0);
    let watch = Stopwatch::start();
    until_ready(&second);
    println!("the second control plane was ready {:?} after the first had ended", watch.elapsed());
    until_served(&second, "f", |_| true);
}

#[test]
fn the_scale_subresource_and_the_http_call_set_the_same_number() {
    let namespace = Namespace::new();
    let server = namespace.start();
    until_ready(&server);
    let spec = json!({
        "executionMode": "WARM", "image": "none.example/none", "replicas": { "min": 0, "max": 5 },
    });
    namespace.apply("f", &spec).unwrap();
    let etag = |server: &Server| server.client().get("/v1/functions/f").header("etag").unwrap().to_owned();
    until_served(&server, "f", |function| function["replicas"]["min"] == 0);
    namespace.until_condition("f", "Valid", "True");
    let before = etag(&server);
    let scaled = namespace.scale("f", 2);
    assert_eq!(scaled["spec"]["replicas"], 2);
    let selector = "app.kubernetes.io/managed-by=picofaas,picofaas.dev/function=f";
    assert_eq!(scaled["status"]["selector"], selector);
    until_served(&server, "f", |function| function["replicas"]["min"] == 2);
    // The same version, of which another number is kept.
    assert_eq!(etag(&server), format!("{}-2\"", before.trim_end_matches('"')));

    let answer = server.client().put("/v1/functions/f/replicas", json!({ "replicas": 1 }));
    assert_eq!((answer.status, &answer.json()["replicas"]["min"]), (200, &json!(1)), "{answer:?}");
    assert_eq!(namespace.function("f").unwrap()["spec"]["replicas"], json!({ "min": 1, "max": 5 }));
    let above = server.client().put("/v1/functions/f/replicas", json!({ "replicas": 6 }));
    above.assert_refused(422, "INVALID_FUNCTION", &[]);
    assert_eq!(namespace.function("f").unwrap()["spec"]["replicas"]["min"], 1);
}

#[test]
fn a_thousand_functions_are_served_within_seconds_of_a_start() {
    const FUNCTIONS: usize = 1000;
    let namespace = Namespace::new();
    let made = Stopwatch::start();
    for index in 0..FUNCTIONS {
        let spec = json!({ "executionMode": "POOL", "endpointUrl": NOWHERE });
        namespace.apply(&format!("f{index}"), &spec).unwrap();
    }
    println!("{FUNCTIONS} objects were made in {:?}", made.elapsed());
    let mut before = None;
    for start in ["first", "second"] {
        let watch = Stopwatch::start();
        let server = namespace.start();
        until_ready(&server);
        let ready = watch.elapsed();
        let mut client = server.client();
        assert_eq!(client.get("/v1/functions").json()["functions"].as_array().unwrap().len(), FUNCTIONS);
        namespace.until_condition(&format!("f{}", FUNCTIONS - 1), "Valid", "True");
        eventually("every status is written", || {
            let scrape = server.operator().get("/metrics");
            let text = String::from_utf8(scrape.body).unwrap();
            let count = "picofaas_kube_request_seconds_count{resource=\"functions/status\",verb=\"patch\"} ";
            let written = text.lines().find_map(|line| line.strip_prefix(count)?.parse::<usize>().ok());
            (start == "second" || written >= Some(FUNCTIONS)).then_some(())
        });
        let told = watch.elapsed();
        let rss = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
        let rss = rss.lines().find(|line| line.starts_with("VmRSS")).unwrap().to_owned();
        println!("{start} start: ready after {ready:?}, every status written after {told:?}, {rss}");
        assert!(ready.as_secs() < 10, "{ready:?}");
        let version = namespace.function("f7").unwrap()["metadata"]["resourceVersion"].clone();
        if let Some(before) = before.replace(version.clone()) {
            assert_eq!(before, version, "nothing had changed");
        }
        assert_eq!(server.stop().code, 0);
    }
}

#[test]
fn manifests_from_a_folder_are_refused_with_the_command_that_applies_them() {
    let namespace = Namespace::new();
    let folder = tempfile::tempdir().unwrap();
    let end = namespace.run_with(&["--functions", "manifests"], folder.path());
    assert_eq!(end.code, 1);
    assert!(end.stderr.contains("kubectl apply -f manifests"), "{}", end.stderr);
}

#[test]
fn a_change_that_names_another_version_changes_no_object() {
    let namespace = Namespace::new();
    let server = namespace.start();
    until_ready(&server);
    let mut client = server.client();
    let specification = json!({ "name": "f", "executionMode": "WARM", "image": "none.example/none", "replicas": { "min": 0, "max": 3 } });
    let call = |client: &mut crate::support::client::Client, request: &str, headers: &str, body: &Value| {
        client.call(request, headers, body.to_string())
    };
    let created = call(&mut client, "PUT /v1/functions/f", "if-none-match: *\r\n", &specification);
    assert_eq!(created.status, 201, "{created:?}");
    let etag = created.header("etag").unwrap().to_owned();
    let changed = specification.with("timeoutMs", 777);
    for (request, headers, body) in [
        ("PUT /v1/functions/f", "if-none-match: *\r\n", &changed),
        ("PUT /v1/functions/f/replicas", "if-match: \"0\"\r\n", &json!({ "replicas": 1 })),
        ("DELETE /v1/functions/f", "if-match: \"0\"\r\n", &Value::Null),
    ] {
        call(&mut client, request, headers, body).assert_refused(412, "VERSION_MISMATCH", &[]);
    }
    let object = namespace.function("f").unwrap();
    // The API server filled the default in.
    assert_eq!(
        (&object["spec"]["replicas"]["min"], &object["spec"]["timeoutMs"]),
        (&json!(0), &json!(30_000))
    );
    let current = format!("if-match: {etag}\r\n");
    let not_modified = client.call("GET /v1/functions/f", &format!("if-none-match: {etag}\r\n"), "");
    assert_eq!(not_modified.status, 304, "{not_modified:?}");
    let scaled = call(&mut client, "PUT /v1/functions/f/replicas", &current, &json!({ "replicas": 1 }));
    assert_eq!(scaled.status, 200, "{scaled:?}");
    assert_eq!(namespace.function("f").unwrap()["spec"]["replicas"]["min"], 1);
    let stale = client.call("DELETE /v1/functions/f", &current, "");
    stale.assert_refused(412, "VERSION_MISMATCH", &[]);
    let current = format!("if-match: {}\r\n", scaled.header("etag").unwrap());
    assert_eq!(client.call("DELETE /v1/functions/f", &current, "").status, 204);
    assert!(namespace.function("f").is_none_or(|object| !object["metadata"]["deletionTimestamp"].is_null()));
}
