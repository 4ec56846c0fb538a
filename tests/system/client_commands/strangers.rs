//! Servers that are not there, are not picofaas, or break off.

use std::net::SocketAddr;

use crate::support::client_program::{ClientProgram, VERSION, answer_each, answer_once, json_answer};
use crate::support::server::Server;

const HTML: &str = "HTTP/1.1 502 Bad Gateway\r\ncontent-type: text/html\r\ncontent-length: 30\r\nconnection: close\r\n\r\n<html>\n<h1>Bad Gateway</h1>\n...";

fn answered(bytes: impl Into<Vec<u8>>, arguments: &[&str]) -> crate::support::client_program::Said {
    let (address, request) = answer_once(bytes);
    let said = ClientProgram::at(address).run(arguments);
    request.join().unwrap();
    said
}

#[test]
fn where_nobody_listens_the_next_thing_to_do_is_told() {
    let program = ClientProgram::at(SocketAddr::from(([127, 0, 0, 1], 1)));
    for arguments in
        [&["get", "fn"] as &[&str], &["invoke", "a"], &["logs", "a"], &["top"], &["wait", &"0".repeat(40)]]
    {
        program.run(arguments).assert_failed(
            3,
            &["picofaas: no server at http://127.0.0.1:1: nothing listens there; start one with `picofaas dev`, or name another with --server"],
        );
    }
    let version = program.run(&["version"]);
    assert_eq!((version.code, version.text()), (3, &*format!("Client: {VERSION}\n")));
    let name = program.run(&["get", "fn", "--server", "http://no-such-host.invalid"]);
    name.assert_failed(3, &["no server at http://no-such-host.invalid: "]);
}

#[test]
fn a_proxy_that_answers_for_the_server_is_told_with_its_words() {
    for arguments in [
        &["get", "fn"] as &[&str],
        &["invoke", "a", "-d", "1"],
        &["enqueue", "a"],
        &["logs", "a"],
        &["delete", "fn", "a"],
        &["top"],
        &["cancel", &"0".repeat(40)],
    ] {
        let parts =
            ["does not answer as picofaas does: status 502, text/html: <html>…; is this the server's URL"];
        answered(HTML, arguments).assert_failed(3, &parts);
    }
    // Also one that calls it a success.
    let welcome = HTML.replace("502 Bad Gateway", "200 OK");
    for arguments in [&["get", "fn"] as &[&str], &["invoke", "a"], &["logs", "a"], &["describe", "fn", "a"]] {
        answered(welcome.clone(), arguments).assert_failed(3, &["status 200, text/html: <html>…"]);
    }
    let version = answered(welcome, &["version"]);
    assert_eq!((version.code, version.text()), (3, &*format!("Client: {VERSION}\n")));
    let moved = "HTTP/1.1 302 Found\r\nlocation: https://login.example/\r\ncontent-length: 0\r\n\r\n";
    answered(moved, &["get", "fn"]).assert_failed(3, &["status 302, no Content-Type: nothing"]);
}

