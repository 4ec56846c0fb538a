//! Logs of functions, and reading them.

use serde_json::{Value, json};

use crate::support::bystander::while_others_are_served;
use crate::support::client::Client;
use crate::support::endpoint::Endpoint;
use crate::support::lines::{objects, texts};
use crate::support::patience::eventually;
use crate::support::server::{BYSTANDER, Server};
use crate::support::specification::{With, pool, warm};

/// Has a function of the handler `write` write, and waits until it has; the execution's id.
#[track_caller]
fn write(client: &mut Client, name: &str, input: &Value) -> String {
    let answer = client.invoke(name, input);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.header("x-execution-id").unwrap().to_owned()
}

#[track_caller]
fn write_text(client: &mut Client, name: &str, text: &str) -> String {
    write(client, name, &json!({ "to": "stdout", "text": text }))
}

/// The lines of a function of the handler `write`, without those that the runtime writes at its start.
#[track_caller]
fn written(client: &mut Client, path: &str) -> Vec<String> {
    texts(client, path).into_iter().filter(|line| !line.contains("listening on")).collect()
}

#[test]
fn the_lines_of_two_executions_that_share_an_instance_are_told_apart() {
    let server = Server::start(&[]);
    server.register(&warm("shared", "write"));
    let mut client = server.client();
    let first = write(
        &mut client,
        "shared",
        &json!({ "to": "stderr", "text": "executionId={id} logfmt {n}", "times": 2 }),
    );
    let second = write_text(&mut client, "shared", "{\"executionId\":\"{id}\",\"n\":\"json\"}");
    let nobodys = write_text(&mut client, "shared", "no execution is named");
    for mut client in [server.client(), server.operator()] {
        let mut lines = |id: &str| texts(&mut client, &format!("/v1/executions/{id}/logs"));
        assert_eq!(lines(&first), [0, 1].map(|n| format!("executionId={first} logfmt {n}")));
        assert_eq!(lines(&second), [format!("{{\"executionId\":\"{second}\",\"n\":\"json\"}}")]);
        assert_eq!(lines(&nobodys), Vec::<String>::new());
        let all = written(&mut client, "/v1/functions/shared/logs");
        assert_eq!((all.len(), all[3].as_str()), (4, "no execution is named"));
        assert!(
            texts(&mut client, &format!("/v1/functions/{BYSTANDER}/logs")).len() <= 1,
            "another function's"
        );
    }
}

#[test]
fn a_line_is_found_by_an_id_that_stands_by_itself_in_its_head_or_under_a_usual_name_in_json() {
    let server = Server::start(&[]);
    server.register(&warm("bare", "write"));
    let mut client = server.client();
    for line in [
        "[{id}] two",
        "{id} two",
        "2026-11-29T06:00:00Z INFO [main] [{id}] two",
        "{\"requestId\": \"{id}\"}",
        "requestId={id} two",
        "INFO:root:[{id}] two",
        "2026-11-29 06:00:00,123 app INFO [{id}] two",
        "12:00:00.1 [main] INFO com.ex.App -- [{id}] two",
        "[INFO] [main] {id} two",
        "{\"ctx\":{\"requestId\":\"{id}\"}}",
        "{\"x-execution-id\":\"{id}\"}",
    ] {
        let id = write_text(&mut client, "bare", line);
        let found = texts(&mut client, &format!("/v1/executions/{id}/logs"));
        assert_eq!(found, [line.replace("{id}", &id)]);
    }
    for line in [
        "for user {id}",
        "order={id} card=4111",
        "INFO:root:user said [{id}]",
        "12:00:00.1 [main] INFO com.ex.App -- user said {id}",
        "{\"user\":{\"requestId\":\"{id}\"}}",
    ] {
        let id = write_text(&mut client, "bare", line);
        assert_eq!(texts(&mut client, &format!("/v1/executions/{id}/logs")), Vec::<String>::new(), "{line}");
    }
}

