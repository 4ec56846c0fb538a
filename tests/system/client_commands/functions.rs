//! `apply`, `get`, `describe`, `delete` and `scale`.

use serde_json::{Value, json};

use crate::support::client_program::{ClientProgram, manifest};
use crate::support::server::{BYSTANDER, Server};
use crate::support::specification::{With, faulty, job, pool, warm};

#[test]
fn apply_creates_configures_and_leaves_what_is_unchanged_running() {
    let server = Server::start(&[]);
    let program = ClientProgram::of(&server);
    let function = warm("a", "echo");
    program.write_manifest("functions/a.json", &function);
    program.write("functions/pool.yaml", "apiVersion: picofaas.dev/v1\nkind: Function\nmetadata: {name: p}\nspec:\n  executionMode: POOL\n  endpointUrl: http://127.0.0.1:9/x\n---\napiVersion: v1\nkind: ConfigMap\n");
    program.write("functions/notes.txt", "kind: Function");
    let applied = program.run(&["apply", "-f", "functions"]);
    applied.assert_output("function/a created\nfunction/p created\n");
    assert_eq!(applied.stderr, format!("applying to {} (PICOFAAS_SERVER)\n", program.url()));
    server.until_status("a", "ready", 1);
    program.run(&["apply", "-f", "functions"]).assert_output("function/a unchanged\nfunction/p unchanged\n");
    let changed = manifest(&function.with("timeoutMs", 4000)).to_string();
    program.run_with_input(&["apply", "-f", "-"], changed).assert_output("function/a configured\n");
    assert_eq!(server.function("a")["timeoutMs"], 4000);
    // A field that is left out has its default again.
    program.run(&["apply", "-f", "functions/a.json"]).assert_output("function/a configured\n");
    assert_eq!(server.function("a")["timeoutMs"], 30_000);
    program.run(&["apply", "--force", "-f", "functions/a.json"]).assert_output("function/a configured\n");
}

#[test]
fn a_function_that_is_applied_as_it_stands_is_not_started_again() {
    let server = Server::start(&[]);
    let program = ClientProgram::of(&server);
    // Nothing but what it needs: all defaults are the server's.
    let command = warm("a", "identity")["local"].clone();
    let env = json!([{ "name": "HANDLER", "value": "identity" }]);
    let function = json!({ "name": "a", "executionMode": "WARM", "local": command, "env": env });
    program.write_manifest("a.json", &function);
    program.run(&["apply", "-f", "a.json"]).assert_output("function/a created\n");
    let pid = server.invoke("a", 0).output()["pid"].clone();
    program.run(&["apply", "-f", "a.json"]).assert_output("function/a unchanged\n");
    assert_eq!(server.invoke("a", 0).output()["pid"], pid);
    for (mode, function) in [("JOB", job("j", "echo")), ("POOL", pool("p", "http://127.0.0.1:9/invoke"))] {
        program.write_manifest("b.json", &function);
        let name = function["name"].as_str().unwrap();
        program.run(&["apply", "-f", "b.json"]).assert_output(&format!("function/{name} created\n"));
        let again = program.run(&["apply", "-f", "b.json"]);
        assert_eq!(again.output(), format!("function/{name} unchanged\n"), "{mode}");
    }
}

#[test]
fn what_get_writes_as_yaml_is_applied_again_without_a_change() {
    let server = Server::start(&[]);
    let program = ClientProgram::of(&server);
    for form in ["yaml", "json"] {
        let got = program.run(&["get", "functions", "-o", form]);
        program.write("all.yaml", got.output());
        program.run(&["apply", "-f", "all.yaml"]).assert_output("function/bystander unchanged\n");
        let one = program.run(&["get", "function", BYSTANDER, "-o", form]);
        let applied = program.run_with_input(&["apply", "-f", "-"], one.output());
        applied.assert_output("function/bystander unchanged\n");
    }
    let json: Value =
        serde_json::from_slice(&program.run(&["get", "fn/bystander", "-o", "json"]).stdout).unwrap();
    assert_eq!(
        (json["kind"].as_str(), json["metadata"]["name"].as_str()),
        (Some("Function"), Some(BYSTANDER))
    );
    assert_eq!(json["status"]["ready"], 1);
}

