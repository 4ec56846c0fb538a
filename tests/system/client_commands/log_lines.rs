//! `logs`.

use std::io::{BufRead, BufReader};

use serde_json::{Value, json};

use crate::support::client_program::{ClientProgram, Said};
use crate::support::lines::text_of;
use crate::support::server::Server;
use crate::support::specification::{pool, warm};

#[test]
fn lines_of_a_function_and_of_an_execution_are_written_as_they_are_kept() {
    let server = Server::start(&[]);
    server.register(&warm("w", "write"));
    let program = ClientProgram::of(&server);
    let input = json!({ "to": "stderr", "text": "[{id}] line {n}", "times": 3 });
    let id = server.client().enqueue("w", input);
    server.client().ended(&id);
    let texts = |said: &Said| said.output().lines().map(|line| text_of(line).to_owned()).collect::<Vec<_>>();
    let all = program.run(&["logs", "w"]);
    assert_eq!(texts(&all)[1..], [0, 1, 2].map(|n| format!("[{id}] line {n}")), "{all:?}");
    assert_eq!(texts(&program.run(&["logs", "function/w", "--tail", "1"])), [format!("[{id}] line 2")]);
    assert_eq!(texts(&program.run(&["logs", "w", "--tail=-1", "--since", "1h"])).len(), 4);
    assert_eq!(texts(&program.run(&["logs", &id])).len(), 3);
    assert_eq!(texts(&program.run(&["logs", &format!("ex/{id}"), "--tail", "0"])), [""; 0]);
    let json = program.run(&["logs", "w", "--tail", "1", "-o", "json"]);
    let line: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((line["function"].as_str(), line["executionId"].as_str()), (Some("w"), Some(id.as_str())));
}

#[test]
fn what_is_followed_comes_as_it_is_written_and_ends_with_its_function() {
    let server = Server::start(&[]);
    server.register(&warm("w", "write"));
    server.until_status("w", "ready", 1);
    let program = ClientProgram::of(&server);
    let mut child = program.start(&["logs", "-f", "w"]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().contains(" listening on "));
    server.invoke("w", json!({ "to": "stdout", "text": "now", "times": 1 }));
    assert_eq!(text_of(&lines.next().unwrap().unwrap()), "now");
    program.run(&["delete", "fn", "w"]).assert_output("function/w deleted\n");
    lines.for_each(|line| drop(line.unwrap()));
    assert_eq!(Said::of(child).code, 0);
}

#[test]
fn a_wrong_option_and_a_function_without_logs_are_told() {
    let server = Server::start(&[]);
    server.register(&pool("p", "http://127.0.0.1:9/"));
    let program = ClientProgram::of(&server);
    program.run(&["logs", "p"]).assert_failed(3, &["p is POOL: its endpoints run elsewhere", "(NO_LOGS)"]);
    program
        .run(&["logs", "bystander", "--since", "5 minutes"])
        .assert_failed(2, &["--since \"5 minutes\" must be"]);
    program.run(&["logs", "bystander", "--since", "5x"]).assert_failed(2, &["since", "(BAD_REQUEST)"]);
    program.run(&["logs", "bystander", "--tail", "-2"]).assert_failed(2, &["--tail"]);
}
