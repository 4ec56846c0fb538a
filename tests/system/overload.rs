//! More calls than a function can do: which are not begun, and what their callers are told.

use std::time::Duration;

use crate::support::client::Client;
use crate::support::endpoint::{Endpoint, Request};
use crate::support::patience::let_pass;
use crate::support::server::Server;
use crate::support::specification::{With, pool};

/// Attempts that are enough for an estimate.
const SAMPLES: usize = 20;

/// Has so many clients call a function, and gives the calls as its endpoint got them.
fn fill(server: &Server, endpoint: &Endpoint, function: &str, count: usize) -> (Vec<Client>, Vec<Request>) {
    let mut clients: Vec<Client> = (0..count).map(|_| server.client()).collect();
    clients.iter_mut().for_each(|client| client.ask_invoke(function, "", 0));
    let requests = (0..count).map(|_| endpoint.next()).collect();
    (clients, requests)
}

/// A function whose calls have lately taken 1 s, and as many of them as may run at once run now.
fn slow_and_full(drop_unreachable: bool) -> (Server, Endpoint, Vec<Client>, Vec<Request>) {
    let (server, endpoint) = (Server::start(&[]), Endpoint::listen());
    let specification = pool("slow", endpoint.url()).with("concurrency", SAMPLES);
    server.register(&specification.with("dropUnreachable", drop_unreachable));
    let mut client = server.client();
    client.ask_invoke("slow", "", 0);
    endpoint.next().answer(200, "0");
    assert_eq!(client.receive().status, 200);
    let (mut clients, requests) = fill(&server, &endpoint, "slow", SAMPLES);
    let_pass(Duration::from_secs(1));
    requests.into_iter().for_each(|request| request.answer(200, "1"));
    clients.iter_mut().for_each(|client| assert_eq!(client.receive().status, 200));
    let (clients, requests) = fill(&server, &endpoint, "slow", SAMPLES);
    (server, endpoint, clients, requests)
}

#[test]
fn a_call_whose_turn_comes_too_late_is_not_begun_and_may_be_sent_again() {
    let (server, endpoint, mut running, mut requests) = slow_and_full(true);
    let (mut late, mut patient) = (server.client(), server.client());
    let headers = "x-timeout-ms: 1500\r\nidempotency-key: k\r\n";
    late.ask_invoke("slow", headers, "\"late\"");
    server.until_status("slow", "queued", 1);
    patient.ask_invoke("slow", "", "\"patient\"");
    server.until_status("slow", "queued", 2);
    let_pass(Duration::from_secs(1));
    requests.remove(0).answer(200, "2");
    let answer = late.receive();
    answer.assert_refused(
        503,
        "DEADLINE_UNREACHABLE",
        &["X-Timeout-Ms", "nothing was begun", "takes up to 1"],
    );
    assert_eq!((answer.header("x-attempts"), answer.header("retry-after")), (Some("0"), Some("1")));
    let function = server.function("slow");
    let conditions = function["status"]["conditions"].as_array().unwrap();
    let condition = conditions.iter().find(|one| one["type"] == "Overloaded").expect("the condition");
    assert_eq!(
        (condition["status"].as_str(), condition["reason"].as_str()),
        (Some("True"), Some("DeadlineUnreachable"))
    );
    let message = condition["message"].as_str().unwrap();
    assert!(message.contains("were left when its turn came, and the function takes up to 1"), "{message}");
    // The next one, which has the time, is begun in its place.
    let next = endpoint.next();
    assert_eq!(next.body, "{\"input\":\"patient\"}");
    next.answer(200, "3");
    assert_eq!(patient.receive().output(), 3);
    let scrape = server.scrape();
    assert_eq!(scrape.of_function("slow", "unreachable_total"), 1.0);
    assert_eq!(scrape.of_function("slow", "error_total"), 1.0);
    // The key stands for nothing that was begun.
    late.ask_invoke("slow", headers, "\"late\"");
    let again = endpoint.next();
    assert_eq!(again.body, "{\"input\":\"late\"}");
    again.answer(200, "4");
    assert_eq!(late.receive().output(), 4);
    requests.into_iter().for_each(|request| request.answer(200, "2"));
    running.iter_mut().for_each(|client| assert_eq!(client.receive().output(), 2));
}

#[test]
fn a_function_that_does_not_ask_for_it_has_its_late_calls_begun() {
    let (server, endpoint, mut running, mut requests) = slow_and_full(false);
    let mut late = server.client();
    late.ask_invoke("slow", "x-timeout-ms: 1500\r\n", "\"late\"");
    server.until_status("slow", "queued", 1);
    let_pass(Duration::from_secs(1));
    requests.remove(0).answer(200, "2");
    let next = endpoint.next();
    assert_eq!(next.body, "{\"input\":\"late\"}");
    next.answer(200, "3");
    assert_eq!(late.receive().output(), 3);
    requests.into_iter().for_each(|request| request.answer(200, "2"));
    running.iter_mut().for_each(|client| assert_eq!(client.receive().output(), 2));
}

