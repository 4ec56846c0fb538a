//! Waiting in line: how long the line may be, who leaves it, and what is counted.

use serde_json::json;

use crate::support::bystander::while_others_are_served;
use crate::support::client::Client;
use crate::support::endpoint::Endpoint;
use crate::support::patience::eventually;
use crate::support::server::Server;
use crate::support::specification::{With, pool};

/// A server with a function `narrow` that runs one at a time.
fn narrow(queue_size: u32) -> (Server, Endpoint) {
    let (server, endpoint) = (Server::start(&[]), Endpoint::listen());
    let specification = pool("narrow", endpoint.url());
    server.register(&specification.with("concurrency", 1).with("queueSize", queue_size));
    (server, endpoint)
}

#[test]
fn a_full_queue_is_a_429_that_says_when_to_come_back() {
    let (server, endpoint) = narrow(2);
    let mut clients: Vec<Client> = (0..3).map(|_| server.client()).collect();
    while_others_are_served(&server, || {
        clients[0].ask_invoke("narrow", "", 0);
        let request = endpoint.next();
        clients[1].ask_invoke("narrow", "", 1);
        clients[2].ask_invoke("narrow", "", 2);
        server.until_status("narrow", "queued", 2);
        for call in ["invoke", "enqueue"] {
            let answer = server.client().post(&format!("/v1/functions/narrow:{call}"), "{\"input\":3}");
            answer.assert_refused(429, "QUEUE_FULL", &["2 executions", "queueSize 2"]);
            let seconds = answer.header("retry-after").unwrap().parse::<u32>().unwrap();
            assert!((1..=60).contains(&seconds), "{seconds}");
        }
        // One at a time, in the order in which they came.
        request.answer(200, "\"first\"");
        for (at, client) in clients.iter_mut().enumerate() {
            if at > 0 {
                let request = endpoint.next();
                assert_eq!(request.body, format!("{{\"input\":{at}}}"));
                request.answer(200, "\"next\"");
            }
            assert_eq!(client.receive().status, 200);
        }
    });
    let refused =
        server.scrape().series("picofaas_function_rejected_total{function=\"narrow\",reason=\"queue_full\"}");
    assert_eq!(refused, Some(2.0));
}

#[test]
fn who_waits_too_long_for_a_turn_is_told_so_and_leaves_the_line() {
    let (server, endpoint) = narrow(1);
    let mut running = server.client();
    running.ask_invoke("narrow", "", 1);
    let request = endpoint.next();
    while_others_are_served(&server, || {
        let answer = server.client().invoke_with("narrow", "x-timeout-ms: 100\r\n", 2);
        answer.assert_refused(504, "TIMEOUT", &["no instance took it within", "X-Timeout-Ms"]);
        assert_eq!(
            (answer.json()["status"].as_str(), answer.header("x-attempts")),
            (Some("timeout"), Some("0"))
        );
        server.until_status("narrow", "queued", 0);
    });
    request.answer(200, "1");
    assert_eq!(running.receive().output(), 1);
}

#[test]
fn what_was_enqueued_waits_no_longer_than_max_queue_ms_and_has_its_whole_time_to_run() {
    let (server, endpoint) = (Server::start(&[]), Endpoint::listen());
    let specification = pool("patient", endpoint.url()).with("concurrency", 1).with("maxQueueMs", 200);
    server.register(&specification.with("timeoutMs", 20_000));
    let mut client = server.client();
    let running = client.enqueue("patient", 1);
    let request = endpoint.next();
    let left = request.header("x-deadline-ms").unwrap().parse::<u32>().unwrap();
    assert!(left > 15_000 && left <= 20_000, "{left}");
    let waiting = client.enqueue("patient", 2);
    let ended = client.ended(&waiting);
    assert_eq!((&ended["status"], &ended["error"]["code"]), (&json!("timeout"), &json!("QUEUE_TIMEOUT")));
    request.answer(200, "1");
    assert_eq!(client.ended(&running)["status"], "success");
}

#[test]
fn a_client_that_goes_away_while_it_waits_is_counted_and_never_runs() {
    let (server, endpoint) = narrow(5);
    let (mut running, mut leaving, mut last) = (server.client(), server.client(), server.client());
    running.ask_invoke("narrow", "", "\"runs\"");
    let request = endpoint.next();
    leaving.ask_invoke("narrow", "", "\"leaves\"");
    server.until_status("narrow", "queued", 1);
    last.ask_invoke("narrow", "", "\"stays\"");
    server.until_status("narrow", "queued", 2);
    while_others_are_served(&server, || {
        leaving.hang_up();
        eventually("the cancelled one is counted", || {
            (server.scrape().of_function("narrow", "cancelled_total") == 1.0).then_some(())
        });
        server.until_status("narrow", "queued", 1);
    });
    request.answer(200, "1");
    let next = endpoint.next();
    assert_eq!(next.body, "{\"input\":\"stays\"}");
    next.answer(200, "2");
    assert_eq!((running.receive().output(), last.receive().output()), (json!(1), json!(2)));
    assert_eq!(server.scrape().of_function("narrow", "dispatched_total"), 2.0);
}

#[test]
fn a_client_that_goes_away_while_it_is_served_does_not_stop_what_runs() {
    let (server, endpoint) = narrow(5);
    let mut leaving = server.client();
    leaving.ask_invoke("narrow", "", 1);
    let request = endpoint.next();
    leaving.hang_up();
    eventually("the connection is gone", || {
        // Left is the one that asks, on the other listener.
        (server.scrape().series("picofaas_connections") == Some(0.0)).then_some(())
    });
    request.answer(200, "1");
    eventually("it is counted as a success", || {
        (server.scrape().of_function("narrow", "success_total") == 1.0).then_some(())
    });
    server.until_status("narrow", "inFlight", 0);
}

#[test]
fn a_deleted_function_ends_at_once_who_pauses_before_its_next_attempt() {
    let (server, endpoint) = (Server::start(&[]), Endpoint::listen());
    let function = pool("pausing", endpoint.url());
    // With full jitter a pause is short once in a while: the longest that there is, and retries left.
    let function = function.with("retryBackoffMs", 3_600_000).with("retryMaxBackoffMs", 3_600_000);
    server.register(&function.with("timeoutMs", 86_400_000).with("maxRetries", 10));
    let mut client = server.client();
    let id = client.enqueue("pausing", 1);
    endpoint.next().answer(500, "{\"error\":{\"code\":\"BROKEN\",\"message\":\"no\"}}");
    server.until_status("pausing", "inFlight", 0);
    assert_eq!(client.get(&format!("/v1/executions/{id}")).json()["status"], "queued");
    assert_eq!(client.delete("/v1/functions/pausing").status, 204);
    let ended = client.ended(&id);
    assert_eq!((&ended["status"], &ended["error"]["code"]), (&"error".into(), &"FUNCTION_REMOVED".into()));
}
