//! `invoke`, `enqueue`, `wait` and `cancel`; `get` and `describe` of executions.

use serde_json::{Value, json};

use crate::support::client_program::ClientProgram;
use crate::support::endpoint::Endpoint;
use crate::support::gate::Gate;
use crate::support::server::{BYSTANDER, Server};
use crate::support::specification::{With, pool, warm};

#[test]
fn invoke_writes_the_output_alone_as_it_came() {
    let server = Server::start(&[]);
    let program = ClientProgram::of(&server);
    for (input, output) in [
        (r#"{"b": 1.10, "a": [1e3,  null]}"#, r#"{"b": 1.10, "a": [1e3,  null]}"#),
        ("12345678901234567890123", "12345678901234567890123"),
        (" \"gr\u{fc}\u{df}e\" ", "\"gr\u{fc}\u{df}e\""),
    ] {
        let said = program.run(&["invoke", BYSTANDER, "-d", input]);
        said.assert_output(&format!("{output}\n"));
        assert_eq!(said.stderr, "");
    }
    // Without an input it is null.
    program.run(&["invoke", BYSTANDER]).assert_output("null\n");
    program.write("in.json", "[1,\n 2]\n");
    program.run(&["invoke", "fn/bystander", "-d", "@in.json"]).assert_output("[1,\n 2]\n");
    program.run_with_input(&["invoke", BYSTANDER, "-d", "@-"], "\"to be\"\n").assert_output("\"to be\"\n");
}

#[test]
fn an_input_that_is_none_is_refused_before_anybody_is_called() {
    let program = ClientProgram::at("127.0.0.1:1".parse().unwrap());
    let invoke = |data: &str| program.run(&["invoke", BYSTANDER, "-d", data]);
    invoke("{to: be}")
        .assert_failed(2, &["-d is not JSON: ", "at line 1 column 2", "-d '{\"text\":\"to be\"}'"]);
    invoke("").assert_failed(2, &["-d is not JSON"]);
    invoke("@no.json").assert_failed(2, &["no.json: cannot be read: No such file"]);
    program.write("bytes", b"\"\xff\"");
    invoke("@bytes").assert_failed(2, &["bytes is not UTF-8"]);
    let said = program.run_with_input(&["invoke", BYSTANDER, "-d", "@-"], "{");
    said.assert_failed(2, &["standard input is not JSON: EOF"]);
    let key = program.run(&["invoke", BYSTANDER, "--idempotency-key", "a\nb"]);
    key.assert_failed(2, &["--idempotency-key must be visible characters"]);
    program.run(&["invoke", BYSTANDER, "--timeout", "5"]).assert_failed(2, &["such as 500ms, 30s, 5m or 2h"]);
}

#[test]
fn the_trace_is_drawn_on_standard_error_with_the_stages_of_the_receipt() {
    let server = Server::start(&[]);
    let program = ClientProgram::of(&server);
    // A call that waits for the start of its instance has stages of that, too.
    server.until_status(BYSTANDER, "ready", 1);
    let said = program.run(&["invoke", BYSTANDER, "-d", "1", "--trace"]);
    said.assert_output("1\n");
    let lines: Vec<&str> = said.stderr.lines().collect();
    let names: Vec<&str> = lines.iter().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(names, ["admit", "queue", "dispatch", "function", "reply", "total", "execution"], "{said:?}");
    assert!(lines[..5].iter().any(|line| line.contains('█')), "{said:?}");
    assert!(lines[6].ends_with(", 1 attempt, cold start"), "{said:?}");
}

#[test]
fn a_failure_of_the_function_is_1_and_one_of_the_server_3() {
    let server = Server::start(&[]);
    server.register(&warm("fails", "status").with("maxRetries", 0));
    server.register(&pool("away", "http://127.0.0.1:1/").with("maxRetries", 0));
    let program = ClientProgram::of(&server);
    let fails = |status: u16| {
        let input = json!({ "status": status, "code": "NO_LUCK", "message": "not \u{1b}[31mtoday" });
        program.run(&["invoke", "fails", "-d", &input.to_string()])
    };
    for status in [500, 404, 429, 422] {
        // A control character is shown, and not obeyed by the terminal.
        fails(status).assert_failed(1, &["fails failed: NO_LUCK: not \\u{1b}[31mtoday; `", " logs 2"]);
    }
    let away = program.run(&["invoke", "away"]);
    away.assert_failed(3, &["away failed: NO_INSTANCE: ", "describe execution "]);
    let enqueued = program.run(&["enqueue", "away", "--wait"]);
    enqueued.assert_failed(3, &["execution/", "away failed: NO_INSTANCE: "]);
    let enqueued =
        program.run(&["enqueue", "fails", "--wait", "-d", r#"{"status":500,"code":"A","message":"b"}"#]);
    enqueued.assert_failed(1, &["fails failed: A: b"]);
}

#[test]
fn a_time_that_is_over_is_124() {
    let server = Server::start(&[]);
    server.register(&warm("never", "never"));
    let program = ClientProgram::of(&server);
    let invoked = program.run(&["invoke", "never", "--timeout", "50ms"]);
    invoked.assert_failed(124, &["never failed: TIMEOUT: ", "50"]);
    let id = server.client().enqueue("never", 0);
    let waited = program.run(&["wait", &id, "--timeout", "50ms"]);
    waited.assert_failed(124, &[&format!("the execution {id} has not ended within 50 ms")]);
    // Its own time is over, not that of whoever waits.
    let enqueued = program.run(&["enqueue", "never", "--timeout", "50ms", "--wait"]);
    enqueued.assert_failed(124, &["never failed: TIMEOUT"]);
}

#[test]
fn a_full_queue_is_3_and_says_when_to_try_again() {
    let server = Server::start(&[]);
    let gate = Gate::new();
    server.register(&warm("one", "gate").with("concurrency", 1).with("queueSize", 1));
    let program = ClientProgram::of(&server);
    let input = gate.input().to_string();
    program.run(&["enqueue", "one", "-d", &input]);
    server.until_status("one", "inFlight", 1);
    program.run(&["enqueue", "one", "-d", &input]);
    program.run(&["invoke", "one", "-d", &input]).assert_failed(3, &["(QUEUE_FULL); try again in "]);
    gate.open();
}

#[test]
fn what_was_enqueued_is_waited_for_by_its_id() {
    let server = Server::start(&[]);
    let gate = Gate::new();
    server.register(&warm("gate", "gate"));
    let program = ClientProgram::of(&server);
    let enqueued = program.run(&["enqueue", "gate", "-d", &gate.input().to_string()]);
    let id = enqueued.output().trim_end();
    assert_eq!((id.len(), enqueued.stderr.as_str()), (40, ""));
    let waiting = program.start(&["wait", &format!("execution/{id}")]);
    gate.open();
    crate::support::client_program::Said::of(waiting).assert_output(&format!("{}\n", gate.input()));
    // It can be read again.
    program.run(&["wait", id]).assert_output(&format!("{}\n", gate.input()));
    let waited = program.run(&["enqueue", BYSTANDER, "-d", "7", "--wait"]);
    waited.assert_output("7\n");
    assert!(waited.stderr.starts_with("execution/"), "{waited:?}");
    let keyed = |data: &str| program.run(&["enqueue", BYSTANDER, "-d", data, "--idempotency-key", "k"]);
    assert_eq!(keyed("1").output(), keyed("1").output());
    keyed("2").assert_failed(2, &["IDEMPOTENCY_MISMATCH"]);
}

#[test]
fn an_answer_that_is_kept_is_waited_for_and_written_as_it_came() {
    let (server, endpoint) = (Server::start(&[]), Endpoint::listen());
    server.register(&pool("site", format!("http://{}", endpoint.address())).with("web", json!({})));
    let program = ClientProgram::of(&server);
    for (status, body) in [(200, "<p>no JSON"), (404, "nowhere")] {
        let answer = server.client().call("GET /fn/site", "prefer: respond-async\r\n", "");
        let id = answer.header("x-execution-id").unwrap().to_owned();
        let waiting = program.start(&["wait", &id]);
        endpoint.next().answer(status, body);
        crate::support::client_program::Said::of(waiting).assert_output(body);
        for shown in [["get", "executions", &id], ["describe", "execution", &id]] {
            let said = program.run(&shown);
            assert!(said.output().contains("success"), "{said:?}");
        }
    }
    let answer = server.client().call("POST /fn/site", "prefer: respond-async\r\n", "");
    endpoint.next().answer(500, "no");
    let said = program.run(&["wait", answer.header("x-execution-id").unwrap()]);
    assert_eq!((said.code, &*said.stdout), (1, "no".as_bytes()), "{said:?}");
    assert!(said.stderr.contains("answered 500"), "{said:?}");
}

#[test]
fn an_execution_is_cancelled_once_and_one_that_never_was_is_4() {
    let server = Server::start(&[]);
    server.register(&warm("never", "never"));
    let program = ClientProgram::of(&server);
    let id = server.client().enqueue("never", 0);
    program.run(&["cancel", &id]).assert_output(&format!("execution/{id} cancelled\n"));
    program.run(&["cancel", &id]).assert_failed(3, &["(ALREADY_TERMINAL)"]);
    program.run(&["wait", &id]).assert_failed(3, &["never failed: CANCELLED"]);
    let never = "f".repeat(40);
    for arguments in [
        ["cancel", never.as_str(), ""],
        ["wait", &never, ""],
        ["logs", &never, ""],
        ["get", "ex", &never],
        ["describe", "execution", &never],
    ] {
        let arguments: Vec<&str> = arguments.into_iter().filter(|word| !word.is_empty()).collect();
        program.run(&arguments).assert_failed(4, &["(EXECUTION_NOT_FOUND)", "get executions` lists"]);
    }
    program.run(&["wait", "abc"]).assert_failed(2, &["\"abc\" is no id of an execution"]);
}

#[test]
fn executions_are_listed_filtered_and_read() {
    let server = Server::start(&[]);
    server.register(&warm("fails", "status").with("maxRetries", 0));
    let program = ClientProgram::of(&server);
    let mut ids: Vec<String> = (0..5).map(|n| server.client().enqueue(BYSTANDER, n)).collect();
    ids.push(server.client().enqueue("fails", r#"{"status":400,"code":"A","message":"b"}"#));
    for id in &ids {
        server.client().ended(id);
    }
    ids.reverse();
    let names = |ids: &[String]| ids.iter().map(|id| format!("execution/{id}\n")).collect::<String>();
    program.run(&["get", "executions", "-o", "name"]).assert_output(&names(&ids));
    program.run(&["get", "ex", "-o", "name", "--limit", "2"]).assert_output(&names(&ids[..2]));
    program.run(&["get", "ex", "-o", "name", "--function", BYSTANDER]).assert_output(&names(&ids[1..]));
    program.run(&["get", "ex", "-o", "name", "--status", "error"]).assert_output(&names(&ids[..1]));
    assert_eq!(program.run(&["get", "ex", "-o", "name", "--slowest", "3"]).output().lines().count(), 3);
    let wide = program.run(&["get", "exec", "--function", "fails", "-o", "wide"]);
    let lines: Vec<Vec<&str>> = wide.output().lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["ID", "FUNCTION", "STATUS", "ATTEMPTS", "DURATION", "AGE", "COLD", "ERROR"]);
    assert_eq!((lines[1][0], lines[1][2], lines[1].last()), (ids[0].as_str(), "error", Some(&"b")));
    let json: Value =
        serde_json::from_slice(&program.run(&["get", "ex", &ids[1], "-o", "json"]).stdout).unwrap();
    assert_eq!((json["executionId"].as_str(), &json["output"]), (Some(ids[1].as_str()), &json!(4)));
    let list: Value = serde_json::from_slice(&program.run(&["get", "ex", "-o", "json"]).stdout).unwrap();
    assert_eq!(list["executions"].as_array().unwrap().len(), 6);
    let yaml = program.run(&["get", "ex", &ids[1], "-o", "yaml"]);
    assert!(
        yaml.output().contains(&format!("executionId: {}\n", ids[1])) || yaml.output().contains(&ids[1]),
        "{yaml:?}"
    );
    let described = program.run(&["describe", "ex", &ids[0]]);
    for part in ["Status:       error\n", "\nStages:\n  admit ", "Error:        A: b\n"] {
        assert!(described.output().contains(part), "{described:?}");
    }
}

#[test]
fn numbers_of_an_output_are_not_changed_by_json() {
    let server = Server::start(&[]);
    let program = ClientProgram::of(&server);
    let id = server.client().enqueue(BYSTANDER, "12345678901234567890123.10");
    server.client().ended(&id);
    let json = program.run(&["get", "execution", &id, "-o", "json"]);
    assert!(json.output().contains("\"output\": 12345678901234567890123.10"), "{json:?}");
}
