//! Web requests in the mode `http`: what the server gets, what becomes of its answers, and of its end.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::http_server::{Fifo, python, start};
use crate::instance::Instance;

const SUCCESS: &str = "picofaas_runtime_invocations_total{outcome=\"success\"}";

/// A web request with a body.
fn post(headers: &str, body: &Value) -> String {
    let body = body.to_string();
    let length = body.len();
    format!(
        "POST /web/x HTTP/1.1\r\nhost: h\r\nx-execution-id: e-1\r\n{headers}content-length: {length}\r\n\r\n{body}"
    )
}

/// A web request without one.
fn get(path: &str) -> String {
    format!("GET /web{path} HTTP/1.1\r\nhost: h\r\nx-execution-id: e-1\r\n\r\n")
}

/// The body that has the server write bytes of an answer.
fn write(bytes: &str) -> Value {
    json!({"do": "write", "bytes": bytes})
}

/// The same; it closes the connection behind them.
fn write_and_close(bytes: &str) -> Value {
    json!({"do": "write", "bytes": bytes, "close": true})
}

#[test]
fn headers_between_two_hops_go_no_further_either_way() {
    let instance = start(&[]);
    let mut connection = instance.connect();
    let hop = "connection: keep-alive, X-Hop\r\nx-hop: 1\r\nkeep-alive: timeout=5\r\nte: trailers\r\n\
               proxy-authorization: Basic x\r\nupgrade: h2c\r\nx-mine: 1\r\n";
    connection.send(post(hop, &json!({"do": "tell"})));
    let told = connection.receive().json();
    let mut headers = told["headers"].as_object().unwrap().clone();
    headers.remove("content-length").unwrap();
    assert_eq!(Value::Object(headers), json!({"host": "h", "x-execution-id": "e-1", "x-mine": "1"}));
    assert_eq!(told["line"], "POST /x HTTP/1.1");
    let answer = "HTTP/1.1 200 OK\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nUpgrade: h2c\r\n\
                  Proxy-Authenticate: x\r\nX-Mine: 1\r\nContent-Length: 2\r\n\r\nab";
    connection.send(post("", &write(answer)));
    let answer = connection.receive();
    assert_eq!((answer.status, answer.text(), answer.header("x-mine")), (200, "ab", Some("1")));
    for name in ["connection", "x-hop", "keep-alive", "upgrade", "proxy-authenticate"] {
        assert_eq!(answer.header(name), None, "{answer:?}");
    }
}

#[test]
fn answers_of_every_shape_are_passed_on() {
    let instance = start(&[]);
    let mut connection = instance.connect();
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nanswer".to_owned(),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nan\r\n4;a=b\r\nswer\r\n0\r\nX-Trailer: 1\r\n\r\n"
            .to_owned(),
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n\
         HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nanswer"
            .to_owned(),
    ] {
        connection.send(post("", &write(&answer)));
        let answered = connection.receive();
        assert_eq!((answered.status, answered.text()), (200, "answer"), "{answer}");
    }
    for answer in [
        "HTTP/1.1 200 OK\r\n\r\nanswer",
        "HTTP/1.0 200 OK\r\n\r\nanswer",
        "HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nanswer",
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 6\r\n\r\nanswer",
    ] {
        connection.send(post("", &write_and_close(answer)));
        let answered = connection.receive();
        assert_eq!((answered.status, answered.text()), (200, "answer"), "{answer}");
    }
}

#[test]
fn an_answer_that_breaks_off_breaks_off_for_the_caller() {
    let instance = start(&[]);
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf",
    ] {
        let mut connection = instance.connect();
        connection.send(post("", &write_and_close(answer)));
        assert_eq!(connection.receive_head().status, 200);
        let said = String::from_utf8(connection.until_it_breaks()).unwrap();
        assert!(said.contains("half") && !said.ends_with("0\r\n\r\n"), "{said:?}");
    }
}

#[test]
fn a_request_without_an_answer_is_a_failure_with_the_reason() {
    let instance = start(&[]);
    let mut connection = instance.connect();
    for (body, said) in [
        (write("\x16\x03\x01 this is not HTTP\r\n\r\n"), "the server's answer is not HTTP/1.1"),
        (json!({"do": "fall"}), "the server closed the connection before its answer was complete"),
        (
            write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"),
            "not asked for",
        ),
        (json!({"do": "exit", "say": "executionId=e-1 bad luck"}), "exit status 3: executionId=e-1 bad luck"),
        // Another has been started.
        (json!({"do": "exit"}), "the server ended with exit status 3"),
    ] {
        connection.send(post("", &body));
        let answer = connection.receive();
        assert_eq!(answer.failure(), (500, "HANDLER_ERROR".to_owned()), "{body}");
        assert!(answer.message().contains(said), "{}", answer.message());
    }
}

#[test]
fn the_connection_to_the_server_ends_at_the_deadline_and_with_the_caller() {
    let mut instance = start(&[]);
    let mut connection = instance.connect();
    connection.send(post("x-deadline-ms: 300\r\n", &json!({"do": "watch"})));
    assert_eq!(connection.receive().failure(), (504, "HANDLER_TIMEOUT".to_owned()));
    instance.line_with("the connection has ended");
    let mut connection = instance.connect();
    connection.send(post("", &json!({"do": "watch", "say": "watching again"})));
    instance.line_with("watching again");
    drop(connection);
    instance.line_with("the connection has ended");
}