#[test]
fn a_manifest_with_a_fault_changes_nothing_and_one_that_is_refused_keeps_no_other() {
    let server = Server::start_bare(&[]);
    let program = ClientProgram::of(&server);
    let good = manifest(&pool("good", "http://127.0.0.1:9/")).to_string();
    program.write("d/1.json", &good);
    program.write("d/2.yaml", "apiVersion: picofaas.dev/v1\nkind: Function\nmetadata: {nam: a}\nspec: {}\n");
    program.run(&["apply", "-f", "d"]).assert_failed(2, &["d/2.yaml: metadata.name is required"]);
    program.run(&["get", "fn"]).assert_output("");
    let bad = pool("bad", "http://127.0.0.1:9/").with("timeoutMs", 0).with("concurency", 1);
    program.write("d/2.yaml", manifest(&bad).to_string());
    let warm = warm("local", "echo");
    program.write("d/3.json", manifest(&warm).to_string());
    let applied = program.run(&["apply", "-f", "d"]);
    assert_eq!((applied.code, applied.text()), (2, "function/good created\n"), "{applied:?}");
    for part in [
        "d/2.yaml: bad: the function has 2 faults",
        "\n  spec.concurency: is not a known field; did you mean concurrency?",
        "\n  spec.timeoutMs: must be between 1 and 86400000 ms, is 0",
        "d/3.json: local: local.command runs a program on this machine",
        "picofaas: 2 of 3 failed",
    ] {
        assert!(applied.stderr.contains(part), "no {part:?} in {}", applied.stderr);
    }
    program.run(&["apply", "-f", "no.yaml"]).assert_failed(2, &["no.yaml: cannot be read: No such file"]);
    program.run(&["apply"]).assert_failed(2, &["--filename"]);
    program.write("e/readme.yaml", "a: b\n");
    program.run(&["apply", "-f", "e"]).assert_failed(2, &["e: has no manifest of a function; -R reads"]);
}

#[test]
fn a_program_of_this_machine_is_shown_as_what_runs_though_its_manifest_names_an_image() {
    let server = Server::start(&[]);
    let program = ClientProgram::of(&server);
    for (function, backend) in [
        (warm("both", "echo").with("image", "registry.example/both:1"), "processes"),
        (job("both", "echo").with("image", "registry.example/both:1"), "processes"),
        (pool("both", "http://127.0.0.1:9/x"), "endpoints"),
    ] {
        program.write_manifest("both.json", &function);
        program.run(&["apply", "-f", "both.json"]).output();
        assert_eq!(server.function("both")["status"]["backend"], backend);
        let wide = program.run(&["get", "functions", "both", "-o", "wide"]);
        let runs = if backend == "processes" { faulty().to_str().unwrap() } else { "http://127.0.0.1:9/x" };
        assert!(wide.output().contains(runs) && !wide.output().contains("registry.example"), "{wide:?}");
    }
}

#[test]
fn get_lists_functions_as_a_table_as_names_and_wide() {
    let server = Server::start(&[]);
    server.register(&pool("thumbnails", "http://127.0.0.1:9/x").with("concurrency", 2));
    server.until_status(BYSTANDER, "ready", 1);
    let program = ClientProgram::of(&server);
    let table = "NAME         MODE   READY   QUEUED   IN-FLIGHT   STATUS\n\
                 bystander    WARM   1/1     0        0           Ready\n";
    let all = program.run(&["get", "functions"]);
    assert!(all.output().starts_with(table), "{all:?}");
    assert_eq!(all.stderr, "");
    let one = program.run(&["get", "function/bystander", "--no-headers"]);
    one.assert_output("bystander   WARM   1/1     0        0           Ready\n");
    program.run(&["get", "fn", "-o", "name"]).assert_output("function/bystander\nfunction/thumbnails\n");
    let wide = program.run(&["get", "functions", "thumbnails", "-o", "wide"]);
    assert!(
        wide.output().ends_with("   30000ms   2             3         http://127.0.0.1:9/x\n"),
        "{wide:?}"
    );
    for alias in ["function", "functions", "fn", "Functions"] {
        assert_eq!(program.run(&["get", alias, "-o", "name"]).output().lines().count(), 2);
    }
    program
        .run(&["get", "pods"])
        .assert_failed(2, &["there is no kind \"pods\"", "functions (function, fn)"]);
    program.run(&["get", "fn", "--limit", "2"]).assert_failed(2, &["--limit is for executions"]);
}