#[test]
fn an_answer_that_ends_early_or_is_not_http_is_no_success() {
    let half =
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{\"functions\":[";
    answered(half, &["get", "fn"]).assert_failed(3, &["broke off before the end of the answer"]);
    answered(half, &["invoke", "a"])
        .assert_failed(3, &["broke off before the end of the answer", "try again"]);
    let chunks = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n5\r\nline\n\r\n5\r\nli";
    let logs = answered(chunks, &["logs", "a"]);
    assert_eq!((logs.code, logs.text()), (3, "line\nli"), "{logs:?}");
    assert!(logs.stderr.contains("broke off before the end of the answer"), "{logs:?}");
    answered("", &["get", "fn"]).assert_failed(3, &["broke off"]);
    answered("SSH-2.0-OpenSSH_9.6\r\n", &["get", "fn"]).assert_failed(3, &["the answer is not HTTP/1.1"]);
}

#[test]
fn an_output_that_is_not_utf_8_is_told_and_not_passed_on() {
    let body = b"{\"executionId\":\"0\",\"status\":\"success\",\"output\":\"\xff\xfe\",\"error\":null}";
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let bytes = [head.as_bytes(), body].concat();
    answered(bytes, &["invoke", "a"]).assert_failed(3, &["does not answer as picofaas does: status 200"]);
}

#[test]
fn each_call_says_who_calls_and_nothing_that_only_browsers_say() {
    let (address, request) = answer_once(HTML);
    ClientProgram::at(address).run(&["invoke", "a", "-d", "1", "--timeout", "2s"]);
    let request = request.join().unwrap().to_lowercase();
    assert!(request.starts_with("post /v1/functions/a:invoke http/1.1\r\n"), "{request}");
    for line in [
        "user-agent: picofaas/0.1.0",
        "accept: application/json",
        "content-type: application/json",
        "x-timeout-ms: 2000",
        "content-length: 11",
        &format!("host: {address}"),
    ] {
        assert!(request.contains(&format!("\r\n{line}\r\n")), "no {line:?} in {request}");
    }
    assert!(!request.contains("origin") && !request.contains("sec-fetch"), "{request}");
}

#[test]
fn a_server_that_is_told_to_stop_is_3() {
    let server = Server::start(&[]);
    let program = ClientProgram::of(&server);
    let end = server.stop();
    assert_eq!(end.code, 0);
    program.run(&["get", "fn"]).assert_failed(3, &["nothing listens there"]);
}

#[test]
fn an_execution_that_has_not_ended_when_the_server_answers_is_asked_for_again() {
    let id = "0".repeat(40);
    let execution = |status: &str, output: &str| {
        json_answer(&format!(
            r#"{{"executionId":"{id}","function":"a","status":"{status}","attempt":1,"createdAt":"2026-03-01T12:00:00Z","startedAt":null,"finishedAt":null,"coldStart":false,"output":{output},"error":null,"timings":null}}"#
        ))
    };
    let (address, requests) = answer_each(vec![
        execution("queued", "null"),
        execution("running", "null"),
        execution("success", "7"),
    ]);
    ClientProgram::at(address).run(&["wait", &id]).assert_output("7\n");
    for request in requests.join().unwrap() {
        assert!(request.starts_with(&format!("GET /v1/executions/{id}?wait=25 HTTP/1.1\r\n")), "{request}");
    }
}

#[test]
fn pages_are_read_until_there_are_enough_executions_though_some_are_short_or_empty() {
    let page = |ids: &[&str], cursor: &str| {
        let item = |id: &&str| {
            format!(
                r#"{{"executionId":"{id}","function":"a","status":"queued","attempt":0,"createdAt":"2026-03-01T12:00:00Z","startedAt":null,"finishedAt":null,"coldStart":false,"error":null,"timings":null}}"#
            )
        };
        let items: Vec<String> = ids.iter().map(item).collect();
        json_answer(&format!(r#"{{"executions":[{}],"nextCursor":{cursor}}}"#, items.join(",")))
    };
    let pages = vec![page(&["a"], "\"x\""), page(&[], "\"y-_1\""), page(&["b", "c"], "\"z\"")];
    let (address, requests) = answer_each(pages);
    let said =
        ClientProgram::at(address).run(&["get", "ex", "--limit", "3", "--function", "a", "-o", "name"]);
    said.assert_output("execution/a\nexecution/b\nexecution/c\n");
    let lines: Vec<String> =
        requests.join().unwrap().iter().map(|request| request.lines().next().unwrap().to_owned()).collect();
    assert_eq!(
        lines,
        [
            "GET /v1/executions?limit=3&function=a HTTP/1.1",
            "GET /v1/executions?limit=2&function=a&cursor=x HTTP/1.1",
            "GET /v1/executions?limit=2&function=a&cursor=y-_1 HTTP/1.1",
        ]
    );
}
