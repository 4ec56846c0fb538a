//! When an execution ends that nobody answers, and how much time it is given.

use std::time::Duration;

use serde_json::Value;

use crate::support::bystander::while_others_are_served;
use crate::support::endpoint::{Endpoint, EndpointProcess};
use crate::support::patience::Stopwatch;
use crate::support::server::Server;
use crate::support::specification::{With, job, pool, warm};

/// An execution ends at most this long after its deadline.
const LATE_NS_MAX: u64 = 5_000_000;
const TIMEOUT_MS: u64 = 40;
const TIMEOUT_NS: u64 = TIMEOUT_MS * 1_000_000;
/// Executions whose median counts.
const TRIES: usize = 11;
/// On a machine that has other things to do, one round in which the median is in time is enough: it is
/// the machine that was late in the others. What is late by itself is so in every one of them.
const ROUNDS: usize = 40;

/// From its first stamp to its last one.
fn lasted_ns(execution: &Value) -> u64 {
    let timings = execution["timings"].as_object().unwrap_or_else(|| panic!("no timings: {execution}"));
    timings.values().map(|stage| stage.as_u64().unwrap()).sum()
}

/// Asserts that what `lateness_ns` measures is never before the deadline, and mostly at most 5 ms behind.
fn assert_in_time(what: &str, mut lateness_ns: impl FnMut() -> i64) {
    let mut medians = Vec::new();
    for _ in 0..ROUNDS {
        let mut late: Vec<i64> = (0..TRIES).map(|_| lateness_ns()).collect();
        late.sort_unstable();
        assert!(late[0] >= 0, "{what}: ended {} ns before the deadline", -late[0]);
        medians.push(late[TRIES / 2]);
        if medians.iter().any(|median| median.unsigned_abs() <= LATE_NS_MAX) {
            return;
        }
    }
    panic!("{what}: after the deadline, medians of {TRIES} in ns: {medians:?}");
}

fn late_by(lasted_ns: u64) -> i64 {
    i64::try_from(lasted_ns).unwrap() - i64::try_from(TIMEOUT_NS).unwrap()
}

#[test]
fn what_runs_waits_or_was_promised_ends_within_5_ms_of_its_deadline() {
    let (server, never, endpoint) = (Server::start(&[]), Endpoint::listen(), Endpoint::listen());
    server.register(&pool("runs", never.url()).with("timeoutMs", TIMEOUT_MS).with("maxRetries", 0));
    // A busy machine may not even have one begin in its time: whether it came here is not waited for.
    never.hold_all();
    let (mut client, mut reader) = (server.client(), server.client());
    let headers = format!("x-timeout-ms: {TIMEOUT_MS}\r\n");
    assert_in_time("a client that waits for what runs, by its own clock", || {
        let watch = Stopwatch::start();
        client.invoke_with("runs", &headers, 1).assert_error(504, "TIMEOUT", "gateway", &[]);
        late_by(u64::try_from(watch.elapsed().as_nanos()).unwrap())
    });
    assert_in_time("what runs", || {
        let id = client.invoke("runs", 1).header("x-execution-id").unwrap().to_owned();
        late_by(lasted_ns(&reader.ended(&id)))
    });

    assert_in_time("what was promised and runs", || {
        let id = client.enqueue("runs", 1);
        let ended = reader.ended(&id);
        assert_eq!((&ended["status"], &ended["error"]["code"]), (&"timeout".into(), &"TIMEOUT".into()));
        late_by(lasted_ns(&ended))
    });

    // Its only permit is taken for as long as the test lasts.
    let narrow = pool("narrow", endpoint.url()).with("concurrency", 1).with("maxQueueMs", TIMEOUT_MS);
    server.register(&narrow);
    let running = client.enqueue("narrow", 1);
    let held = endpoint.next();
    assert_in_time("a client that waits in line", || {
        let answer = client.invoke_with("narrow", &headers, 1);
        answer.assert_error(504, "TIMEOUT", "gateway", &[]);
        late_by(lasted_ns(&reader.ended(answer.header("x-execution-id").unwrap())))
    });
    assert_in_time("what was promised and waits in line", || {
        let id = client.enqueue("narrow", 1);
        let ended = reader.ended(&id);
        assert_eq!(ended["error"]["code"], "QUEUE_TIMEOUT");
        late_by(lasted_ns(&ended))
    });
    held.answer(200, "1");
    assert_eq!(client.ended(&running)["output"], 1);
}

/// How often a handler that never ends is invoked: its runtime and the gateway watch the same deadline, and each
/// is first once in a while.
const CONTESTS: usize = 8;

