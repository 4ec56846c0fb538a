//! Reach of clients, web pages, runtimes and operators into the API, and of functions into the control plane: held to
//! the tables of docs/security.md.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::os::fd::AsRawFd as _;

use rustix::io::{FdFlags, fcntl_setfd};
use serde_json::json;

use crate::support::client::{Answer, Client};
use crate::support::job::Stage;
use crate::support::server::{Server, command};
use crate::support::specification::{With, warm};

const PAGE: &str = include_str!("../../docs/security.md");
/// Each variant of `Call` opens its comment with its method and path.
const CALLS: &str = include_str!("../../src/api/call.rs");

const FRONT_END: &str = "https://app.example";
/// The value of a variable: not for everybody.
const PASSWORD: &str = "open sesame";
/// Codes that say that the call is not one for who asks.
const REFUSALS: [&str; 7] = [
    "NOT_FOUND",
    "FOREIGN_ORIGIN",
    "FOREIGN_HOST",
    "WRITES_DISABLED",
    "LISTING_DISABLED",
    "LOGS_DISABLED",
    "UNAUTHORIZED",
];

/// A row of the table of calls: the call, and what each caller is answered.
struct Row {
    call: &'static str,
    cells: Vec<&'static str>,
}

fn rows() -> Vec<Row> {
    let (_, table) = PAGE.split_once("\n| call |").expect("a table of calls");
    let lines = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let cells = |line: &'static str| {
        let mut cells = line.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`'));
        Row { call: cells.next().unwrap(), cells: cells.collect() }
    };
    lines.map(cells).collect()
}

/// A function that writes what it is told, and has a value.
fn specification(name: &str) -> serde_json::Value {
    warm(name, "write").with("replicas", json!({ "min": 0, "max": 1 })).with(
        "env",
        json!([{ "name": "HANDLER", "value": "write" }, { "name": "PASSWORD", "value": PASSWORD }]),
    )
}

/// The body of a call of the table, which would be fine where the call is answered.
fn body(call: &str, new: &str) -> String {
    match call {
        "POST /v1/functions" => specification(new).to_string(),
        "PUT /v1/functions/{name}" => specification("f").to_string(),
        "PUT /v1/functions/{name}/replicas" => json!({ "replicas": 0 }).to_string(),
        _ if call.ends_with(":invoke") || call.ends_with(":enqueue") => {
            json!({ "input": { "to": "stdout", "text": "x" } }).to_string()
        }
        _ if call.starts_with("POST") => json!({ "instance": "a", "address": "10.1.2.3:80" }).to_string(),
        _ => String::new(),
    }
}

fn ask(address: SocketAddr, call: &str, headers: &str, execution: &str, new: &str) -> Answer {
    // A deletion is of a function that was never there.
    let name = if call == "DELETE /v1/functions/{name}" { "nobody" } else { "f" };
    let request = call.replace("{name}", name).replace("{id}", execution);
    Client::connect(address).call(&request, headers, body(call, new))
}

#[track_caller]
fn assert_answered(answer: &Answer, cell: &str, of: &str) {
    let refusal = if answer.status < 400 { serde_json::Value::Null } else { answer.json() };
    let code = refusal["error"]["code"].as_str().unwrap_or("");
    let is_refused = REFUSALS.contains(&code);
    assert!(cell == code || (!is_refused && !REFUSALS.contains(&cell)), "{of} is {cell}: {answer:?}");
    // Answers of which the table does not say so have it nowhere.
    assert_eq!(answer.text().contains(PASSWORD), cell == "with values", "{of} is {cell}: {answer:?}");
}

#[test]
fn each_caller_is_answered_on_each_listener_what_the_page_about_security_says() {
    let open = |flags: &[&str]| Server::start_at("0.0.0.0:0", &[&["--allow-local-exec"], flags].concat());
    let servers = [
        Server::start_bare(&["--allow-local-exec"]),
        open(&["--gateway-threads=2"]),
        open(&["--allow-writes"]),
        open(&["--allow-origin", FRONT_END]),
    ];
    for server in &servers {
        assert_eq!(server.operator().post("/v1/functions", specification("f")).status, 201);
    }
    let page = format!("origin: {FRONT_END}\r\n");
    let columns = [
        (&servers[0], servers[0].listen, ""),
        (&servers[1], servers[1].listen, ""),
        (&servers[2], servers[2].listen, ""),
        (&servers[3], servers[3].listen, page.as_str()),
        (&servers[1], servers[1].management, ""),
        (&servers[1], servers[1].runtime, ""),
    ];
    for (at, (server, address, headers)) in columns.into_iter().enumerate() {
        let execution = server.client().enqueue("f", json!({ "to": "stdout", "text": "x" }));
        server.client().ended(&execution);
        for (number, row) in rows().into_iter().enumerate() {
            assert_eq!(row.cells.len(), columns.len(), "{}", row.call);
            let answer = ask(address, row.call, headers, &execution, &format!("n{at}-{number}"));
            assert_answered(&answer, row.cells[at], &format!("{} for caller {at}", row.call));
        }
    }
}

#[test]
fn every_call_of_the_api_is_on_the_page_about_security() {
    let (_, calls) = CALLS.split_once("pub enum Call").unwrap();
    let (calls, _) = calls.split_once("\n}").unwrap();
    let calls: BTreeSet<&str> = calls
        .lines()
        .filter_map(|line| line.trim().strip_prefix("/// `"))
        .filter_map(|line| line.split('`').next())
        .collect();
    assert!(calls.len() > 20, "{calls:?}");
    // A row with a query is of the same call.
    let rows: BTreeSet<&str> = rows().iter().map(|row| row.call.split('?').next().unwrap()).collect();
    assert_eq!(rows, calls);
}