#[test]
fn a_server_that_is_stuck_at_a_deadline_is_replaced() {
    let mut instance = start(&[]);
    let mut connection = instance.connect();
    connection.send(post("x-deadline-ms: 300\r\n", &json!({"do": "stop"})));
    assert_eq!(connection.receive().status, 504);
    instance.line_with("did not answer GET /");
    connection.send(post("", &json!({"do": "tell"})));
    assert_eq!(connection.receive().status, 200);
}

#[test]
fn a_line_has_the_ids_of_the_only_request_until_its_answer_is_complete() {
    let (mut instance, mut gate) = (start(&[]), Fifo::new());
    let mut connection = instance.connect();
    let (out, err) = ("to out", "to err");
    connection.send(post("x-trace-id: t-1\r\n", &json!({"do": "log", "out": out, "err": err})));
    assert_eq!(connection.receive().status, 200);
    let mut lines = [instance.line_with("to "), instance.line_with("to ")];
    lines.sort();
    let who = "info executionId=e-1 traceId=t-1";
    assert_eq!(lines, [format!("{who} to err\n"), format!("{who} to out\n")]);
    connection.send(post("", &json!({"do": "wait", "for": gate.path()})));
    assert_eq!(instance.line_with("waiting"), "info executionId=e-1 traceId=- waiting\n");
    gate.open(1);
    assert_eq!(connection.receive().text(), "17");
}

/// A server that answers the first request of each connection with how many it has answered, and closes the connection
/// when it gets a second one, as one does whose time for a connection at rest is over in that moment.
const ONE_EACH: &str = r#"
import os, socket, threading
listener = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
count = 0
def serve(connection):
    global count
    head = b""
    while b"\r\n\r\n" not in head and (data := connection.recv(1 << 16)):
        head += data
    if head:
        count += 1
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%d" % (len(str(count)), count))
        connection.recv(1)
    connection.close()
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"#;

#[test]
fn a_server_that_closes_connections_at_rest_loses_no_request() {
    let instance = Instance::running("http", &python(ONE_EACH), &[]);
    let mut connection = instance.connect();
    for count in 1..=200 {
        // One that may not be repeated gets a connection of its own.
        let request = if count % 3 == 0 { post("", &json!(1)) } else { get("/x") };
        connection.send(request);
        let answer = connection.receive();
        assert_eq!((answer.status, answer.text()), (200, count.to_string().as_str()));
    }
    instance.wait_for(&format!("{SUCCESS} 200"));
}

/// A server that serves one connection until its end, and then the next.
const ONE_BY_ONE: &str = r#"
import os
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_GET = do_POST
HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"#;

#[test]
fn a_server_that_serves_one_connection_at_a_time_waits_for_none_at_rest() {
    let instance = Instance::running("http", &python(ONE_BY_ONE), &[]);
    let mut connection = instance.connect();
    for _ in 0..3 {
        connection.send(get("/x"));
        assert_eq!(connection.receive().text(), "");
        connection.send(post("", &json!("web")));
        assert_eq!(connection.receive().text(), r#""web""#);
        assert_eq!(connection.invoke("", r#"{"input":"input"}"#).text(), r#""input""#);
    }
}

/// A server that refuses each body before it was sent.
const REFUSES: &str = r#"
import os, socket
listener = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
listener.accept()[0].close()
while True:
    connection = listener.accept()[0]
    head = b""
    while b"\r\n\r\n" not in head and (data := connection.recv(1 << 16)):
        head += data
    if head:
        expects = b"expect: 100-continue" in head.lower()
        connection.sendall(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % (413 if expects else 500))
        connection.recv(1 << 16)
    connection.close()
"#;

#[test]
fn a_body_that_its_sender_holds_back_is_asked_for_by_the_server_alone() {
    let instance = Instance::running("http", &python(REFUSES), &[]);
    let mut connection = instance.connect();
    connection.send(
        "POST /web/x HTTP/1.1\r\nhost: h\r\nx-execution-id: e-1\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n",
    );
    assert_eq!(connection.receive().status, 413, "and no 100");
    // Nobody waits for the body any more.
    assert!(connection.is_closed());
}

#[test]
fn a_program_that_takes_json_refuses_web_requests_and_says_what_to_do() {
    for mode in ["stdio", "worker"] {
        let ready = r#"printf '\0\0\0\016\0\0\0\0{"ready":true}'; cat"#;
        let instance = Instance::of(mode, if mode == "stdio" { "cat" } else { ready });
        let mut connection = instance.connect();
        connection.send(get("/x"));
        let answer = connection.receive();
        assert_eq!(answer.failure(), (501, "NOT_A_WEB_FUNCTION".to_owned()), "{mode}");
        assert!(answer.message().contains("web"), "{}", answer.message());
    }
}

#[test]
fn what_runs_is_finished_before_the_server_is_ended() {
    let (mut instance, mut gate) = (start(&[]), Fifo::new());
    let mut connection = instance.connect();
    connection.send(post("", &json!({"do": "wait", "for": gate.path()})));
    instance.line_with("waiting");
    instance.signal(Signal::TERM);
    instance.line_with("stopping, 1 in flight");
    gate.open(1);
    assert_eq!(connection.receive().text(), "17");
    assert_eq!(instance.end().0, 0);
}