#[test]
fn a_line_says_when_and_where_it_was_written_and_to_which_execution_it_belongs() {
    let server = Server::start(&[]);
    server.register(&warm("told", "write"));
    let mut client = server.client();
    let answer = client.invoke("told", json!({ "to": "stderr", "text": "executionId={id} said \"so\"" }));
    let (pid, id) = (answer.output(), answer.header("x-execution-id").unwrap().to_owned());
    let objects = objects(&mut client, &format!("/v1/executions/{id}/logs"));
    let [line] = objects.as_slice() else { panic!("{objects:?}") };
    let time = line["time"].as_str().unwrap();
    assert_eq!(
        *line,
        json!({
            "time": time,
            "function": "told",
            "executionId": id,
            "stream": "stderr",
            "instance": pid.to_string(),
            "line": format!("executionId={id} said \"so\""),
        })
    );
    client.ask(&format!("GET /v1/executions/{id}/logs"), "", "");
    let text = client.receive_streamed();
    assert_eq!(text.text(), format!("{time} stderr {pid} executionId={id} said \"so\"\n"));
    assert_eq!(text.header("content-type"), Some("text/plain; charset=utf-8"));
    client.ask("HEAD /v1/functions/told/logs?follow=true", "", "");
    assert_eq!(client.receive_head().status, 200);
    assert_eq!(client.invoke(BYSTANDER, 1).output(), 1, "nothing came after the head");
}

#[test]
fn everything_that_the_process_of_a_job_writes_belongs_to_its_execution() {
    let server = Server::start(&[]);
    let command = ["/bin/sh", "-c", "echo $EXECUTION_ID said so; echo and failed >&2; exit 3"];
    let job = json!({ "name": "job", "local": { "command": command }, "maxRetries": 0 });
    server.register(&job);
    let mut client = server.client();
    let ids = [1, 2].map(|input| client.enqueue("job", input));
    for id in ids {
        assert_eq!(client.ended(&id)["status"], "error");
        let path = format!("/v1/executions/{id}/logs");
        // Its two streams are read one beside the other.
        let mut lines = eventually("both lines are read", || {
            let lines = texts(&mut client, &path);
            (lines.len() >= 2).then_some(lines)
        });
        lines.sort_by_key(|line| line.starts_with("and"));
        assert_eq!(lines, [format!("{id} said so"), "and failed".to_owned()]);
    }
}

#[test]
fn tail_and_since_take_the_newest_lines() {
    let server = Server::start(&[]);
    server.register(&warm("ten", "write"));
    let mut client = server.client();
    let id =
        write(&mut client, "ten", &json!({ "to": "stdout", "text": "executionId={id} {n}", "times": 10 }));
    let last = |count: usize| (10 - count..10).map(|n| format!("executionId={id} {n}")).collect::<Vec<_>>();
    write_text(&mut client, "ten", "of another");
    let path = format!("/v1/executions/{id}/logs");
    assert_eq!(texts(&mut client, &format!("{path}?tail=3")), last(3), "of the execution's lines");
    assert_eq!(texts(&mut client, "/v1/functions/ten/logs?tail=1"), ["of another"]);
    assert_eq!(texts(&mut client, &format!("{path}?tail=0")), last(0));
    assert_eq!(texts(&mut client, &format!("{path}?tail=1000000")), last(10));
    assert_eq!(texts(&mut client, &format!("{path}?since=1h")), last(10));
    assert_eq!(texts(&mut client, &format!("{path}?since=1h&tail=2")), last(2));
    assert_eq!(texts(&mut client, &format!("{path}?since=2199-01-01T00:00:00Z")), last(0));
    // Lines from the time of a line on begin with that line, or with one of the same millisecond.
    let objects = objects(&mut client, "/v1/functions/ten/logs?tail=1");
    let time = objects[0]["time"].as_str().unwrap().replace(':', "%3A");
    assert_eq!(
        written(&mut client, &format!("/v1/functions/ten/logs?since={time}")).last().unwrap(),
        "of another"
    );
}

