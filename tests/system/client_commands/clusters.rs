//! `--kube-context`: functions by the API server, all else through a forwarded port.

use serde_json::{Value, json};

use crate::support::client_program::{ClientProgram, Said, manifest};
use crate::support::fake_cluster::FakeCluster;
use crate::support::server::{BYSTANDER, Server};
use crate::support::specification::{With, pool};

const FUNCTIONS: &str = "/apis/picofaas.dev/v1/namespaces/team/functions";

/// A program whose kubeconfig has the cluster, as context `lab`, and one in force that nobody named.
fn program(cluster: &FakeCluster) -> ClientProgram {
    let program = ClientProgram::anywhere();
    program.write(".kube/config", cluster.kubeconfig());
    program
}

fn run(program: &ClientProgram, arguments: &[&str]) -> Said {
    program.run(&[arguments, &["--kube-context", "lab"]].concat())
}

#[test]
fn functions_of_a_cluster_are_applied_read_scaled_and_deleted_by_its_api_server() {
    let cluster = FakeCluster::start(None);
    let program = program(&cluster);
    let warm =
        json!({ "name": "w", "executionMode": "WARM", "image": "i", "replicas": { "min": 1, "max": 4 } });
    program.write_manifest("f/w.json", &warm);
    let dry = run(&program, &["apply", "-f", "f", "--dry-run=server"]);
    dry.assert_output("function/w created (server dry run)\n");
    run(&program, &["get", "fn"]).assert_output("");
    cluster.requests();
    let applied = run(&program, &["apply", "-f", "f"]);
    applied.assert_output("function/w created\n");
    assert_eq!(applied.stderr, "applying to cluster lab, namespace team (--kube-context)\n");
    let wanted = [
        format!("GET {FUNCTIONS}/w HTTP/1.1"),
        format!("PATCH {FUNCTIONS}/w?&fieldManager=picofaas HTTP/1.1"),
    ];
    assert_eq!(cluster.requests(), wanted);
    run(&program, &["apply", "-f", "f"]).assert_output("function/w unchanged\n");
    program.write_manifest("f/w.json", &warm.with("timeoutMs", 4000));
    run(&program, &["apply", "-f", "f"]).assert_output("function/w configured\n");
    let table = "NAME   MODE   READY   QUEUED   IN-FLIGHT   STATUS\nw      WARM   0/0     -        -           NotReady\n";
    run(&program, &["get", "functions"]).assert_output(table);
    let json: Value =
        serde_json::from_slice(&run(&program, &["get", "fn", "w", "-o", "json"]).stdout).unwrap();
    assert_eq!((&json["metadata"]["name"], &json["spec"]["timeoutMs"]), (&json!("w"), &json!(4000)));
    run(&program, &["scale", "w", "--replicas=3"]).assert_output("function/w scaled\n");
    let json: Value =
        serde_json::from_slice(&run(&program, &["get", "fn", "w", "-o", "json"]).stdout).unwrap();
    assert_eq!(json["spec"]["replicas"], json!({ "min": 3, "max": 4 }));
    // It is what the manifest says again, though another request has set it.
    run(&program, &["apply", "-f", "f"]).assert_output("function/w configured\n");
    let json: Value =
        serde_json::from_slice(&run(&program, &["get", "fn", "w", "-o", "json"]).stdout).unwrap();
    assert_eq!(json["spec"]["replicas"], json!({ "min": 1, "max": 4 }));
    let near = ["there is no function \"ww\" on cluster lab, namespace team; did you mean w?"];
    run(&program, &["get", "fn", "ww"]).assert_failed(4, &near);
    cluster.requests();
    run(&program, &["delete", "fn", "w"]).assert_output("function/w deleted\n");
    assert_eq!(cluster.requests(), [format!("DELETE {FUNCTIONS}/w? HTTP/1.1")]);
    run(&program, &["delete", "fn", "w"]).assert_failed(4, &["there is no function \"w\""]);
}

#[test]
fn fields_that_others_hold_are_taken_over_only_where_that_is_asked_for() {
    let cluster = FakeCluster::start(None);
    let program = program(&cluster);
    let contested = json!({ "name": "w", "executionMode": "WARM", "image": "contested" });
    program.write_manifest("w.json", &contested);
    run(&program, &["apply", "-f", "w.json"]).assert_output("function/w created\n");
    program.write_manifest("w.json", &contested.with("image", "mine"));
    let refused = run(&program, &["apply", "-f", "w.json"]);
    let parts = [
        "Apply failed with a conflict (Conflict)\n  .spec.image: conflict with \"kubectl\"; `--force` takes",
    ];
    refused.assert_failed(3, &parts);
    run(&program, &["apply", "-f", "w.json", "--force"]).assert_output("function/w configured\n");
    assert!(run(&program, &["get", "fn", "-o", "wide"]).output().ends_with("   mine\n"));
}

