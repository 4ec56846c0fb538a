//! `deploy` and `build` with a server on this machine.

use std::fs;
use std::io::{BufRead, BufReader, Read};

use rustix::fs::{CWD, FileType, mknodat};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::client_program::{ClientProgram, Said, manifest};
use crate::support::server::Server;
use crate::support::specification::{With, faulty, pool, warm};

/// A function whose build links the program into its folder, where alone it is found.
fn built(name: &str, handler: &str) -> Value {
    let link = json!(["sh", "-c", format!("echo one >> builds; ln -sf {} program", faulty().display())]);
    warm(name, handler).with("local", json!({ "build": [["true"], link], "command": ["./program"] }))
}

fn builds(program: &ClientProgram, file: &str) -> usize {
    fs::read_to_string(program.folder().join(file)).map_or(0, |text| text.lines().count())
}

#[test]
fn deploy_builds_registers_waits_and_says_how_the_function_is_called() {
    let server = Server::start(&[]);
    let program = ClientProgram::of(&server);
    let mut function = manifest(&built("a", "echo"));
    function["metadata"]["annotations"] = json!({ "picofaas.dev/example-input": "{\"a\": 1}" });
    program.write("p/function.json", function.to_string());
    let deployed = program.run(&["deploy", "p"]);
    deployed.assert_output(&format!("{}/v1/functions/a:invoke\n", program.url()));
    for part in [
        &format!("deploying to {} (PICOFAAS_SERVER)\nbuilding a: true\nbuilding a: sh -c ", program.url()),
        "\nfunction/a created\n",
        "\na is ready; call it:\n    ",
        "picofaas invoke a -d '{\"a\": 1}'\n",
    ] {
        assert!(deployed.stderr.contains(part), "no {part:?} in {}", deployed.stderr);
    }
    assert_eq!(server.function("a")["status"]["ready"], 1, "it was waited for");
    program.run(&["invoke", "a", "-d", "{\"a\": 1}"]).assert_output("{\"a\": 1}\n");
    assert_eq!(server.function("a")["local"]["directory"], json!(program.folder().join("p")));
    let tag = server.client().get("/v1/functions/a").header("etag").unwrap().to_owned();
    // The same fields may have other files behind them, so it is another version.
    let again = program.run(&["deploy", "p/function.json"]);
    assert!(again.stderr.contains("function/a configured\n"), "{again:?}");
    assert_eq!(builds(&program, "p/builds"), 2);
    assert_eq!(server.client().get("/v1/functions/a").header("etag"), Some(tag.as_str()));
}

#[test]
fn every_function_of_a_folder_is_deployed_and_one_that_fails_keeps_no_other() {
    let server = Server::start(&[]);
    let program = ClientProgram::of(&server);
    let fails = json!(["sh", "-c", "echo looking; echo 'no such module' >&2; exit 3"]);
    let local = json!({ "build": [fails], "command": ["./program"] });
    program.write_manifest("all/a/function.json", &warm("a", "echo").with("local", local));
    program.write_manifest("all/b/function.json", &built("b", "echo"));
    program.write_manifest("all/c.json", &pool("c", "http://127.0.0.1:9/"));
    program.write("all/target/d.json", "{\"kind\": \"Function\"}");
    let deployed = program.run(&["deploy", "all"]);
    let urls = ["b", "c"].map(|name| format!("{}/v1/functions/{name}:invoke\n", program.url()));
    assert_eq!((deployed.code, deployed.text()), (1, urls.concat().as_str()), "{deployed:?}");
    for part in [
        "all/a/function.json: a: sh -c 'echo looking; echo '\\''no such module'\\'' >&2; exit 3': exit status: 3\n    ",
        "\n    no such module\n",
        "picofaas: 1 of 3 failed\n",
    ] {
        assert!(deployed.stderr.contains(part), "no {part:?} in {}", deployed.stderr);
    }
    assert_eq!(server.client().get("/v1/functions/a").status, 404);
    program.write("none/notes.txt", "");
    program
        .run(&["deploy", "none"])
        .assert_failed(2, &["none: has no manifest of a function", "picofaas new"]);
    program.run(&["deploy", "nowhere"]).assert_failed(2, &["nowhere: cannot be read"]);
}