#[test]
fn a_function_has_no_file_that_was_left_open_to_the_control_plane() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("left-open");
    fs::write(&path, PASSWORD).unwrap();
    let left_open = fs::File::open(&path).unwrap();
    // A shell or a supervisor leaves one like this to its children.
    fcntl_setfd(&left_open, FdFlags::empty()).unwrap();
    let server = Server::start(&[]);
    let file = format!("/proc/self/fd/{}", left_open.as_raw_fd());
    let of_server = format!("/proc/{}/fd/{}", server.pid(), left_open.as_raw_fd());
    assert_eq!(fs::read_to_string(of_server).unwrap(), PASSWORD, "the control plane was not given it");
    for mode in ["WARM", "JOB"] {
        let name = mode.to_lowercase();
        let mut function = warm(&name, "surroundings").with("executionMode", mode);
        if mode == "JOB" {
            function.as_object_mut().unwrap().remove("replicas");
        }
        server.register(&function);
        let answer = server.invoke(&name, json!({ "files": [file] }));
        let found = &answer.output()["files"][&file];
        assert!(found["Ok"] != PASSWORD, "{mode}: {found}");
    }
}

#[test]
fn the_log_has_no_input_no_output_no_value_and_no_token_at_any_level() {
    const INPUT: &str = "what was sent";
    const OUTPUT: &str = "what came back";
    let mut command = command();
    command.env("RUST_LOG", "trace");
    let server = Server::start_by(command, "127.0.0.1:0", "127.0.0.1:0", &["--allow-local-exec"]);
    let stage = Stage::new();
    let env = |function: serde_json::Value| {
        let mut env = function["env"].as_array().cloned().unwrap_or_default();
        env.push(json!({ "name": "PASSWORD", "value": PASSWORD }));
        function.with("env", env)
    };
    server.register(&env(stage.function("job").with("maxRetries", 0)));
    server.register(&env(warm("echo", "echo")));
    let mut client = server.client();
    let headers = format!("idempotency-key: {INPUT}\r\nx-trace-id: {INPUT}\r\n");
    assert_eq!(client.invoke_with("echo", &headers, json!(INPUT)).output(), INPUT);
    client.ask_invoke("job", &headers, json!(INPUT));
    let process = stage.next();
    assert_eq!(process.fetch().status, 200);
    process.succeed(OUTPUT);
    assert_eq!(client.receive().output(), OUTPUT);
    let token = process.token().to_owned();
    process.exit(0);
    // A failure, whose reason is in the log.
    assert_eq!(server.create(&env(warm("broken", "exit-at-start"))).status, 201);
    assert_ne!(client.invoke("broken", json!(INPUT)).status, 200);
    let log = server.stop().stderr;
    assert!(log.contains("broken") && log.contains("exited with status 7"), "{log}");
    for secret in [INPUT, OUTPUT, PASSWORD, &token] {
        assert!(!log.contains(secret), "{secret:?} is in the log:\n{log}");
    }
}