#[test]
fn a_refusal_of_the_api_server_names_every_field() {
    let cluster = FakeCluster::start(None);
    let program = program(&cluster);
    program.write("f.json", manifest(&pool("p", "http://a/").with("timeoutMs", 0)).to_string());
    let refused = run(&program, &["apply", "-f", "f.json"]);
    refused.assert_failed(
        2,
        &["f.json: p: Function.picofaas.dev \"p\" is invalid (Invalid)\n  spec.timeoutMs: Invalid value: 0"],
    );
    let elsewhere = run(&program, &["get", "fn", "-n", "other"]);
    elsewhere.assert_failed(4, &["this cluster does not know functions: install picofaas there"]);
}

#[test]
fn calls_executions_lines_and_rates_go_through_a_port_of_the_control_plane() {
    let server = Server::start(&[]);
    let cluster = FakeCluster::start(Some(server.management));
    let program = program(&cluster);
    let invoked = run(&program, &["invoke", BYSTANDER, "-d", "{\"a\": 1}"]);
    invoked.assert_output("{\"a\": 1}\n");
    let selector =
        "labelSelector=app.kubernetes.io%2Fname%3Dpicofaas%2Capp.kubernetes.io%2Fcomponent%3Dcontrol-plane";
    let wanted = [
        format!("GET /api/v1/namespaces/team/pods?&{selector} HTTP/1.1"),
        "GET /api/v1/namespaces/team/pods/control-plane-0/portforward?&ports=8081 HTTP/1.1".to_owned(),
    ];
    assert_eq!(cluster.requests(), wanted);
    let large = format!("\"{}\"", "x".repeat(900_000));
    program.write("large.json", &large);
    run(&program, &["invoke", BYSTANDER, "-d", "@large.json"]).assert_output(&format!("{large}\n"));
    let id = run(&program, &["enqueue", BYSTANDER, "-d", "7"]);
    run(&program, &["wait", id.output().trim_end()]).assert_output("7\n");
    assert_eq!(run(&program, &["get", "ex", "-o", "name"]).output().lines().count(), 3);
    assert!(run(&program, &["logs", BYSTANDER]).output().contains(" listening on "));
    let top = run(&program, &["top", "--interval", "50ms"]);
    assert!(top.output().contains("\nbystander "), "{top:?}");
    let version = run(&program, &["version"]);
    assert!(version.output().ends_with("Server: 0.1.0 (cluster lab, namespace team)\n"), "{version:?}");
}

#[test]
fn a_cluster_is_gone_to_by_its_name_alone_and_where_nothing_runs_that_is_told() {
    let cluster = FakeCluster::start(None);
    let program = program(&cluster);
    let nothing = run(&program, &["invoke", BYSTANDER]);
    nothing.assert_failed(3, &["no server at cluster lab, namespace team: its control plane is not ready"]);
    let unknown = program.run(&["get", "fn", "--kube-context", "prod"]);
    unknown.assert_failed(4, &["the kubeconfig: has no context \"prod\"; it has lab, elsewhere"]);
    let away = program.run(&["get", "fn", "--kube-context", "elsewhere"]);
    away.assert_failed(3, &["no server at cluster elsewhere, namespace picofaas: "]);
    program
        .run(&["get", "fn", "--server", "http://a", "--kube-context", "lab"])
        .assert_failed(2, &["cannot be used with"]);
    program.run(&["get", "fn", "-n", "team"]).assert_failed(2, &["--namespace is for clusters"]);
    let set = ["config", "set-context", "mine", "--kube-context", "lab", "--namespace", "team"];
    program.run(&set).assert_output("context \"mine\" created\n");
    program.run(&["config", "use-context", "mine"]).assert_output("context \"mine\" is in force\n");
    let view = "currentContext: mine\ncontexts:\n- name: mine\n  cluster:\n    kubeContext: lab\n    namespace: team\n";
    program.run(&["config", "view"]).assert_output(view);
    program.write_manifest("p.json", &pool("p", "http://a/"));
    let applied = program.run(&["apply", "-f", "p.json"]);
    applied.assert_output("function/p created\n");
    assert_eq!(applied.stderr, "applying to cluster lab, namespace team (context mine)\n");
    // Over HTTP nothing is changed either where that was asked for.
    let dry = program.run(&["apply", "-f", "p.json", "--dry-run=server", "--server", "http://127.0.0.1:1"]);
    dry.assert_failed(2, &["--dry-run is for clusters"]);
}
