//! Connections to the server: answers of every shape, reuse, and what is closed or too much.

use serde_json::json;

use crate::http_server::{Fifo, python, start, told, write, write_and_close};
use crate::instance::Instance;

/// The script of a server on a bare socket that runs `answer` on each connection when a request
/// has begun, and then waits for its end.
fn bare(answer: &str) -> String {
    let script = r#"
import os, socket, sys, threading
listener = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
def serve(connection):
    connection.recv(16)
    ANSWER
    while connection.recv(1 << 16): pass
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"#;
    python(&script.replace("ANSWER", answer))
}

#[test]
fn answers_of_every_shape_are_read() {
    let instance = start(&[]);
    let mut connection = instance.connect();
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for bytes in [
        "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n\"answer\"".to_owned(),
        format!("{chunked}3\r\n\"an\r\n5;a=b\r\nswer\"\r\n0\r\n\r\n"),
        format!("{chunked}8\r\n\"answer\"\r\n0\r\nX-Trailer: 1\r\n\r\n"),
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n\
         HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n\"answer\""
            .to_owned(),
    ] {
        let answer = connection.invoke("", &write(&bytes));
        assert_eq!((answer.status, answer.text()), (200, "\"answer\""), "{bytes}");
    }
    for bytes in [
        "HTTP/1.1 200 OK\r\n\r\n\"answer\"",
        "HTTP/1.0 200 OK\r\nContent-Length: 8\r\n\r\n\"answer\"",
        "HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 8\r\n\r\n\"answer\"",
    ] {
        let answer = connection.invoke("", &write_and_close(bytes));
        assert_eq!((answer.status, answer.text()), (200, "\"answer\""), "{bytes}");
    }
}

#[test]
fn what_is_no_answer_is_a_failure_that_is_repeated() {
    let instance = start(&[]);
    let mut connection = instance.connect();
    let long = format!("HTTP/1.1 200 OK\r\nX-Long: {}\r\n\r\n", "x".repeat(17_000));
    for (bytes, said) in [
        ("\x16\x03\x01 this is not HTTP\r\n\r\n", "not HTTP/1.1"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n11", "unclear Content-Length"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n1", "Transfer-Encoding"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n1", "chunk without a size"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n1", "closed the connection before its answer"),
        ("HTTP/1.1 200 O", "closed the connection before its answer"),
        (long.as_str(), "too long"),
    ] {
        let answer = connection.invoke("", &write_and_close(bytes));
        assert_eq!(answer.failure(), (500, "HANDLER_ERROR".to_owned()), "{bytes}");
        assert!(answer.message().contains(said), "{}", answer.message());
        // A server that went away in the middle may be back for another attempt.
        assert_eq!(answer.is_final(), !said.starts_with("closed"), "{bytes}: {}", answer.text());
    }
}

#[test]
fn one_connection_serves_one_request_after_the_other() {
    let instance = start(&[]);
    let first = told(&instance);
    for _ in 0..5 {
        assert_eq!(told(&instance)["connection"], first["connection"]);
    }
}

#[test]
fn a_connection_that_the_server_has_closed_meanwhile_is_replaced() {
    let instance = start(&[]);
    let closing = write_and_close("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1");
    let mut connection = instance.connect();
    for _ in 0..50 {
        // It says nothing of closing, so its connection is used again, or was to be.
        let answer = connection.invoke("", &closing);
        assert_eq!((answer.status, answer.text()), (200, "1"));
    }
}

#[test]
fn what_the_server_says_unasked_is_no_answer_to_the_next_request() {
    let (mut instance, mut gate) = (start(&[]), Fifo::new());
    let mut connection = instance.connect();
    let late = "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n";
    let body = json!({"input": {"do": "stray", "bytes": late, "for": gate.path()}}).to_string();
    assert_eq!(connection.invoke("", &body).text(), "1");
    gate.open(1);
    instance.line_with("strayed");
    let answer = connection.invoke("", r#"{"input":2}"#);
    assert_eq!((answer.status, answer.text()), (200, "2"));
}

#[test]
fn a_request_that_the_server_has_read_is_not_made_again_however_its_connection_ends() {
    let mut instance = start(&[]);
    let mut connection = instance.connect();
    assert_eq!(connection.invoke("", r#"{"input":1}"#).text(), "1");
    // On a connection that was used before, as a stale one is.
    let body = json!({"input": {"do": "fall", "say": "read it"}}).to_string();
    let answer = connection.invoke("", &body);
    assert_eq!(answer.failure(), (500, "HANDLER_ERROR".to_owned()));
    assert!(answer.message().contains("closed the connection before its answer"), "{}", answer.message());
    instance.line_with("read it 1");
    let counted = connection.invoke("", &json!({"input": {"do": "falls"}}).to_string());
    assert_eq!(counted.text(), "1", "it was read once");
}

#[test]
fn an_output_that_is_too_large_is_not_read_to_its_end() {
    // It would never end.
    let endless = r#"
    try:
        connection.sendall(b"HTTP/1.1 200 OK\r\n{}\r\n")
        while True: connection.sendall(b"{}" * 1000)
    except OSError:
        print("cut off", file=sys.stderr, flush=True)
        return
"#;
    for (header, piece) in [("", "x"), (r"Transfer-Encoding: chunked\r\n", r"1\r\nx\r\n")] {
        let script = bare(&endless.replacen("{}", header, 1).replacen("{}", piece, 1));
        let mut instance = Instance::running("http", &script, &[]);
        let answer = instance.connect().invoke("", r#"{"input":1}"#);
        assert_eq!(answer.failure(), (500, "OUTPUT_TOO_LARGE".to_owned()));
        instance.line_with("cut off");
    }
}

#[test]
fn an_answer_that_comes_before_the_input_was_read_is_taken() {
    // More than the sockets between the two hold.
    let body = format!(r#"{{"input":"{}"}}"#, "x".repeat(16 << 20));
    for (header, end) in [(r"Content-Length: 8\r\n", ""), ("", "connection.shutdown(socket.SHUT_WR)")] {
        let early = format!(
            r#"connection.sendall(b"HTTP/1.1 413 X\r\n{header}\r\ntoo much")
    {end}
    threading.Event().wait()"#
        );
        let instance = Instance::running("http", &bare(&early), &[("MAX_BODY", "20000000")]);
        let answer = instance.connect().invoke("", &body);
        assert_eq!(
            (answer.failure(), answer.message().as_str()),
            ((413, "HANDLER_ERROR".to_owned()), "too much")
        );
    }
}

#[test]
fn a_server_that_closes_its_port_is_named_with_it() {
    // It lives on and accepts nobody.
    let script = r#"
import os, socket, threading
listener = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
connection = listener.accept()[0]
listener.close()
connection.recv(1 << 16)
connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\n1")
connection.close()
threading.Event().wait()
"#;
    let instance = Instance::running("http", &python(script), &[]);
    let mut connection = instance.connect();
    assert_eq!(connection.invoke("", r#"{"input":1}"#).text(), "1");
    let answer = connection.invoke("", r#"{"input":1}"#);
    assert_eq!(answer.failure(), (500, "HANDLER_ERROR".to_owned()));
    assert!(answer.message().starts_with("the server does not accept connections on port "));
}
