//! Web requests over frames, at the Rust runtime: as over HTTP/1.1, and many on one connection.

use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::client::{Answer, Client};
use crate::support::patience::{eventually, let_pass};
use crate::support::server::Server;
use crate::support::specification::{With, warm};

/// Bytes of an answer that fit into no pipe, socket or bounded buffer on its way.
const LARGE: usize = 64 << 20;

fn web(name: &str) -> Value {
    warm(name, "web").with("web", json!({}))
}

/// How many attempts went in frames.
fn framed(server: &Server, name: &str) -> f64 {
    server.scrape().of_function(name, "framed_total")
}

/// Registers a function and waits until its web requests go in frames.
fn opened(server: &Server, function: &Value) {
    server.register(function);
    let name = function["name"].as_str().unwrap();
    eventually("frames are open", || {
        assert_eq!(server.client().get(&format!("/fn/{name}/x")).status, 200);
        (framed(server, name) > 0.0).then_some(())
    });
}

/// A server with the function `site` whose web requests go in frames.
fn site() -> Server {
    let server = Server::start(&[]);
    opened(&server, &web("site"));
    server
}

/// The result of `ask`, whose request has to go in one frame.
fn in_a_frame<T>(server: &Server, ask: impl FnOnce() -> T) -> T {
    let before = framed(server, "site");
    let answer = ask();
    assert_eq!(framed(server, "site"), before + 1.0, "it went in a frame");
    answer
}

/// Processes that the server has started.
fn children(server: &Server) -> Vec<Pid> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
    let texts = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("children")).unwrap());
    let pid = |digits: &str| Pid::from_raw(digits.parse().unwrap()).unwrap();
    texts.flat_map(|text| text.split_ascii_whitespace().map(pid).collect::<Vec<_>>()).collect()
}

fn wait_for(file: &Path) {
    eventually("the file is there", || file.exists().then_some(()));
}

/// The newest execution, once it has ended.
fn newest(server: &Server) -> Value {
    eventually("it has ended", || {
        let newest = server.client().get("/v1/executions").json()["executions"][0].clone();
        let status = newest["status"].as_str().unwrap();
        (status != "running" && status != "queued").then_some(newest)
    })
}

/// An answer without what differs by execution.
fn lasting(answer: &Answer) -> (u16, Vec<(String, String)>, String) {
    let differs = ["date", "x-execution-id", "server-timing", "x-cold-start"];
    let mut headers: Vec<_> =
        answer.headers.iter().filter(|(name, _)| !differs.contains(&name.as_str())).cloned().collect();
    headers.sort();
    let mut text = answer.text().to_owned();
    if let Ok(mut told) = serde_json::from_str::<Value>(&text)
        && let Some(of_request) = told["headers"].as_array_mut()
    {
        let own = ["x-execution-id", "traceparent", "x-deadline-ms", "x-forwarded-host", "host"];
        of_request.retain(|header| !own.contains(&header[0].as_str().unwrap()));
        of_request.sort_by_key(ToString::to_string);
        text = told.to_string();
        headers.retain(|(name, _)| name != "content-length");
    }
    (answer.status, headers, text)
}

#[test]
fn small_requests_and_answers_are_those_of_http() {
    let (plain, server) = (Server::start(&["--frames", "off"]), site());
    plain.register(&web("site"));
    let body = "x".repeat(65_536);
    let headers = "cookie: a=1\r\ncookie: b=2\r\nx-trace-id: mine\r\ntracestate: a=1\r\nidempotency-key: k\r\n\
                   traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n";
    for (line, body) in [
        ("GET /fn/site/a/../b//%2e%2F?x=%20&y=?", ""),
        ("PROPFIND /fn/site", ""),
        ("POST /fn/site/x?y", "a body"),
        ("PUT /fn/site/count", &body[..]),
        ("POST /fn/site/count", &body[..30_000]),
        ("GET /fn/site/status/200", ""),
        ("GET /fn/site/status/404", ""),
        ("GET /fn/site/status/599", ""),
        ("HEAD /fn/site/status/200", ""),
        ("HEAD /fn/site/x", ""),
        ("GET /fn/site/status/204", ""),
        ("GET /fn/site/status/304", ""),
        ("GET /fn/site/fail", ""),
        ("GET /fn/site/panic", ""),
        ("GET /fn/site/pieces", ""),
    ] {
        let ask = |server: &Server| {
            let mut client = server.client();
            client.ask(line, headers, body);
            match line.split(' ').next() {
                Some("HEAD") => client.receive_head(),
                _ if line.ends_with("/204") || line.ends_with("/304") => client.receive_head(),
                _ => client.receive_streamed(),
            }
        };
        let over_http = ask(&plain);
        let over_frames = in_a_frame(&server, || ask(&server));
        assert_eq!(lasting(&over_frames), lasting(&over_http), "{line}");
    }
    assert_eq!(framed(&plain, "site"), 0.0);
}

