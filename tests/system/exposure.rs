//! Parts of the API that clients are shown on a listener that other machines reach.

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::lines::texts;
use crate::support::server::Server;
use crate::support::specification::{With, warm};

/// The value of a variable, and a line that an instance writes: not for everybody.
const PASSWORD: &str = "open sesame";
const EVERYWHERE: [&str; 2] = ["0.0.0.0:0", "[::]:0"];
const LOOPBACK: &str = "127.0.0.1:0";

/// A server whose clients come in there, with a function that has values and no instance that was not asked for.
fn start(listen: &str, flags: &[&str]) -> Server {
    let server = Server::start_at(listen, &[&["--allow-local-exec"], flags].concat());
    let answer = server.operator().post("/v1/functions", with_values("f"));
    assert_eq!(answer.status, 201, "{answer:?}");
    server
}

fn with_values(name: &str) -> Value {
    warm(name, "write").with("replicas", json!({ "min": 0, "max": 1 })).with(
        "env",
        json!([
            { "name": "HANDLER", "value": "write" },
            { "name": "PASSWORD", "value": PASSWORD },
            { "name": "EMPTY", "value": "" },
        ]),
    )
}

fn hidden() -> Value {
    let names = ["HANDLER", "PASSWORD", "EMPTY"];
    names.iter().map(|name| json!({ "name": name, "valueHidden": true })).collect()
}

/// Every answer in which clients are shown a function, beside the list.
fn shown(client: &mut Client, may_write: bool) -> Vec<Value> {
    let mut answers = vec![client.get("/v1/functions/f")];
    if may_write {
        answers.push(client.post("/v1/functions", with_values("g")));
        answers.push(client.put("/v1/functions/g", with_values("g").with("timeoutMs", 777)));
        answers.push(client.put("/v1/functions/g/replicas", json!({ "replicas": 0 })));
        assert_eq!(client.delete("/v1/functions/g").status, 204);
    }
    let list = client.get("/v1/functions").json();
    answers
        .into_iter()
        .map(|answer| answer.json())
        .chain(list["functions"].as_array().unwrap().clone())
        .collect()
}

#[test]
fn values_of_variables_are_hidden_from_clients_of_a_listener_that_others_reach_and_from_nobody_else() {
    for listen in EVERYWHERE {
        for (flags, may_write) in [
            (&["--gateway-threads=1"][..], false),
            (&["--gateway-threads=3"], false),
            (&["--gateway-threads=3", "--allow-writes"], true),
        ] {
            let server = start(listen, flags);
            // Whichever gateway each connection comes to.
            for _ in 0..8 {
                for function in shown(&mut server.client(), may_write) {
                    assert_eq!(function["env"], hidden(), "{listen} {flags:?}");
                    assert!(!function.to_string().contains(PASSWORD), "{listen} {flags:?}: {function}");
                }
            }
            for function in shown(&mut server.operator(), true) {
                assert_eq!(function["env"], with_values("f")["env"], "{listen} {flags:?}");
            }
        }
    }
    for threads in ["1", "3"] {
        let server = start(LOOPBACK, &["--gateway-threads", threads]);
        for function in shown(&mut server.client(), true) {
            assert_eq!(function["env"], with_values("f")["env"]);
        }
    }
}

#[test]
fn the_lines_of_a_function_are_for_operators_or_with_leave_and_those_of_an_execution_for_who_has_its_id() {
    for (listen, flags, is_open) in [
        (EVERYWHERE[0], &[][..], true),
        (EVERYWHERE[1], &["--gateway-threads=3"], true),
        (EVERYWHERE[0], &["--allow-writes"], false),
        (LOOPBACK, &[], false),
    ] {
        let server = start(listen, flags);
        let mut client = server.client();
        let line = |text: &str| json!({ "to": "stdout", "text": text });
        let mine = client.invoke("f", line("executionId={id} mine"));
        let mine = mine.header("x-execution-id").unwrap().to_owned();
        let theirs = client.invoke("f", line("executionId={id} theirs"));
        let theirs = theirs.header("x-execution-id").unwrap().to_owned();
        assert_eq!(client.invoke("f", line("of nobody")).status, 200);

        for _ in 0..4 {
            let mut client = server.client();
            if is_open {
                for query in ["", "?tail=1", "?follow=true"] {
                    let answer = client.get(&format!("/v1/functions/f/logs{query}"));
                    answer.assert_refused(403, "LOGS_DISABLED", &["--management-listen", "--allow-writes"]);
                    client = server.client();
                }
                client.send("HEAD /v1/functions/f/logs HTTP/1.1\r\nhost: localhost\r\n\r\n");
                assert_eq!(client.receive_head().status, 403);
                server.client().get("/v1/executions").assert_refused(403, "LISTING_DISABLED", &[]);
            } else {
                let all = texts(&mut client, "/v1/functions/f/logs");
                assert!(all.iter().any(|text| text.contains(&theirs)), "{all:?}");
            }
            // Neither another execution's lines nor those of no execution.
            let own = texts(&mut server.client(), &format!("/v1/executions/{mine}/logs"));
            assert_eq!(own, [format!("executionId={mine} mine")]);
        }
        let all = texts(&mut server.operator(), "/v1/functions/f/logs");
        assert!(all.iter().any(|text| text.contains(&theirs)), "{all:?}");
    }
}

