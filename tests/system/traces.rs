//! The trace of an invocation: handed on where it is one, begun where it is none.

use crate::support::client::Client;
use crate::support::endpoint::Endpoint;
use crate::support::job::Stage;
use crate::support::server::Server;
use crate::support::specification::{pool, warm};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// The headers of one request that say something of its trace.
#[derive(Clone, Debug, PartialEq, Eq)]
struct SeenTrace {
    id: String,
    parent: String,
    state: Option<String>,
}

/// A server with a function `seen` whose endpoint the test plays.
fn seen() -> (Server, Endpoint) {
    let (server, endpoint) = (Server::start(&[]), Endpoint::listen());
    server.register(&pool("seen", endpoint.url()));
    (server, endpoint)
}

/// The trace that an instance is told of for a request with these headers.
fn told(client: &mut Client, endpoint: &Endpoint, headers: &str) -> SeenTrace {
    client.ask_invoke("seen", headers, 1);
    let request = endpoint.next();
    let header = |name| request.header(name).map(str::to_owned);
    let told = SeenTrace {
        id: header("x-trace-id").unwrap(),
        parent: header("traceparent").unwrap(),
        state: header("tracestate"),
    };
    request.answer(200, "1");
    assert_eq!(client.receive().status, 200);
    told
}

/// Checks that a trace is a new one, which no system has said anything of.
fn assert_new(told: &SeenTrace, why: &str) {
    let parts: Vec<&str> = told.parent.split('-').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    let is_lower_hex = |part: &&str| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    assert!(lengths == [2, 32, 16, 2] && parts.iter().all(is_lower_hex), "{why}: {told:?}");
    assert_eq!((parts[0], told.id.as_str(), &told.state), ("00", parts[1], &None), "{why}");
    assert!(!PARENT.contains(parts[1]), "{why}: {told:?}");
}

#[test]
fn trace_headers_are_passed_on_as_they_came() {
    let (server, endpoint) = seen();
    let mut client = server.client();
    let later = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-what-the-future-will-be-like";
    for parent in [PARENT, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", later] {
        let headers = format!("traceparent: {parent}\r\ntracestate: rojo=1 , congo=t61=\r\n");
        let headers = headers.replace("t61=", "t61");
        let seen = told(&mut client, &endpoint, &format!("x-trace-id: mine-1\r\n{headers}"));
        let state = Some("rojo=1 , congo=t61".to_owned());
        assert_eq!(
            seen,
            SeenTrace { id: "mine-1".to_owned(), parent: parent.to_owned(), state: state.clone() }
        );
        let seen = told(&mut client, &endpoint, &headers);
        assert_eq!(seen, SeenTrace { id: parent[3..35].to_owned(), parent: parent.to_owned(), state });
    }
}

#[test]
fn trace_headers_are_made_where_there_are_none_and_differ_each_time() {
    let (server, endpoint) = seen();
    let mut client = server.client();
    let made = ["", "tracestate: a=1\r\n", "x-trace-id:\r\n"].map(|headers| {
        let made = told(&mut client, &endpoint, headers);
        assert_new(&made, headers);
        made
    });
    assert!(made[0].id != made[1].id && made[1].id != made[2].id, "{made:?}");
}

#[test]
fn a_traceparent_that_is_not_valid_is_ignored_with_its_tracestate_and_a_new_trace_begun() {
    let (server, endpoint) = seen();
    let mut client = server.client();
    let id = "4bf92f3577b34da6a3ce929d0e0e4736";
    for parent in [
        "",
        "garbage",
        &"x".repeat(55),
        &format!("00-{id}-00f067aa0ba902b7"),
        &format!("00-{id}-00f067aa0ba902b7-01-more"),
        &format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
        &format!("00-{id}-{}-01", "0".repeat(16)),
        &format!("ff-{id}-00f067aa0ba902b7-01"),
        &format!("00-{}-00f067aa0ba902b7-01", id.to_uppercase()),
        &format!("cc-{id}-00f067aa0ba902b7-01.more"),
        &format!("{PARENT}\r\ntraceparent: {PARENT}"),
    ] {
        let headers = format!("traceparent: {parent}\r\ntracestate: a=1\r\n");
        assert_new(&told(&mut client, &endpoint, &headers), parent);
        // An id of its own is the client's affair.
        let seen = told(&mut client, &endpoint, &format!("{headers}x-trace-id: mine-1\r\n"));
        assert_eq!((seen.id.as_str(), &seen.state), ("mine-1", &None), "{parent}");
        assert_ne!(seen.parent, *parent);
    }
}

#[test]
fn the_lines_of_a_tracestate_are_handed_on_as_one_and_a_list_that_is_none_is_left_out_alone() {
    let (server, endpoint) = seen();
    let mut client = server.client();
    let long = format!("a={},b={}", "x".repeat(253), "y".repeat(254));
    assert_eq!(long.len(), 512);
    let many = |count| (0..count).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(",");
    for (lines, state) in [
        (vec!["a=1,b=2", "", "c=3"], Some("a=1,b=2,c=3")),
        (vec![long.as_str()], Some(long.as_str())),
        (vec![many(32).as_str()], Some(many(32).as_str())),
        (vec![many(33).as_str()], None),
        (vec![many(32).as_str(), "z=1"], None),
        (vec!["x=1", "not a list"], None),
        (vec!["A=1"], None),
        (vec![""], None),
        (vec![format!("a={}", "x".repeat(257)).as_str()], None),
        (vec![[long.as_str(); 8].join(",").as_str()], None),
    ] {
        let lines: String = lines.iter().map(|line| format!("tracestate: {line}\r\n")).collect();
        let seen = told(&mut client, &endpoint, &format!("traceparent: {PARENT}\r\n{lines}"));
        assert_eq!((seen.parent.as_str(), seen.state.as_deref()), (PARENT, state), "{lines}");
    }
}

#[test]
fn a_warm_function_and_a_job_are_told_the_same_of_their_trace() {
    let (server, stage) = (Server::start(&[]), Stage::new());
    server.register(&stage.function("job"));
    server.register(&warm("warm", "context"));
    let mut client = server.client();
    let given = format!("traceparent: {PARENT}\r\ntracestate: a=1\r\nTraceState: b=2\r\n");
    let twice =
        format!("traceparent: {PARENT}\r\ntraceparent: {PARENT}\r\ntracestate: a=1\r\nx-trace-id:\r\n");
    for (headers, valid) in [(given, true), (twice, false)] {
        let output = client.invoke_with("warm", &headers, 1).output();
        let text = |name: &str| output[name].as_str().map(str::to_owned);
        let warm = SeenTrace {
            id: text("traceId").unwrap(),
            parent: text("traceparent").unwrap(),
            state: text("tracestate"),
        };
        client.ask_invoke("job", &headers, 1);
        let process = stage.next();
        let input = process.fetch();
        let header = |name| input.header(name).map(str::to_owned);
        let job = SeenTrace {
            id: header("x-trace-id").unwrap(),
            parent: header("traceparent").unwrap(),
            state: header("tracestate"),
        };
        assert_eq!(process.env["TRACE_ID"], job.id);
        process.succeed(1);
        process.exit(0);
        assert_eq!(client.receive().status, 200);
        if valid {
            let state = Some("a=1,b=2".to_owned());
            assert_eq!(warm, SeenTrace { id: PARENT[3..35].to_owned(), parent: PARENT.to_owned(), state });
            assert_eq!(job, warm);
        } else {
            assert_new(&warm, "WARM");
            assert_new(&job, "JOB");
        }
    }
}