#[test]
fn uploads_and_changes_of_the_protocol_have_their_own_connection() {
    let server = Server::start(&["--max-head-bytes", "65536"]);
    opened(&server, &web("site"));
    let before = framed(&server, "site");
    let mut client = server.client();
    client.send("POST /fn/site/count HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    assert_eq!(client.receive_streamed().json()["bytes"], 3);
    let large = "x".repeat(65_537);
    assert_eq!(client.call("POST /fn/site/count", "", &large).json()["bytes"], 65_537);
    client.ask("GET /fn/site/upgrade", "connection: upgrade\r\nupgrade: websocket\r\n", "");
    assert_eq!(client.receive_head().status, 101);
    client.send("abc");
    assert_eq!(client.bytes(3), b"abc");
    // A head that is too long for a frame goes over HTTP/1.1, too.
    let long = format!("x-long: {}\r\n", "x".repeat(21_000));
    assert_eq!(server.client().call("GET /fn/site/x", &long, "").status, 200);
    assert_eq!(framed(&server, "site"), before);
}

#[test]
fn each_piece_of_an_answer_comes_before_the_next_is_written() {
    let server = site();
    let folder = tempfile::tempdir().unwrap();
    let go = folder.path().join("go");
    let mut client = server.client();
    in_a_frame(&server, || {
        client.ask(
            &format!("GET /fn/site/pieces?go={}", go.display()),
            "te: trailers\r\nconnection: te\r\n",
            "",
        );
        assert_eq!(client.receive_head().header("trailer"), Some("Server-Timing"));
        assert_eq!(client.chunk().unwrap(), b"first");
    });
    std::fs::write(&go, "").unwrap();
    assert_eq!(client.chunk().unwrap(), b"second");
    assert!(client.trailers().to_lowercase().starts_with("server-timing: "));
    let record = newest(&server);
    assert_eq!(
        (&record["status"], &record["web"]["answerBytes"]),
        (&json!("success"), &json!(11)),
        "{record}"
    );
}

#[test]
fn a_client_that_stops_reading_stops_its_function_from_writing_and_nobody_else() {
    let server = site();
    let folder = tempfile::tempdir().unwrap();
    let done = folder.path().join("done");
    let mut slow = server.client();
    in_a_frame(&server, || {
        slow.ask(&format!("GET /fn/site/flood?bytes={LARGE}&done={}", done.display()), "", "");
        assert_eq!(slow.receive_head().status, 200);
    });
    // Requests beside it on the same connection are answered.
    for _ in 0..100 {
        in_a_frame(&server, || assert_eq!(server.client().get("/fn/site/x").status, 200));
    }
    // A function that is not held up has written it all by then.
    let_pass(Duration::from_millis(300));
    assert!(!done.exists(), "{LARGE} bytes were written for a client that reads none");
    let mut read = 0;
    while let Some(chunk) = slow.chunk() {
        read += chunk.len();
    }
    assert_eq!(read, LARGE);
    wait_for(&done);
    assert_eq!(newest(&server)["status"], "success");
}

#[test]
fn an_answer_that_breaks_off_is_broken_for_its_client() {
    let server = site();
    for path in ["/break", "/break?length=100", "/short", "/panic?late=1"] {
        let mut client = server.client();
        let head = in_a_frame(&server, || {
            client.ask(&format!("GET /fn/site{path}"), "", "");
            client.receive_head()
        });
        let came = client.until_end();
        assert!(came.contains("begin") && !came.ends_with("0\r\n\r\n"), "{path}: {head:?} {came:?}");
        assert_eq!(newest(&server)["status"], "error", "{path}");
        assert_eq!(server.client().get("/fn/site/x").status, 200, "others go on");
    }
}

#[test]
fn an_instance_that_dies_breaks_its_streams_and_what_may_be_repeated_goes_elsewhere() {
    let server = Server::start_bare(&["--allow-local-exec"]);
    opened(&server, &web("site"));
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (mut streams, mut waits) = (server.client(), server.client());
    streams.ask(&format!("GET /fn/site/pieces?go={}", path("go")), "", "");
    streams.receive_head();
    assert_eq!(streams.chunk().unwrap(), b"first");
    // It is not answered by the first instance, and by the second when the file is there.
    waits.ask(&format!("GET /fn/site/count?go={}", path("second")), "", "");
    server.until_status("site", "inFlight", 2);
    for child in children(&server) {
        kill_process(child, Signal::KILL).unwrap();
    }
    let rest = streams.until_end();
    assert!(!rest.ends_with("0\r\n\r\n"), "{rest:?}");
    std::fs::write(path("second"), "").unwrap();
    let answer = waits.receive_streamed();
    // As many attempts as reached an instance: none is counted at one that died before the request was written.
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(server.scrape().of_function("site", "replicas"), 1.0, "another one has answered");
}

#[test]
fn a_client_that_leaves_takes_its_request_along() {
    let server = site();
    let folder = tempfile::tempdir().unwrap();
    for (path, begins) in [("endless", true), ("never", false)] {
        let gone = folder.path().join(path);
        let mut client = server.client();
        in_a_frame(&server, || {
            client.ask(&format!("GET /fn/site/{path}?gone={}", gone.display()), "", "");
            if begins {
                client.receive_head();
                assert_eq!(client.chunk().unwrap(), b"more");
            } else {
                server.until_status("site", "inFlight", 1);
            }
        });
        client.hang_up();
        wait_for(&gone);
        assert_eq!(newest(&server)["status"], "cancelled", "{path}");
        server.until_status("site", "inFlight", 0);
    }
}

#[test]
fn deadlines_and_silence_end_a_request_in_a_frame() {
    let server = Server::start(&[]);
    let limits = json!({ "streamIdleMs": 300, "maxStreamMs": 1500 });
    opened(&server, &warm("site", "web").with("web", limits));
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let mut client = server.client();
    let late = in_a_frame(&server, || {
        client.call(&format!("GET /fn/site/never?gone={}", path("gone")), "x-timeout-ms: 200\r\n", "")
    });
    // Of the gateway, or of the runtime, which knows the same deadline.
    assert_eq!(late.status, 504, "{late:?}");
    wait_for(Path::new(&path("gone")));
    // A stream outlives the deadline of its head, until nothing comes or it takes too long.
    for (target, pieces) in [(format!("pieces?go={}", path("no")), "first"), ("endless".to_owned(), "more")] {
        let mut client = server.client();
        in_a_frame(&server, || {
            client.ask(&format!("GET /fn/site/{target}"), "x-timeout-ms: 200\r\n", "");
            assert_eq!(client.receive_head().status, 200);
        });
        let came = client.until_end();
        assert!(came.contains(pieces) && !came.ends_with("0\r\n\r\n"), "{came:?}");
        let record = newest(&server);
        assert_eq!(record["error"]["code"], "TIMEOUT", "{record}");
    }
    server.until_status("site", "inFlight", 0);
}

#[test]
fn an_answer_that_is_read_later_is_kept_whole_or_in_pieces() {
    let server = site();
    let kept = |target: &str| -> (Client, String) {
        let mut client = server.client();
        let accepted = client.call(&format!("GET /fn/site/{target}"), "prefer: respond-async\r\n", "");
        assert_eq!(accepted.status, 202);
        let id = accepted.header("x-execution-id").unwrap().to_owned();
        (client, id)
    };
    let folder = tempfile::tempdir().unwrap();
    let go = folder.path().join("go");
    std::fs::write(&go, "").unwrap();
    let pieces = format!("pieces?go={}", go.display());
    for (target, text) in [("status/200", "status 200"), (pieces.as_str(), "firstsecond")] {
        let (mut client, id) = in_a_frame(&server, || {
            let (mut client, id) = kept(target);
            client.ended(&id);
            (client, id)
        });
        assert_eq!(client.get(&format!("/v1/executions/{id}/output")).text(), text);
    }
    for target in ["flood?bytes=2000000", "short"] {
        let (mut client, id) = kept(target);
        assert_eq!(client.ended(&id)["status"], "error", "{target}");
    }
}

#[test]
fn a_control_plane_that_stops_waits_for_a_stream_in_a_frame() {
    let server = site();
    let folder = tempfile::tempdir().unwrap();
    let go = folder.path().join("go");
    let mut client = server.client();
    client.ask(&format!("GET /fn/site/pieces?go={}", go.display()), "", "");
    client.receive_head();
    assert_eq!(client.chunk().unwrap(), b"first");
    let mut operator = server.operator();
    server.signal(Signal::TERM);
    eventually("it is not ready", || (operator.get("/readyz").status == 503).then_some(()));
    std::fs::write(&go, "").unwrap();
    assert_eq!(client.chunk().unwrap(), b"second");
    assert_eq!(client.chunk(), None);
    let end = server.end();
    assert!(end.code == 0 && end.stderr.contains("stopped in_time=true"), "{}", end.stderr);
}