#[test]
fn a_function_that_does_not_start_is_1_and_one_that_takes_too_long_124_with_what_its_status_says() {
    let server = Server::start(&[]);
    let program = ClientProgram::of(&server);
    let of = |script: &str| {
        let local = json!({ "command": ["sh", "-c", script] });
        warm("a", "echo").with("local", local)
    };
    program.write_manifest("p/function.json", &of("echo why >&2; exit 3"));
    let failed = program.run(&["deploy", "p"]);
    failed.assert_failed(
        1,
        &["function/a created\n", "p/function.json: a: a is not ready: ", "status 3", "why"],
    );
    failed.assert_failed(1, &["logs a` shows what it wrote", "picofaas: 1 of 1 failed"]);
    program.write_manifest("p/function.json", &of("exec sleep 600"));
    let waited = program.run(&["deploy", "p", "--timeout", "300ms"]);
    waited.assert_failed(124, &["waiting for a: ", "a is not ready within 300 ms: "]);
    let left = program.run(&["deploy", "p", "--no-wait"]);
    assert_eq!(left.code, 0, "{left:?}");
    // The version before is served until the new one is ready.
    program.write_manifest("p/function.json", &warm("b", "echo"));
    program.run(&["deploy", "p"]).output();
    program.write_manifest("p/function.json", &of("exit 3").with("name", "b"));
    program.run(&["deploy", "p"]).assert_failed(1, &["b is not ready: "]);
    assert_eq!(server.invoke("b", 5).output(), 5);
}

#[test]
fn a_dry_run_changes_nothing_and_a_server_elsewhere_gets_nothing_that_needs_files_of_here() {
    let server = Server::start(&[]);
    let program = ClientProgram::of(&server);
    program.write_manifest("p/function.json", &built("a", "echo"));
    let dry = program.run(&["deploy", "p", "--dry-run"]);
    dry.assert_output("");
    assert!(dry.stderr.contains("would run: true\nwould run: sh -c "), "{dry:?}");
    assert!(dry.stderr.ends_with("would register: a\n"), "{dry:?}");
    assert_eq!((builds(&program, "p/builds"), server.client().get("/v1/functions/a").status), (0, 404));
    let elsewhere = program.run(&["deploy", "p", "--server", "http://192.0.2.1"]);
    elsewhere.assert_failed(
        2,
        &["a runs a program of this machine", "http://192.0.2.1 is elsewhere", "--kube-context"],
    );
    let nobody = program.run(&["deploy", "p", "--server", "http://127.0.0.1:1"]);
    nobody.assert_failed(3, &["no server at http://127.0.0.1:1"]);
    let image = program.run(&["deploy", "p", "--registry", "registry.example"]);
    image.assert_failed(2, &["--registry is about an image, which only a cluster runs"]);
    assert_eq!(builds(&program, "p/builds"), 0, "nothing was built in vain");
}

#[test]
fn a_server_that_does_not_take_a_function_says_so_before_it_is_built() {
    let server = Server::start_bare(&[]);
    let program = ClientProgram::of(&server);
    program.write_manifest("p/function.json", &built("a", "echo"));
    for flags in [&["deploy", "p"][..], &["deploy", "p", "--dry-run"]] {
        let refused = program.run(flags);
        refused.assert_failed(3, &["p/function.json: a: ", "start the server with --allow-local-exec"]);
        refused.assert_failed(3, &["`picofaas build DIR && picofaas serve --functions DIR`"]);
        assert_eq!(builds(&program, "p/builds"), 0, "it was built in vain");
    }
    let server = Server::start(&[]);
    let program = ClientProgram::of(&server);
    program.write_manifest("p/function.json", &built("a", "echo").with("timeoutMs", 0));
    program.run(&["deploy", "p"]).assert_failed(2, &["p/function.json: a: ", "spec.timeoutMs: "]);
    assert_eq!(builds(&program, "p/builds"), 0, "it was built in vain");
    assert_eq!(server.client().get("/v1/functions/a").status, 404);
}