#[test]
fn what_is_asked_for_wrongly_is_refused_and_says_what_would_be_right() {
    let server = Server::start(&[]);
    let endpoint = Endpoint::listen();
    server.register(&pool("elsewhere", endpoint.url()));
    let mut client = server.client();
    let id = client.invoke(BYSTANDER, 1).header("x-execution-id").unwrap().to_owned();
    let of_pool = client.enqueue("elsewhere", 1);
    endpoint.next().answer(200, "1");
    for mut client in [server.client(), server.operator()] {
        for path in [format!("/v1/functions/{BYSTANDER}/logs"), format!("/v1/executions/{id}/logs")] {
            for (query, parts) in [
                ("tail=all", ["tail=all", "0 … 1000000"]),
                ("since=now", ["since=now", "RFC 3339"]),
                ("follow=maybe", ["follow=maybe", "true or false"]),
                ("lines=1", ["\"lines\"", "`follow`"]),
            ] {
                client.get(&format!("{path}?{query}")).assert_refused(400, "BAD_REQUEST", &parts);
            }
            let answer = server.client().post(&path, "");
            answer.assert_refused(405, "METHOD_NOT_ALLOWED", &["GET, HEAD"]);
        }
        client.get("/v1/functions/nobody/logs").assert_refused(404, "FUNCTION_NOT_FOUND", &["nobody"]);
        let incarnation = u32::from_str_radix(&id[..8], 16).unwrap();
        for (other, code) in [
            ("12".to_owned(), "EXECUTION_NOT_FOUND"),
            (format!("{}ffffffff{}", &id[..8], &id[16..]), "EXECUTION_NOT_FOUND"),
            (format!("{:08x}{}", incarnation - 1, &id[8..]), "EXECUTION_LOST_ON_RESTART"),
        ] {
            for query in ["", "?follow=true"] {
                client.get(&format!("/v1/executions/{other}/logs{query}")).assert_refused(404, code, &[]);
            }
        }
        for path in ["/v1/functions/elsewhere/logs".to_owned(), format!("/v1/executions/{of_pool}/logs")] {
            client.get(&path).assert_refused(409, "NO_LOGS", &["elsewhere", "POOL"]);
        }
    }
}

#[test]
fn an_execution_that_is_not_kept_any_more_has_no_lines_either() {
    let server = Server::start(&["--retention", "5"]);
    server.register(&warm("short", "write"));
    let mut client = server.client();
    let id = write_text(&mut client, "short", "executionId={id}");
    let path = format!("/v1/executions/{id}/logs");
    assert_eq!(texts(&mut client, &path).len(), 1);
    let gone = eventually("it expires", || {
        client.ask(&format!("GET {path}"), "", "");
        let answer = client.receive_streamed();
        (answer.status != 200).then_some(answer)
    });
    gone.assert_refused(404, "EXECUTION_EXPIRED", &["--retention"]);
}

#[test]
fn lines_outlive_a_crash_and_a_new_version_and_those_of_executions_the_function() {
    let server = Server::start(&[]);
    server.register(&warm("renewed", "write"));
    let mut client = server.client();
    let first = write_text(&mut client, "renewed", "executionId={id} first");
    let second_version = warm("renewed", "exit").with("maxRetries", 0);
    assert_eq!(client.put("/v1/functions/renewed", &second_version).status, 200);
    eventually("the new version crashes", || (client.invoke("renewed", 1).status == 500).then_some(()));
    let lines = eventually("its final output is read", || {
        let lines = written(&mut client, "/v1/functions/renewed/logs");
        lines.iter().any(|line| line.contains("ending in the middle")).then_some(lines)
    });
    let first_line = format!("executionId={first} first");
    assert_eq!(lines[0], first_line);

    assert_eq!(client.delete("/v1/functions/renewed").status, 204);
    client.get("/v1/functions/renewed/logs").assert_refused(404, "FUNCTION_NOT_FOUND", &["renewed"]);
    let of_first = format!("/v1/executions/{first}/logs");
    assert_eq!(texts(&mut client, &of_first), [first_line.as_str()]);
    server.register(&warm("renewed", "write"));
    write_text(&mut client, "renewed", "of the second life");
    let lines = written(&mut client, "/v1/functions/renewed/logs");
    assert!(!lines.contains(&first_line) && lines.last().unwrap() == "of the second life", "{lines:?}");
    assert_eq!(texts(&mut client, &of_first), [first_line]);
}