#[test]
fn a_handler_that_never_ends_is_told_the_limit_that_it_met_whoever_notices_first_in_every_mode() {
    let (server, endpoint) = (Server::start(&[]), EndpointProcess::start("never", 0));
    while_others_are_served(&server, || {
        let mut client = server.client();
        for never in [warm("warm", "never"), job("job", "never"), pool("pool", endpoint.url())] {
            let name = never["name"].as_str().unwrap();
            server.register(&never.clone().with("timeoutMs", 300));
            for _ in 0..CONTESTS {
                let answer = client.invoke(name, 1);
                answer.assert_error(504, "TIMEOUT", "gateway", &["did not end within 300 ms (timeoutMs)"]);
                let ended = (answer.json()["status"].clone(), answer.header("x-attempts"));
                assert_eq!(ended, ("timeout".into(), Some("1")), "{name}");
                let answer = client.invoke_with(name, "x-timeout-ms: 200\r\n", 1);
                answer.assert_error(504, "TIMEOUT", "gateway", &["did not end within 200 ms (X-Timeout-Ms)"]);
            }
            let id = client.enqueue(name, 1);
            let error = &client.ended(&id)["error"];
            let message = error["message"].as_str().unwrap();
            assert_eq!(
                (&error["code"], message),
                (&"TIMEOUT".into(), "it did not end within 300 ms (timeoutMs)")
            );

            // Where attempts have a limit of their own, it is that one, however many of them there was time for.
            let brief = format!("{name}-brief");
            let never = never.clone().with("name", brief.as_str()).with("timeoutMs", 1000);
            server.register(&never.with("attemptTimeoutMs", 150).with("maxRetries", 10));
            for _ in 0..3 {
                let answer = client.invoke(&brief, 1);
                let said = "the attempt took longer than 150 ms (attemptTimeoutMs)";
                answer.assert_error(504, "HANDLER_TIMEOUT", "function", &[said]);
                assert_eq!(answer.json()["status"], "timeout");
            }
            server.until_status(name, "inFlight", 0);
            server.until_status(&brief, "inFlight", 0);
        }
    });
}

#[test]
fn the_limit_that_was_met_is_told_whatever_the_attempts_before_said() {
    let (server, endpoint) = (Server::start(&[]), Endpoint::listen());
    server.register(&pool("late", endpoint.url()).with("timeoutMs", 400).with("retryBackoffMs", 1));
    for before in [r#"{"error":{"code":"BROKEN","message":"no"}}"#, "a page of a proxy"] {
        for status in [500, 504] {
            let mut client = server.client();
            client.ask_invoke("late", "", 1);
            endpoint.next().answer(status, before);
            let held = endpoint.next();
            let answer = client.receive();
            answer.assert_error(504, "TIMEOUT", "gateway", &["did not end within 400 ms (timeoutMs)"]);
            assert_eq!(answer.header("x-attempts"), Some("2"), "{status} {before}");
            held.until_closed();
        }
    }
}

#[test]
fn what_is_waited_for_has_at_most_300_s_and_what_was_enqueued_all_that_its_function_allows() {
    let (server, endpoint) = (Server::start(&[]), Endpoint::listen());
    server.register(&pool("long", endpoint.url()).with("timeoutMs", 86_400_000));
    let mut client = server.client();
    for (call, headers, least, most) in [
        ("invoke", "", 290_000, 300_000),
        ("invoke", "x-timeout-ms: 400000\r\n", 290_000, 300_000),
        ("enqueue", "", 86_390_000, 86_400_000),
        ("enqueue", "x-timeout-ms: 20000\r\n", 10_000, 20_000),
    ] {
        client.ask(&format!("POST /v1/functions/long:{call}"), headers, "{\"input\":1}");
        let request = endpoint.next();
        let left: u32 = request.header("x-deadline-ms").unwrap().parse().unwrap();
        assert!((least..=most).contains(&left), "{left} ms for {call} {headers}");
        request.answer(200, "1");
        assert!([200, 202].contains(&client.receive().status));
    }
}

#[test]
fn a_retry_that_could_not_begin_before_the_deadline_is_not_waited_for() {
    let (server, endpoint) = (Server::start(&[]), Endpoint::listen());
    // A random pause of up to an hour is short of 20 s once in 180 times; then there is another attempt, which
    // fails like the first, and ten such in a row do not happen.
    let pausing = pool("pausing", endpoint.url()).with("retryBackoffMs", 3_600_000);
    let pausing = pausing.with("retryMaxBackoffMs", 3_600_000).with("timeoutMs", 20_000);
    server.register(&pausing.with("maxRetries", 10));
    endpoint.answer_all(500, "{\"error\":{\"code\":\"BROKEN\",\"message\":\"no\"}}");
    let watch = Stopwatch::start();
    let answer = server.invoke("pausing", 1);
    answer.assert_error(500, "BROKEN", "function", &[]);
    assert!(watch.elapsed() < Duration::from_secs(15), "{:?}", watch.elapsed());
}
