//! What clients are shown on a listener that other machines reach.

use serde_json::json;

use crate::support::lines::texts;
use crate::support::server::Server;
use crate::support::specification::{With, warm};

const EVERYWHERE: [&str; 2] = ["0.0.0.0:0", "[::]:0"];
const LOOPBACK: &str = "127.0.0.1:0";

/// A server whose clients come in there, with a function that has no instance that was not asked for.
fn start(listen: &str, flags: &[&str]) -> Server {
    let server = Server::start_at(listen, &[&["--allow-local-exec"], flags].concat());
    let function = warm("f", "write").with("replicas", json!({ "min": 0, "max": 1 }));
    let answer = server.operator().post("/v1/functions", function);
    assert_eq!(answer.status, 201, "{answer:?}");
    server
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