#[test]
fn build_runs_the_commands_of_each_function_and_calls_no_server() {
    let program = ClientProgram::anywhere();
    program.write_manifest("all/a.json", &built("a", "echo"));
    program.write_manifest("all/b.json", &warm("b", "echo"));
    let said = program.run(&["build", "all"]);
    said.assert_output("function/a built\nfunction/b has nothing to build\n");
    assert_eq!(builds(&program, "all/builds"), 1);
    let wrong = json!({ "build": ["make"], "command": ["./program"] });
    program.write_manifest("all/a.json", &warm("a", "echo").with("local", wrong));
    program.run(&["build", "all/a.json"]).assert_failed(2, &["spec.local.build must be a list of commands"]);
    program.write_manifest("all/b.json", &built("b", "echo"));
    let one = program.run(&["build", "all"]);
    assert_eq!((one.code, one.text()), (2, "function/b built\n"), "{one:?}");
    assert!(one.stderr.contains("a.json: a: spec.local.build must be a list"), "{one:?}");
    assert!(one.stderr.ends_with("picofaas: 1 of 2 failed\n"), "{one:?}");
    let image = program.run(&["build", "all", "--registry", "registry.example"]);
    image.assert_failed(2, &["--image"]);
    let upper = program.run(&["build", "all", "--image", "--registry", "Registry.example"]);
    upper.assert_failed(2, &["must be HOST or HOST/PATH"]);
}

#[test]
fn a_build_ends_with_its_command() {
    for signal in [Signal::INT, Signal::TERM] {
        ends_its_build(signal);
    }
}

#[test]
fn a_build_is_told_to_end_and_has_time_to_and_one_that_does_not_is_killed() {
    let program = ClientProgram::anywhere();
    let pipe = program.folder().join("pipe");
    mknodat(CWD, &pipe, FileType::Fifo, 0o600.into(), 0).unwrap();
    for (at_the_end, cleaned) in [("sleep 0.2; echo cleaned >&3; exit 1", "cleaned\n"), ("", "")] {
        // Nothing of it holds the pipe but the shell, which waits in a builtin.
        let script = format!(
            "exec 3> {}; trap '{at_the_end}' TERM; echo begun >&3; while :; do sleep 60 3>&- & wait; done",
            pipe.display()
        );
        let local = json!({ "build": [["sh", "-c", script]], "command": ["./program"] });
        program.write_manifest("a.json", &warm("a", "echo").with("local", local));
        let child = program.start(&["build"]);
        let mut reader = BufReader::new(fs::File::open(&pipe).unwrap());
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        let said = Said::of(child);
        assert_eq!(said.code, 130, "{said:?}");
        line.clear();
        reader.read_to_string(&mut line).unwrap();
        assert_eq!(line, cleaned);
    }
}

#[test]
fn what_a_build_writes_is_shown_as_it_comes_where_that_is_asked_for() {
    let program = ClientProgram::anywhere();
    let script = "echo one; echo two >&2; exit $(cat status)";
    let local = json!({ "build": [["sh", "-c", script]], "command": ["./program"] });
    program.write_manifest("a.json", &warm("a", "echo").with("local", local));
    program.write("status", "0");
    let quiet = program.run(&["build"]);
    assert!(quiet.stderr.starts_with("building a: sh -c ") && !quiet.stderr.contains("\ntwo\n"), "{quiet:?}");
    let shown = program.run(&["build", "--verbose"]);
    shown.assert_output("function/a built\n");
    assert!(shown.stderr.contains("\none\n") && shown.stderr.contains("\ntwo\n"), "{shown:?}");
    program.write("status", "3");
    let failed = program.run(&["build", "--verbose"]);
    failed.assert_failed(1, &["exit status: 3"]);
    assert_eq!(failed.stderr.matches("two\n").count(), 1, "it is told twice: {failed:?}");
}

fn ends_its_build(signal: Signal) {
    let program = ClientProgram::anywhere();
    let pipe = program.folder().join("pipe");
    mknodat(CWD, &pipe, FileType::Fifo, 0o600.into(), 0).unwrap();
    // A reader of the pipe knows that every process of the build has ended when it comes to the end.
    let script = format!("exec 3> {}; echo begun >&3; (sleep 60; echo late >&3) & wait", pipe.display());
    let local = json!({ "build": [["sh", "-c", script]], "command": ["./program"] });
    program.write_manifest("a.json", &warm("a", "echo").with("local", local));
    let child = program.start(&["build"]);
    let mut reader = BufReader::new(fs::File::open(&pipe).unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    kill_process(Pid::from_child(&child), signal).unwrap();
    let said = Said::of(child);
    assert_eq!(said.code, 130, "{said:?}");
    assert_eq!(reader.read_line(&mut line).unwrap(), 0, "{line}");
}