#[test]
fn a_function_keeps_its_newest_lines_within_its_bytes() {
    let server = Server::start(&["--log-bytes-per-function", "65536"]);
    server.register(&warm("much", "write"));
    let mut client = server.client();
    write(&mut client, "much", &json!({ "to": "stdout", "text": "line {n}", "times": 2000 }));
    let lines = eventually("the last line is read", || {
        let lines = written(&mut client, "/v1/functions/much/logs");
        (lines.last().is_some_and(|last| last == "line 1999")).then_some(lines)
    });
    assert!((200..1000).contains(&lines.len()), "{} lines are kept", lines.len());
    let oldest = 2000 - lines.len();
    let wanted: Vec<String> = (oldest..2000).map(|n| format!("line {n}")).collect();
    assert_eq!(lines, wanted);
}

#[test]
fn bytes_that_are_no_text_and_lines_that_are_too_long_are_kept_and_bounded() {
    let server = Server::start(&[]);
    server.register(&warm("odd", "write"));
    let mut client = server.client();
    let binary = json!({ "to": "stdout", "bytes": [0xff, 0x00, 0xfe, b'\n'], "text": "after it" });
    write(&mut client, "odd", &binary);
    assert_eq!(written(&mut client, "/v1/functions/odd/logs"), ["\u{fffd}\0\u{fffd}", "after it"]);
    let long = "x".repeat(40_000);
    let id = write_text(&mut client, "odd", &format!("executionId={{id}} {long}"));
    let path = format!("/v1/executions/{id}/logs");
    let lines = eventually("the whole line is read", || {
        let lines = texts(&mut client, &path);
        (lines.iter().map(String::len).sum::<usize>() == long.len() + 53).then_some(lines)
    });
    assert_eq!(lines.iter().map(String::len).collect::<Vec<_>>(), [16384, 16384, 40_053 - 2 * 16384]);
    assert_eq!(lines.concat(), format!("executionId={id} {long}"));
}

#[test]
fn a_function_that_floods_neither_holds_up_others_nor_fills_the_log_of_the_process() {
    let server = Server::start(&[]);
    server.register(&warm("loud", "flood"));
    server.register(&warm("quiet", "write"));
    let mut client = server.client();
    while_others_are_served(&server, || {
        assert_eq!(client.invoke("loud", "{\"to\":\"stdout\",\"text\":\"loud {n}\"}").status, 200);
        // Control answers, starts instances and keeps others' lines meanwhile.
        for n in 0..20 {
            let name = format!("meanwhile-{n}");
            server.register(&warm(&name, "echo"));
            assert_eq!(client.invoke(&name, n).output(), n);
            assert_eq!(client.delete(&format!("/v1/functions/{name}")).status, 204);
            let id = write_text(&mut client, "quiet", "executionId={id}");
            assert_eq!(texts(&mut client, &format!("/v1/executions/{id}/logs")).len(), 1);
        }
        let loud = texts(&mut client, "/v1/functions/loud/logs?tail=1000");
        assert_eq!(loud.len(), 1000);
    });
    let end = server.stop();
    let passed_on = end.stderr.lines().filter(|line| line.contains("loud ")).count();
    assert!(end.stderr.contains("lines were not passed on to this log"), "nothing says so");
    assert_eq!(end.stderr.matches(" executionId=").count(), 20, "lines of the quiet one are missing");
    assert!(passed_on < 20_000, "{passed_on} lines of the loud one were written to the log");
}