#[test]
fn a_function_that_there_is_not_is_told_with_the_names_near_it() {
    let server = Server::start(&[]);
    let program = ClientProgram::of(&server);
    for arguments in [
        &["get", "function", "bystandr"] as &[&str],
        &["describe", "function", "bystandr"],
        &["delete", "function", "bystandr"],
        &["invoke", "bystandr"],
        &["enqueue", "bystandr"],
        &["logs", "bystandr"],
        &["scale", "bystandr", "--replicas=1"],
        &["top", "bystandr"],
    ] {
        let parts = [
            "there is no function \"bystandr\" on http://127.0.0.1:",
            "did you mean bystander?",
            "get functions` lists",
        ];
        program.run(arguments).assert_failed(4, &parts);
    }
    program.run(&["get", "fn", "Upper_case"]).assert_failed(2, &["is no name of a function"]);
}

#[test]
fn describe_has_conditions_the_specification_and_the_last_executions() {
    let server = Server::start(&[]);
    server.until_status(BYSTANDER, "ready", 1);
    let program = ClientProgram::of(&server);
    let id = server.client().enqueue(BYSTANDER, 1);
    server.client().ended(&id);
    let said = program.run(&["describe", "function", BYSTANDER]);
    for part in [
        "Name:         bystander\nMode:         WARM\nStatus:       Ready\nInstances:    1 ready of 1\n",
        "Queue:        0 of 100 places\nIn flight:    0 of 4\n",
        "Conditions:\n  Ready True (InstanceReady)\nSpec:\n  attemptTimeoutMs: 30000\n",
        "\nExecutions:\n  ID ",
        id.as_str(),
    ] {
        assert!(said.output().contains(part), "no {part:?} in {}", said.text());
    }
    program.run(&["describe", "fn"]).assert_failed(2, &["name one"]);
}

#[test]
fn delete_takes_names_and_manifests_and_names_what_was_not_there() {
    let server = Server::start(&[]);
    let program = ClientProgram::of(&server);
    for name in ["a", "b", "c"] {
        server.register(&pool(name, "http://127.0.0.1:9/"));
    }
    let deleted = program.run(&["delete", "function", "a", "nobody", "b"]);
    assert_eq!((deleted.code, deleted.text()), (4, "function/a deleted\nfunction/b deleted\n"));
    assert!(deleted.stderr.starts_with(&format!("deleting from {}", program.url())), "{deleted:?}");
    assert!(deleted.stderr.contains("nobody: there is no function \"nobody\""), "{deleted:?}");
    program.write_manifest("c.json", &pool("c", "http://127.0.0.1:9/"));
    program.run(&["delete", "-f", "c.json"]).assert_output("function/c deleted\n");
    program.run(&["delete", "-f", "c.json", "--ignore-not-found"]).assert_output("");
    program.run(&["get", "fn", "-o", "name"]).assert_output("function/bystander\n");
    let id = "0".repeat(40);
    program.run(&["delete", "execution", &id]).assert_failed(2, &["executions are not deleted: `cancel ID`"]);
    program.run(&["delete", "fn"]).assert_failed(2, &["name the functions"]);
}

#[test]
fn scale_sets_the_instances_that_are_kept() {
    let server = Server::start(&[]);
    server.register(&warm("w", "echo").with("replicas", json!({ "min": 1, "max": 2 })));
    server.register(&pool("p", "http://127.0.0.1:9/"));
    let program = ClientProgram::of(&server);
    for arguments in
        [&["scale", "w", "--replicas=2"] as &[&str], &["scale", "function", "w", "--replicas", "2"]]
    {
        let scaled = program.run(arguments);
        scaled.assert_output("function/w scaled\n");
        assert!(scaled.stderr.starts_with("scaling on http://127.0.0.1:"), "{scaled:?}");
    }
    server.until_status("w", "ready", 2);
    program.run(&["scale", "w", "--replicas=3"]).assert_failed(2, &["replicas.max, which is 2, is 3"]);
    program
        .run(&["scale", "p", "--replicas=3"])
        .assert_failed(3, &["p is POOL; only WARM functions have replicas"]);
    program.run(&["scale", "w"]).assert_failed(2, &["--replicas"]);
}

#[test]
fn a_listener_that_is_open_to_others_says_why_it_changes_nothing() {
    let server = Server::start_at("0.0.0.0:0", &[]);
    let program = ClientProgram::of(&server);
    program.write_manifest("a.json", &pool("a", "http://127.0.0.1:9/"));
    program.run(&["apply", "-f", "a.json"]).assert_failed(3, &["WRITES_DISABLED", "1 of 1 failed"]);
    program.run(&["get", "executions"]).assert_failed(3, &["LISTING_DISABLED"]);
}
