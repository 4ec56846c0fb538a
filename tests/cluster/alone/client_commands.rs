//! The client commands at a control plane in a pod: functions by the API server, all else through a forwarded port.

use serde_json::json;

use super::installation::Installation;
use crate::pods::warm;
use crate::support::client_program::{ClientProgram, Said, manifest};
use crate::support::patience::eventually;

/// Runs a command at the cluster that the test is on.
fn run(program: &ClientProgram, arguments: &[&str]) -> Said {
    let arguments = [arguments, &["--kube-context", "picofaas", "--namespace", "picofaas"]].concat();
    let mut command = program.command(&arguments);
    command.env("KUBECONFIG", std::env::var_os("KUBECONFIG").unwrap());
    Said::of(command.spawn().unwrap())
}

#[test]
fn a_function_is_applied_called_followed_scaled_and_deleted_by_the_client_commands() {
    let Some(installation) = Installation::new() else { return };
    let program = ClientProgram::anywhere();
    let function = warm("c", "echo", &json!({ "replicas": { "min": 1, "max": 2 } }));
    program.write("c/function.json", manifest(&function).to_string());
    run(&program, &["apply", "-f", "c"]).assert_output("function/c created\n");
    run(&program, &["apply", "-f", "c"]).assert_output("function/c unchanged\n");
    installation.until_ready("c", 1);
    run(&program, &["get", "functions", "-o", "name"]).assert_output("function/c\n");

    run(&program, &["invoke", "c", "-d", "{\"n\":7}"]).assert_output("{\"n\":7}\n");
    let enqueued = run(&program, &["enqueue", "c", "-d", "8"]);
    let id = enqueued.output().trim();
    run(&program, &["wait", id]).assert_output("8\n");
    let executions = run(&program, &["get", "executions"]);
    assert!(executions.output().contains(id), "{executions:?}");
    // They come through the API server, later than the pod's own word that it listens.
    eventually("its lines are there", || {
        run(&program, &["logs", "c"]).output().contains("listening on").then_some(())
    });

    run(&program, &["scale", "c", "--replicas=2"]).assert_output("function/c scaled\n");
    installation.until_ready("c", 2);
    let described = run(&program, &["describe", "function", "c"]);
    assert!(described.output().contains("Ready"), "{described:?}");
    let top = run(&program, &["top"]);
    assert!(top.output().contains("c "), "{top:?}");
    run(&program, &["delete", "function", "c"]).assert_output("function/c deleted\n");
    eventually("its pods are gone", || installation.pods("c").is_empty().then_some(()));
    run(&program, &["get", "function", "c"])
        .assert_failed(4, &["there is no function \"c\" on cluster picofaas"]);
    run(&program, &["invoke", "c", "-d", "1"]).assert_failed(4, &["c"]);
}