#[test]
fn what_an_instance_wrote_before_it_ended_is_told_to_those_who_may_read_its_lines() {
    const WORDS: &str = "faulty: ending before listening, as told";
    for (listen, flags, is_told) in
        [(EVERYWHERE[0], &[][..], false), (EVERYWHERE[0], &["--allow-writes"], true), (LOOPBACK, &[], true)]
    {
        let server = start(listen, flags);
        let answer = server.operator().post("/v1/functions", warm("broken", "exit-at-start"));
        assert_eq!(answer.status, 201, "{answer:?}");
        let answer = server.invoke("broken", 1);
        answer.assert_error(502, "NO_INSTANCE", "gateway", &["exited with status 7"]);
        let function = server.function("broken").to_string();
        assert!(function.contains("exited with status 7"), "{function}");
        for text in [answer.message(), function] {
            assert_eq!(text.contains(WORDS), is_told, "{listen} {flags:?}: {text}");
            assert_eq!(text.contains("on the management listener"), !is_told, "{listen} {flags:?}: {text}");
        }
        let function = server.operator().get("/v1/functions/broken").json().to_string();
        assert!(function.contains(WORDS), "{function}");
    }
}

#[test]
fn a_function_that_was_read_with_its_values_hidden_is_not_written_back() {
    let server = start(EVERYWHERE[0], &["--allow-writes"]);
    let masked = server.client().get("/v1/functions/f").json().with("queueSize", 7);
    let local = start(LOOPBACK, &[]);
    for mut client in [server.client(), server.operator(), local.client(), local.operator()] {
        for answer in [
            client.put("/v1/functions/f", &masked),
            client.put("/v1/functions/new", masked.clone().with("name", "new")),
            client.post("/v1/functions", masked.clone().with("name", "new")),
        ] {
            answer.assert_refused(422, "INVALID_FUNCTION", &["3 faults"]);
            for (at, fault) in answer.details().iter().enumerate() {
                let expected = format!("env[{at}].valueHidden: stands for a value that was not shown");
                assert!(fault.starts_with(&expected), "{fault}");
            }
        }
        client.get("/v1/functions/new").assert_refused(404, "FUNCTION_NOT_FOUND", &[]);
    }
    let kept = server.operator().get("/v1/functions/f").json();
    assert_eq!(kept["env"], with_values("f")["env"]);
    assert_ne!(kept["queueSize"], 7);
}

#[test]
fn the_tag_of_a_function_whose_values_are_hidden_is_good_for_if_match_and_tells_nothing_of_them() {
    let tag = |client: &mut Client| client.get("/v1/functions/f").header("etag").unwrap().to_owned();
    let put = |client: &mut Client, tag: &str, timeout_ms: u32| {
        let headers = format!("if-match: {tag}\r\n");
        let body = with_values("f").with("timeoutMs", timeout_ms).to_string();
        client.call("PUT /v1/functions/f", &headers, body)
    };
    let servers = [0, 1].map(|_| start(EVERYWHERE[0], &["--allow-writes", "--gateway-threads=3"]));
    let whole = servers.each_ref().map(|server| tag(&mut server.operator()));
    let seen = servers.each_ref().map(|server| tag(&mut server.client()));
    assert_eq!(whole[0], whole[1], "operators read one text");
    // Made of the values alone they could be guessed by who has it.
    assert_ne!(seen[0], seen[1]);
    assert!(!whole.contains(&seen[0]), "{seen:?} {whole:?}");

    let server = &servers[0];
    assert_eq!(tag(&mut server.client()), seen[0], "it is the same until the function is another");
    let foreign = put(&mut server.client(), &whole[0], 700);
    foreign.assert_refused(412, "VERSION_MISMATCH", &[&seen[0].replace('"', "")]);
    let changed = put(&mut server.client(), &seen[0], 701);
    assert_eq!(changed.status, 200, "{changed:?}");
    assert_eq!(changed.header("etag"), Some(&*tag(&mut server.client())));
    put(&mut server.client(), &seen[0], 702).assert_refused(412, "VERSION_MISMATCH", &[]);
    let by_operator = tag(&mut server.operator());
    assert_eq!(put(&mut server.operator(), &by_operator, 703).status, 200);
}
