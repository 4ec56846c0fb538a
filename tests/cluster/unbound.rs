//! A control plane whose Role was taken away, or never given: what it says, and that it goes on when it comes back.

use serde_json::json;

use crate::pods::{pods, put, until_ready, warm};
use crate::pressure::Pressure;
use crate::stage::{Stage, in_pods};
use crate::support::patience::{Stopwatch, eventually};
use crate::support::specification::With;

/// Where the remedy is.
const REMEDY: &str = "k8s/20-rbac.yaml";

/// Binds the Role to the account of the control plane, as `k8s/20-rbac.yaml` does.
fn bind(stage: &Stage) {
    let account = format!("--serviceaccount={}:picofaas", stage.namespace);
    stage.kubectl(&["create", "rolebinding", "picofaas", "--role=picofaas", &account]);
}

fn unbind(stage: &Stage) {
    stage.kubectl(&["delete", "rolebinding", "picofaas"]);
}

#[test]
fn without_its_role_it_starts_says_what_is_missing_and_goes_on_when_it_is_given() {
    let stage = Stage::new("no-role");
    unbind(&stage);
    let server = stage.server(&[]);
    let mut operator = server.operator();
    eventually("it says what it lacks", || {
        let answer = operator.get("/readyz");
        (answer.status == 503 && answer.text().contains(REMEDY)).then_some(())
    });
    let verb = "cannot get resource \\\"leases\\\"";
    let said = operator.get("/readyz");
    assert!(said.text().contains(verb), "no {verb} in {}", said.text());
    assert_eq!(operator.get("/healthz").status, 200, "nothing would be better after a restart");
    bind(&stage);
    let watch = Stopwatch::start();
    eventually("it is ready", || (operator.get("/readyz").status == 200).then_some(()));
    let took = watch.elapsed();
    put(&server, &warm("f", "echo", &json!({})));
    assert_eq!(server.invoke("f", 1).output(), 1);
    let end = server.stop();
    for part in ["cannot get resource \"leases\"", "cannot list resource \"pods\"", REMEDY] {
        assert!(end.stderr.contains(part), "no {part:?} in {}", end.stderr);
    }
    println!(
        "fault: no RoleBinding at the start | not ready and alive, the log and /readyz name verb, resource and file; ready {:.2} s after it was made",
        took.as_secs_f64()
    );
}

#[test]
fn a_role_that_is_taken_away_costs_no_answer_of_warm_and_the_rest_is_refused_with_the_permission() {
    let stage = Stage::new("role-lost");
    let server = stage.server(&[]);
    put(&server, &warm("f", "echo", &json!({ "replicas": { "min": 2, "max": 2 }, "maxRetries": 0 })));
    server.register(&in_pods("job", "JOB", "echo").with("maxRetries", 0));
    until_ready(&server, "f", 2);
    let before = pods(&stage, "f");
    let pressure = Pressure::start(&server, "f", "1", 2);
    unbind(&stage);
    let mut client = server.client();
    // The API server may know of it a moment later.
    eventually("a JOB is refused", || (client.invoke("job", 1).status != 200).then_some(()));
    let refused = client.invoke("job", 1);
    refused.assert_error(500, "ADMISSION_REFUSED", "gateway", &["cannot create resource \"jobs\"", REMEDY]);
    let refused = client.put("/v1/functions/f", warm("f", "identity", &json!({})));
    refused.assert_refused(500, "ADMISSION_REFUSED", &["cannot get resource \"functions\"", REMEDY]);
    assert_eq!(server.operator().get("/readyz").status, 200, "what runs is served");
    pressure.goes_on(100);
    bind(&stage);
    let watch = Stopwatch::start();
    eventually("a JOB is run", || (client.invoke("job", 1).status == 200).then_some(()));
    let took = watch.elapsed();
    let answers: u32 = pressure.stop().values().sum();
    assert_eq!(pods(&stage, "f"), before);
    let end = server.stop();
    assert_eq!(end.code, 0, "{}", end.stderr);
    println!(
        "fault: RoleBinding deleted while it runs | WARM: {answers} answers, none of them not 200, pods untouched; JOB and function write: 500 ADMISSION_REFUSED with verb, resource and file; a JOB ran {:.2} s after it was back",
        took.as_secs_f64()
    );
}
