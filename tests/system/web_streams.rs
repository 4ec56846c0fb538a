//! Bodies that are passed on as they come, in both directions, and connections that change their protocol.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::endpoint::{Endpoint, Request};
use crate::support::patience::{Stopwatch, eventually, let_pass};
use crate::support::server::Server;
use crate::support::specification::{With, pool, warm};

/// A server with a web function `live` of one place whose endpoint the test plays.
fn live(web: Value, change: impl FnOnce(Value) -> Value) -> (Server, Endpoint) {
    let (server, endpoint) = (Server::start(&[]), Endpoint::listen());
    let function =
        pool("live", format!("http://{}", endpoint.address())).with("web", web).with("concurrency", 1);
    server.register(&change(function));
    (server, endpoint)
}

/// The status of the newest execution, once it has one.
fn newest(server: &Server) -> String {
    eventually("it has ended", || {
        let list = server.client().get("/v1/executions").json();
        let status = list["executions"][0]["status"].as_str().unwrap().to_owned();
        (status != "running" && status != "queued").then_some(status)
    })
}

#[test]
fn each_piece_of_an_answer_reaches_the_client_before_the_next_is_written() {
    let (server, endpoint) = live(json!({}), |function| function);
    let mut client = server.client();
    client.ask("GET /fn/live/events", "accept: text/event-stream\r\n", "");
    let mut events = endpoint.next().answer_raw(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
    );
    assert_eq!(client.receive_head().header("content-type"), Some("text/event-stream"));
    for piece in ["data: 1\n\n", "data: 2\n\n", "data: 3\n\n"] {
        events = events.answer_raw(&format!("{:x}\r\n{piece}\r\n", piece.len()));
        assert_eq!(client.chunk().unwrap(), piece.as_bytes());
    }
    events.answer_raw("0\r\n\r\n");
    assert_eq!(client.chunk(), None);
    assert_eq!(newest(&server), "success");
}

