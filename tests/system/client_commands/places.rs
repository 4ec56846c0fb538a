//! Where commands go: flags, environment, contexts.

use std::os::unix::fs::PermissionsExt;

use crate::support::client_program::{ClientProgram, answer_once};
use crate::support::server::Server;

const EMPTY: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 16\r\n\r\n{\"functions\":[]}";

#[test]
fn a_context_is_made_chosen_listed_shown_and_deleted() {
    let server = Server::start(&[]);
    let program = ClientProgram::anywhere();
    let url = format!("http://{}", server.listen);
    program
        .run(&["config", "current-context"])
        .assert_failed(2, &["no context is in force", "use-context NAME"]);
    let empty = program.run(&["config", "get-contexts"]);
    empty.assert_output("");
    assert!(empty.stderr.contains("there are no contexts: `"), "{empty:?}");
    program
        .run(&["config", "set-context", "lab"])
        .assert_failed(2, &["\"lab\" is a new context", "--server URL"]);
    let header = ["--header", "Authorization: Bearer s3cret", "--header", "X-Team: a"];
    let set = ["config", "set-context", "lab", "--server", &url];
    program.run(&[&set as &[&str], &header].concat()).assert_output("context \"lab\" created\n");
    program.run(&["config", "use-context", "lab"]).assert_output("context \"lab\" is in force\n");
    program.run(&["config", "current-context"]).assert_output("lab\n");
    program.run(&["get", "fn", "-o", "name"]).assert_output("function/bystander\n");
    let shown = program.run(&["config", "view"]);
    let wanted = format!(
        "currentContext: lab\ncontexts:\n- name: lab\n  server: {}\n  headers:\n    Authorization: REDACTED\n    X-Team: REDACTED\n",
        url
    );
    shown.assert_output(&wanted);
    assert!(program.run(&["config", "view", "--raw"]).output().contains("Bearer s3cret"));
    let file = program.folder().join("picofaas/config.yaml");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    program
        .run(&["config", "set-context", "lab", "--header", "authorization:"])
        .assert_output("context \"lab\" modified\n");
    let table = program.run(&["config", "get-contexts"]);
    let row: Vec<&str> = table.output().lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row, ["*", "lab", &url, "X-Team"]);
    program
        .run(&["config", "use-context", "prod"])
        .assert_failed(4, &["has no context \"prod\"; it has lab"]);
    program
        .run(&["get", "fn", "--context", "prod"])
        .assert_failed(4, &["has no context \"prod\"; it has lab"]);
    program.run(&["config", "delete-context", "lab"]).assert_output("context \"lab\" deleted\n");
    program.run(&["config", "view"]).assert_output("contexts: []\n");
    let bad = program.run(&["config", "set-context", "x", "--server", &url, "--header", "no s3cret\n: b"]);
    bad.assert_failed(2, &["--header must be `NAME: VALUE`"]);
    assert!(!bad.stderr.contains("s3cret"), "{bad:?}");
}

#[test]
fn headers_go_to_the_server_of_their_context_and_to_no_other() {
    let (address, request) = answer_once(EMPTY);
    let program = ClientProgram::anywhere();
    let contexts = format!(
        "currentContext: a\ncontexts:\n- {{name: a, server: 'http://{address}/base', headers: {{Authorization: Bearer x}}}}\n"
    );
    program.write("picofaas/config.yaml", &contexts);
    program.run(&["get", "fn"]).assert_output("");
    let sent = request.join().unwrap().to_lowercase();
    assert!(sent.starts_with("get /base/v1/functions http/1.1\r\n"), "{sent}");
    assert!(sent.contains("\r\nauthorization: bearer x\r\n"), "{sent}");
    let (address, request) = answer_once(EMPTY);
    program.run(&["get", "fn", "--server", &format!("http://{address}")]).assert_output("");
    assert!(!request.join().unwrap().to_lowercase().contains("authorization"));
}

#[test]
fn a_file_of_contexts_that_is_wrong_is_refused_by_every_command_and_not_written_over() {
    let program = ClientProgram::anywhere();
    let text = "contexts:\n- {name: a, server: 'http://a', token: s3cret, user: b}\nkind: Config\n";
    let file = program.write("picofaas/config.yaml", text);
    for arguments in [
        &["get", "fn"] as &[&str],
        &["config", "view"],
        &["config", "set-context", "b", "--server", "http://b"],
        &["apply", "-f", "."],
    ] {
        let said = program.run(arguments);
        said.assert_failed(2, &["picofaas/config.yaml: has fields that there are not: kind, contexts[0].token, contexts[0].user"]);
        assert!(!said.stderr.contains("s3cret"), "{said:?}");
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    program.write("picofaas/config.yaml", "contexts: [}");
    program.run(&["get", "fn"]).assert_failed(2, &["picofaas/config.yaml: "]);
}

#[test]
fn a_server_is_named_by_a_url_and_a_cluster_by_nothing_that_lies_around() {
    let program = ClientProgram::anywhere();
    program.run(&["get", "fn", "--server", "localhost:8080"]).assert_failed(
        2,
        &["--server \"localhost:8080\" must begin with http:// or https://, as in http://127.0.0.1:8080"],
    );
    let both = program.run(&["get", "fn", "--server", "http://a", "--context", "b"]);
    both.assert_failed(2, &["cannot be used with"]);
    // A kubeconfig is not read: this one could not be.
    let kubeconfig = program.write("kubeconfig", "{");
    let (address, request) = answer_once(EMPTY);
    let program = ClientProgram::at(address);
    let mut command = program.command(&["get", "fn"]);
    let said =
        crate::support::client_program::Said::of(command.env("KUBECONFIG", kubeconfig).spawn().unwrap());
    said.assert_output("");
    assert!(request.join().unwrap().starts_with("GET /v1/functions "));
}