#[test]
fn a_call_that_would_wait_for_longer_than_its_time_is_refused() {
    let (server, endpoint) = (Server::start(&[]), Endpoint::listen());
    let narrow = pool("narrow", endpoint.url()).with("concurrency", 1).with("dropUnreachable", true);
    server.register(&narrow.with("queueOrder", "FIFO"));
    let mut clients: Vec<Client> = (0..80).map(|_| server.client()).collect();
    clients.iter_mut().for_each(|client| client.ask_invoke("narrow", "", 0));
    let slowly = |request: Request| {
        let_pass(Duration::from_millis(10));
        request.answer(200, "1");
    };
    // Twenty that have left the line are enough to know how fast it moves.
    (0..30).for_each(|_| slowly(endpoint.next()));
    let held = endpoint.next();
    server.until_status("narrow", "queued", 49);
    let refused = server.client().invoke_with("narrow", "x-timeout-ms: 200\r\n", 0);
    refused.assert_refused(
        503,
        "DEADLINE_UNREACHABLE",
        &["49 executions of this function wait already", "200 ms (X-Timeout-Ms)", "nothing was begun"],
    );
    let seconds = refused.header("retry-after").unwrap().parse::<u32>().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
    let reason = "picofaas_function_rejected_total{function=\"narrow\",reason=\"deadline_unreachable\"}";
    assert_eq!(server.scrape().series(reason), Some(1.0));
    held.answer(200, "1");
    (31..80).for_each(|_| endpoint.next().answer(200, "1"));
    clients.iter_mut().for_each(|client| assert_eq!(client.receive().status, 200));
}

#[test]
fn a_call_that_is_not_begun_is_told_how_long_the_line_takes() {
    const WAITING: usize = 80;
    let (server, endpoint) = (Server::start(&[]), Endpoint::listen());
    server.register(&pool("narrow", endpoint.url()).with("concurrency", 1).with("dropUnreachable", true));
    let mut clients: Vec<Client> = (0..WAITING).map(|_| server.client()).collect();
    clients.iter_mut().for_each(|client| client.ask_invoke("narrow", "", 0));
    for _ in 0..25 {
        let request = endpoint.next();
        let_pass(Duration::from_millis(80));
        request.answer(200, "1");
    }
    let held = endpoint.next();
    let mut late = server.client();
    late.ask_invoke("narrow", "x-timeout-ms: 400\r\n", 0);
    server.until_status("narrow", "queued", 55);
    let_pass(Duration::from_millis(360));
    held.answer(200, "1");
    let answer = late.receive();
    answer.assert_refused(503, "DEADLINE_UNREACHABLE", &["nothing was begun"]);
    // More than fifty wait, and one leaves each 80 ms.
    let seconds = answer.header("retry-after").unwrap().parse::<u32>().unwrap();
    assert!((3..=12).contains(&seconds), "{seconds}");
    (26..WAITING).for_each(|_| endpoint.next().answer(200, "1"));
    clients.iter_mut().for_each(|client| assert_eq!(client.receive().status, 200));
}

/// The order in which three calls are begun that wait behind another: `a` and `c` have 4 s, `b` has 3 s. It is their turn
/// when `a` has waited for `pause`.
fn turns(order: &str, pause: Duration) -> Vec<String> {
    let (server, endpoint) = (Server::start(&[]), Endpoint::listen());
    let narrow = pool("narrow", endpoint.url()).with("concurrency", 1);
    server.register(&if order.is_empty() { narrow } else { narrow.with("queueOrder", order) });
    let mut running = server.client();
    running.ask_invoke("narrow", "", "\"running\"");
    let held = endpoint.next();
    let mut clients = Vec::new();
    for (waiting, (name, time_ms)) in (1..).zip([("a", 4000), ("b", 3000), ("c", 4000)]) {
        let mut client = server.client();
        client.ask_invoke("narrow", &format!("x-timeout-ms: {time_ms}\r\n"), format!("\"{name}\""));
        server.until_status("narrow", "queued", waiting);
        clients.push(client);
    }
    let_pass(pause);
    held.answer(200, "0");
    let turn = |_| {
        let request = endpoint.next();
        let name = request.body.replace(['{', '}', '"', ':'], "").replace("input", "");
        request.answer(200, "1");
        name
    };
    let turns = (0..3).map(turn).collect();
    clients.iter_mut().for_each(|client| assert_eq!(client.receive().status, 200));
    assert_eq!(running.receive().status, 200);
    turns
}

#[test]
fn the_call_that_is_next_is_the_one_that_the_function_s_order_says() {
    let (at_once, late) = (Duration::ZERO, Duration::from_millis(1300));
    assert_eq!(turns("", at_once), ["a", "b", "c"]);
    assert_eq!(turns("DEADLINE", at_once), ["b", "a", "c"]);
    assert_eq!(turns("FIFO", at_once), ["a", "b", "c"]);
    assert_eq!(turns("LIFO", at_once), ["a", "b", "c"]);
    assert_eq!(turns("LIFO", late), ["c", "b", "a"]);
}