#[test]
fn the_timing_of_a_stream_is_in_a_trailer_for_who_takes_one() {
    let (server, endpoint) = live(json!({}), |function| function);
    let chunked = "HTTP/1.1 200 OK\r\ntrailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n";
    let until_close = "HTTP/1.1 200 OK\r\n\r\n";
    for (head, rest) in [(chunked, "1\r\nx\r\n0\r\nx-sum: 1\r\n\r\n"), (until_close, "x")] {
        let mut client = server.client();
        client.ask("GET /fn/live", "te: gzip, Trailers\r\nconnection: te\r\n", "");
        let request = endpoint.next().answer_raw(head);
        let began = client.receive_head();
        assert_eq!(began.header("trailer"), Some("Server-Timing"), "{began:?}");
        let pause = Duration::from_millis(50);
        let_pass(pause);
        drop(request.answer_raw(rest));
        assert_eq!(client.chunk().unwrap(), b"x");
        let trailer = client.trailers();
        let (name, timing) = trailer.split_once(": ").unwrap();
        assert_eq!(name.to_lowercase(), "server-timing");
        let function = timing.split(", ").find_map(|stage| stage.strip_prefix("function;dur=")).unwrap();
        assert!(function.parse::<f64>().unwrap() >= 50.0, "{timing}");
        // Behind it the connection goes on.
        client.ask("GET /fn/live", "", "");
        drop(endpoint.next().answer_raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"));
        let plain = client.receive_streamed();
        assert_eq!((plain.header("trailer"), plain.text()), (None, ""));
    }
    // Of a known length there is none.
    let mut client = server.client();
    client.ask("GET /fn/live", "te: trailers\r\n", "");
    let request = endpoint.next().answer_raw("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\na");
    assert_eq!(client.receive_head().header("trailer"), None);
    drop(request.answer_raw("b"));
    assert_eq!(client.bytes(2), b"ab");
}

#[test]
fn a_body_larger_than_a_call_may_have_is_passed_on_as_it_comes() {
    let (server, endpoint) = live(json!({}), |function| function);
    let piece = "x".repeat(64 * 1024);
    let mut client = server.client();
    // Each piece is with the function before the next one is sent.
    client.send("POST /fn/live HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n");
    let mut request = endpoint.next();
    assert_eq!(request.header("transfer-encoding"), Some("chunked"));
    for _ in 0..32 {
        client.send(format!("{:x}\r\n{piece}\r\n", piece.len()));
        let mut came = 0;
        while came < piece.len() {
            let size = request.line();
            let size = usize::from_str_radix(&size, 16).unwrap();
            assert!(request.take(size).iter().all(|byte| *byte == b'x'));
            assert_eq!(request.line(), "");
            came += size;
        }
        assert_eq!(came, piece.len());
    }
    client.send("0\r\n\r\n");
    assert_eq!((request.line().as_str(), request.line().as_str()), ("0", ""));
    let kept = request.answer_raw("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    assert_eq!(client.receive().text(), "ok");
    // With a length, it has that length.
    client.send(format!(
        "PUT /fn/live HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n",
        32 * piece.len()
    ));
    let mut request = kept.next_without_body();
    assert_eq!(request.header("content-length"), Some((32 * piece.len()).to_string().as_str()));
    for _ in 0..32 {
        client.send(&piece);
        assert_eq!(request.take(piece.len()), piece.as_bytes());
    }
    request.answer(200, "ok");
    assert_eq!(client.receive().text(), "ok");
}

#[test]
fn a_client_that_stops_reading_stops_its_function_from_writing() {
    let (server, endpoint) = live(json!({}), |function| function);
    let mut client = server.client();
    client.ask("GET /fn/live", "", "");
    let length = 1_usize << 30;
    let mut request =
        endpoint.next().answer_raw(&format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n"));
    let written = request.write_until_stuck(length);
    assert!(written < 64 << 20, "{written} bytes were taken of a client that reads none");
    client.receive_head();
    client.take(written);
    assert!(request.write_until_stuck(1 << 20) > 0, "it goes on when the client does");
    client.hang_up();
    request.until_closed_after_more();
    assert_eq!(newest(&server), "cancelled");
}

#[test]
fn an_answer_that_breaks_off_is_broken_for_its_client_and_never_short() {
    let (server, endpoint) = live(json!({}), |function| function);
    for head in ["content-length: 10", "transfer-encoding: chunked"] {
        let mut client = server.client();
        client.ask("GET /fn/live", "", "");
        let begun = endpoint.next().answer_raw(&format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n"));
        assert_eq!(client.receive_head().status, 200);
        drop(begun.answer_raw(if head.starts_with('c') { "half" } else { "4\r\nhalf\r\n" }));
        let rest = client.until_end();
        assert!(rest.ends_with("half") || rest.ends_with("half\r\n"), "{rest:?}");
        assert_eq!(newest(&server), "error");
    }
    // More than was announced is not the client's, and the connection is not used again.
    let mut client = server.client();
    client.ask("GET /fn/live", "", "");
    let kept =
        endpoint.next().answer_raw("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n");
    assert_eq!(client.receive().text(), "ok");
    kept.until_closed();
    client.ask("GET /fn/live", "", "");
    endpoint.next().answer(200, "mine");
    assert_eq!(client.receive().text(), "mine");
}

#[test]
fn a_stream_outlives_the_deadline_of_its_head_and_ends_when_nothing_comes() {
    let (server, endpoint) =
        live(json!({ "streamIdleMs": 3000 }), |function| function.with("timeoutMs", 1000));
    let mut client = server.client();
    client.ask("GET /fn/live", "", "");
    let mut request = endpoint.next().answer_raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
    assert_eq!(client.receive_head().status, 200);
    let begun = Stopwatch::start();
    while begun.elapsed() < Duration::from_millis(1500) {
        request = request.answer_raw("1\r\nx\r\n");
        assert_eq!(client.chunk().unwrap(), b"x");
        let_pass(Duration::from_millis(50));
    }
    // It is silent from here on.
    assert_eq!(client.until_end(), "");
    request.until_closed();
    assert_eq!(newest(&server), "timeout");
}

#[test]
fn a_slow_body_of_a_request_is_no_reason_to_be_late() {
    let (server, endpoint) = live(json!({}), |function| function.with("timeoutMs", 1000));
    let mut client = server.client();
    client.send("POST /fn/live HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n");
    let mut request = endpoint.next();
    let begun = Stopwatch::start();
    while begun.elapsed() < Duration::from_millis(1500) {
        client.send("1\r\nx\r\n");
        assert_eq!((request.line(), request.line()), ("1".to_owned(), "x".to_owned()));
        let_pass(Duration::from_millis(50));
    }
    client.send("0\r\n\r\n");
    assert_eq!((request.line(), request.line()), ("0".to_owned(), String::new()));
    // From here on the head has its time.
    let answer = client.receive();
    assert_eq!(
        (answer.status, answer.json()["error"]["code"].as_str()),
        (504, Some("TIMEOUT")),
        "{answer:?}"
    );
    request.until_closed();
}

#[test]
fn a_client_that_breaks_off_its_body_breaks_off_its_function_s_request() {
    let (server, endpoint) = live(json!({}), |function| function);
    let mut client = server.client();
    client
        .send("POST /fn/live HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n");
    let mut request = endpoint.next();
    assert_eq!((request.line(), request.line()), ("3".to_owned(), "abc".to_owned()));
    client.hang_up();
    request.until_closed();
    assert_eq!(newest(&server), "cancelled");
}

#[test]
fn an_answer_that_comes_before_the_whole_request_is_given() {
    let (server, endpoint) = live(json!({}), |function| function);
    let mut client = server.client();
    client.send("POST /fn/live HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000\r\n\r\nabc");
    let request = endpoint.next_without_body();
    let kept = request.answer_raw("HTTP/1.1 413 Too Much\r\ncontent-length: 4\r\n\r\nmuch");
    let answer = client.receive();
    assert_eq!((answer.status, answer.text()), (413, "much"));
    kept.until_closed_after_more();
}

#[test]
fn a_connection_that_was_upgraded_is_the_two_ends_own_and_holds_no_place() {
    let (server, endpoint) = live(json!({ "maxConnections": 1 }), |function| function);
    let upgrade = "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-key: k\r\n";
    let mut client = server.client();
    // The first bytes come with the head.
    client.send(format!("GET /fn/live/chat HTTP/1.1\r\nhost: localhost\r\n{upgrade}\r\nhello"));
    let request = endpoint.next();
    assert_eq!(request.header("upgrade"), Some("websocket"));
    assert_eq!(request.header("connection"), Some("upgrade"));
    assert_eq!(request.header("sec-websocket-key"), Some("k"));
    let mut socket = request.answer_raw(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: a\r\n\r\nhi",
    );
    let head = client.receive_head();
    assert_eq!((head.status, head.header("sec-websocket-accept")), (101, Some("a")), "{head:?}");
    assert_eq!((head.header("upgrade"), head.header("connection")), (Some("websocket"), Some("upgrade")));
    assert_eq!(client.bytes(2), b"hi");
    assert_eq!(socket.take(5), b"hello");
    for _ in 0..3 {
        client.send([0, 255, b'\r', b'\n']);
        assert_eq!(socket.take(4), [0, 255, b'\r', b'\n']);
        socket = socket.answer_raw("back");
        assert_eq!(client.bytes(4), b"back");
    }
    // The one place of an attempt is free, and the one connection is open.
    let mut other = server.client();
    other.ask("GET /fn/live", "", "");
    endpoint.next().answer(200, "free");
    assert_eq!(other.receive().text(), "free");
    let answer = other.call("GET /fn/live/chat", upgrade, "");
    answer.assert_refused(429, "QUEUE_FULL", &["web.maxConnections"]);
    client.hang_up();
    socket.until_closed();
    eventually("its connection is free", || {
        let mut next = server.client();
        next.ask("GET /fn/live/chat", upgrade, "");
        (!next.is_answered_or(&endpoint)).then_some(())
    });
}

#[test]
fn an_upgrade_that_the_function_declines_is_an_answer_like_any_other() {
    let (server, endpoint) = live(json!({}), |function| function);
    let mut client = server.client();
    client.ask("GET /fn/live", "connection: upgrade\r\nupgrade: websocket\r\n", "");
    endpoint.next().answer(426, "no");
    let answer = client.receive();
    assert_eq!((answer.status, answer.text()), (426, "no"));
}

#[test]
fn a_drain_lets_streams_end_within_its_time_and_refuses_new_requests() {
    let (server, endpoint) = live(json!({}), |function| function);
    let mut client = server.client();
    client.ask("GET /fn/live", "", "");
    let mut request = endpoint.next().answer_raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
    assert_eq!(client.receive_head().status, 200);
    server.signal(rustix::process::Signal::TERM);
    eventually("it drains", || {
        (Client::connect(server.management).get("/readyz").status == 503).then_some(())
    });
    server.client().call("GET /fn/live", "", "").assert_refused(503, "DRAINING", &[]);
    request = request.answer_raw("1\r\nx\r\n");
    assert_eq!(client.chunk().unwrap(), b"x");
    request.answer_raw("0\r\n\r\n");
    assert_eq!(client.chunk(), None);
    assert_eq!(server.end().code, 0);
}

/// A client and a function with a WebSocket between them.
fn web_socket(server: &Server, endpoint: &Endpoint) -> (Client, Request) {
    let mut client = server.client();
    client.ask("GET /fn/live/chat", "connection: upgrade\r\nupgrade: websocket\r\n", "");
    let head = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    let socket = endpoint.next().answer_raw(head);
    assert_eq!(client.receive_head().status, 101);
    (client, socket)
}

/// Has a WebSocket closed that is in the middle of a frame, and looks at both of its ends.
fn close_is_told(server: &Server, endpoint: &Endpoint, close: impl FnOnce(&Server)) {
    let (mut client, socket) = web_socket(server, endpoint);
    // Half a frame of four bytes.
    let socket = socket.answer_raw("\x02\x04ab");
    assert_eq!(client.bytes(4), b"\x02\x04ab");
    close(server);
    // The rest of the frame comes, and then the close; of another frame, which is not whole, nothing.
    let mut socket = socket.answer_raw("cd\x02\x05z");
    assert_eq!(client.bytes(6), b"cd\x88\x02\x03\xe9");
    client.send(b"\x88\x82\0\0\0\0\x03\xe9");
    assert_eq!(socket.take(8), b"\x88\x82\0\0\0\0\x03\xe9");
    drop(socket.answer_raw("\u{8}\x02"));
    assert_eq!(client.until_end(), "");
}

#[test]
fn a_drain_tells_clients_of_web_sockets_that_their_server_goes_away() {
    let (server, endpoint) = live(json!({}), |function| function);
    close_is_told(&server, &endpoint, |server| {
        server.signal(rustix::process::Signal::TERM);
        eventually("it drains", || {
            (Client::connect(server.management).get("/readyz").status == 503).then_some(())
        });
    });
    assert_eq!(server.end().code, 0);
}

#[test]
fn another_version_of_the_function_and_its_deletion_tell_them_too() {
    let (server, endpoint) = live(json!({ "maxBodyBytes": 5 }), |function| function);
    // The gateway says by its refusal which version it has.
    let refusal = |server: &Server| server.client().call("POST /fn/live", "", "123456").text().to_owned();
    close_is_told(&server, &endpoint, |server| {
        let other =
            pool("live", format!("http://{}", endpoint.address())).with("web", json!({ "maxBodyBytes": 4 }));
        assert_eq!(server.client().put("/v1/functions/live", &other).status, 200);
        eventually("it has taken over", || refusal(server).contains("than 4 bytes").then_some(()));
    });
    close_is_told(&server, &endpoint, |server| {
        assert_eq!(server.client().delete("/v1/functions/live").status, 204);
        eventually("it is gone", || refusal(server).contains("FUNCTION_NOT_FOUND").then_some(()));
    });
}

#[test]
fn an_instance_to_which_a_client_has_a_connection_of_its_own_is_not_stopped_as_idle() {
    let server = Server::start(&[]);
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/system/programs/upgrades.py");
    let function = warm("held", "")
        .with("local", json!({ "command": ["python3", program] }))
        .with("env", json!([]))
        .with("replicas", json!({ "min": 0, "max": 1 }))
        .with("idleTimeoutMs", 200)
        .with("web", json!({}));
    server.register(&function);
    let mut client = server.client();
    client.ask("GET /fn/held/chat", "connection: upgrade\r\nupgrade: echo\r\n", "");
    assert_eq!(client.receive_head().status, 101);
    // Much longer than an idle instance stays.
    let_pass(Duration::from_millis(1500));
    client.send("still here");
    assert_eq!(client.bytes(10), b"still here");
    drop(client);
    eventually("it is stopped", || (server.function("held")["status"]["replicas"] == 0).then_some(()));
}

#[test]
fn one_that_asks_for_its_connection_has_its_place_already() {
    let (server, endpoint) = live(json!({ "maxConnections": 1 }), |function| function.with("concurrency", 9));
    let upgrade = "connection: upgrade\r\nupgrade: websocket\r\n";
    let mut first = server.client();
    first.ask("GET /fn/live", upgrade, "");
    let request = endpoint.next();
    let answer = server.client().call("GET /fn/live", upgrade, "");
    answer.assert_refused(429, "QUEUE_FULL", &["web.maxConnections"]);
    request.answer(403, "");
    assert_eq!(first.receive().status, 403);
    // It was declined, and the place is free.
    let mut second = server.client();
    second.ask("GET /fn/live", upgrade, "");
    endpoint.next().answer(403, "");
    assert_eq!(second.receive().status, 403);
}
