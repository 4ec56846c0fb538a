//! Requests as a function gets them.

use std::io::Write as _;
use std::time::Duration;

use picofaas_contract::invocation::Invocation;
use picofaas_contract::patience::{Stopwatch, let_pass, until};
use picofaas_contract::wire::{CONTINUE, Connection};
use serde_json::{Value, json};

use super::web_client::{chunk, get, head, start, start_with, with_body};
use crate::suite::case::Transport;
use crate::suite::subject::Subject;
use crate::suite::warm::{IN_FLIGHT, ListenerKind, Stream};

/// Bytes of a body that fit into no pipe, socket or bounded buffer on its way.
const LARGE: usize = 64 << 20;
/// Bytes that may be on their way to a function that reads nothing: buffers of sockets and of programs.
const UNREAD_MAX: usize = 32 << 20;
/// Time without progress after which a body is taken to be held up.
const HELD_UP: Duration = Duration::from_millis(500);

/// All bytes there are, over and over.
pub(super) fn all_bytes(count: usize) -> Vec<u8> {
    (0..=u8::MAX).cycle().take(count).collect()
}

/// The answer of the function to a body of these bytes.
fn counted(bytes: &[u8]) -> Value {
    json!({ "bytes": bytes.len(), "sum": bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>() })
}

pub(crate) fn line_as_sent(subject: &Subject, transport: Transport) {
    let instance = start(subject);
    let mut connection = instance.web(transport);
    for (method, path) in [
        ("GET", "/"),
        ("GET", "/a/b?x=1&y=%20z&x=2"),
        ("GET", "//double//slash/"),
        ("GET", "/a%2Fb/%e2%82%AC?q=%26%3d+"),
        ("GET", "/../a/./b/../../c"),
        ("GET", "/%2e%2e/%2E/c"),
        ("GET", "/a;p=1/b@c:d!$&'()*+,=~-._"),
        ("GET", "/x?"),
        ("GET", "/x?a?b=/c/../d"),
        ("GET", "/web/web"),
        ("PUT", "/x"),
        ("PATCH", "/x"),
        ("DELETE", "/x"),
        ("OPTIONS", "/x"),
        ("PROPFIND", "/x"),
    ] {
        connection.send(head(method, path, "Content-Length: 0\r\n"));
        let answer = connection.receive();
        assert_eq!(answer.status, 200, "{method} {path} gave {answer:?}");
        let told = answer.json();
        assert_eq!((&told["method"], &told["target"]), (&json!(method), &json!(path)), "{told}");
    }
}

pub(crate) fn paths_of_an_instance(subject: &Subject) {
    let instance = start(subject);
    let mut connection = instance.connect();
    for path in ["/invoke", "/health", "/metrics"] {
        for method in ["GET", "POST"] {
            connection.send(head(method, path, "Content-Length: 0\r\n"));
            let told = connection.receive().json();
            assert_eq!((&told["method"], &told["target"]), (&json!(method), &json!(path)), "{told}");
        }
    }
    // Paths of the instance are where they were.
    assert_eq!(connection.get("/health").header("x-acknowledges"), Some("100-continue"));
    assert!(connection.get("/metrics").text().contains(IN_FLIGHT));
}

pub(crate) fn headers(subject: &Subject, transport: Transport) {
    let instance = start(subject);
    let mut connection = instance.web(transport);
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let sent = [
        ("accept", "text/html;q=0.9, */*"),
        ("authorization", "Bearer abc"),
        ("cookie", "a=1; b=2"),
        ("origin", "https://shop.example"),
        ("referer", "https://shop.example/x"),
        ("sec-fetch-site", "same-origin"),
        ("user-agent", "browser/1.0 (x; y)"),
        ("x-attempt", "1"),
        ("x-deadline-ms", "60000"),
        ("x-forwarded-for", "10.0.0.1, 10.0.0.2"),
        ("x-forwarded-host", "shop.example"),
        ("x-forwarded-prefix", "/fn/shop"),
        ("x-forwarded-proto", "https"),
        ("x-trace-id", "t-1"),
        ("traceparent", parent),
        ("tracestate", "a=1"),
    ];
    let lines: String = sent.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    connection.send(head("GET", "/x", &format!("{lines}X-Twice: 1\r\nX-Twice: 2\r\n")));
    let answer = connection.receive();
    assert_eq!(answer.status, 200, "{answer:?}");
    let told = answer.json();
    let values = |name: &str| -> Vec<&str> {
        let headers = told["headers"].as_array().unwrap().iter();
        let named = headers.filter(|header| header[0] == name);
        named.map(|header| header[1].as_str().unwrap()).collect()
    };
    for (name, value) in sent {
        assert_eq!(values(name), [value], "{name} in {told}");
    }
    let framed = Invocation::with_body("").execution_id();
    let execution = if transport == Transport::Http { "e-1" } else { &framed };
    assert_eq!((values("host"), values("x-execution-id")), (vec!["shop.example"], vec![execution]));
    // As two lines or as the list that they are (RFC 9110, 5.3).
    let twice = values("x-twice").join(",").replace(' ', "");
    assert_eq!(twice, "1,2");
}

pub(crate) fn any_bytes(subject: &Subject, transport: Transport) {
    let instance = start(subject);
    let mut connection = instance.web(transport);
    // Larger ones go over HTTP/1.1 alone.
    let largest = if transport == Transport::Http { 100_000 } else { 65_536 };
    for count in [0, 1, 256, largest] {
        let body = all_bytes(count);
        connection.send(with_body("POST", "/count", &body));
        assert_eq!(connection.receive().json(), counted(&body));
    }
}

pub(crate) fn any_pieces(subject: &Subject) {
    let instance = start(subject);
    let mut connection = instance.connect();
    let body = all_bytes(5000);
    for size in [1, 7, 4096, 5000] {
        connection.send(head("PUT", "/count", "Transfer-Encoding: chunked\r\n"));
        for piece in body.chunks(size) {
            connection.send(chunk(piece));
        }
        connection.send("0\r\n\r\n");
        assert_eq!(connection.receive().json(), counted(&body), "pieces of {size} bytes");
    }
    for byte in with_body("POST", "/count", b"abc") {
        connection.send([byte]);
    }
    assert_eq!(connection.receive().json(), counted(b"abc"));
}

pub(crate) fn over_max_body(subject: &Subject) {
    let limits = [("MAX_BODY", "1000"), ("MAX_OUTPUT", "1000")];
    let instance = start_with(subject, ListenerKind::Socket, &limits);
    let mut connection = instance.connect();
    let body = all_bytes(8 << 20);
    connection.send(with_body("POST", "/count", &body));
    assert_eq!(connection.receive().json(), counted(&body));
}

/// A function that reads nothing holds up its client, and what is on its way is bounded.
pub(crate) fn not_read(subject: &Subject) {
    let instance = start(subject);
    let folder = tempfile::tempdir().unwrap();
    let go = folder.path().join("go");
    let mut connection = instance.connect();
    let path = format!("/count?go={}", go.display());
    connection.send(head("POST", &path, &format!("Content-Length: {LARGE}\r\n")));
    let piece = all_bytes(1 << 16);
    let mut sent = send_until_held_up(&mut connection, &piece, LARGE);
    assert!(sent < UNREAD_MAX, "{sent} bytes were taken, though nothing reads them");
    std::fs::write(&go, "").unwrap();
    while sent < LARGE {
        // Where a write was cut, the bytes go on from there.
        let from = sent % piece.len();
        connection.send(&piece[from..]);
        sent += piece.len() - from;
    }
    let sum = 127.5 * LARGE as f64;
    assert_eq!(connection.receive().json(), json!({ "bytes": LARGE, "sum": sum as u64 }));
}

/// Sends a piece over and over until nothing more is taken; how many bytes were.
fn send_until_held_up(connection: &mut Connection<Stream>, piece: &[u8], max: usize) -> usize {
    connection.stream().set_nonblocking(true).unwrap();
    let (mut sent, mut progress) = (0, Stopwatch::start());
    while sent < max && progress.elapsed() < HELD_UP {
        match connection.stream().write(&piece[sent % piece.len()..]) {
            Ok(taken) => {
                sent += taken;
                progress = Stopwatch::start();
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                let_pass(Duration::from_millis(1));
            }
            Err(error) => panic!("the connection broke: {error}"),
        }
    }
    connection.stream().set_nonblocking(false).unwrap();
    sent
}

/// A function must not take half of a body for all of it.
pub(crate) fn breaks_off(subject: &Subject) {
    let instance = start(subject);
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let here = file("here");
    for (number, headers, part) in [
        (1, "Content-Length: 100\r\n", b"0123456789".to_vec()),
        (2, "Transfer-Encoding: chunked\r\n", chunk(b"0123456789")),
    ] {
        let done = file(&format!("done-{number}"));
        let mut connection = instance.connect();
        let path = format!("/count?here={}&done={}", here.display(), done.display());
        connection.send([head("POST", &path, headers).as_bytes(), &part].concat());
        until(|| "it does not begin".to_owned(), || here.exists().then_some(()));
        drop(connection);
        instance.wait_for_metric(&format!("{IN_FLIGHT} 0"));
        std::fs::remove_file(&here).unwrap();
        // One that is whole comes to its end, behind it.
        let whole = file(&format!("whole-{number}"));
        let mut connection = instance.connect();
        connection.send(with_body("POST", &format!("/count?done={}", whole.display()), b"abc"));
        assert_eq!(connection.receive().json(), counted(b"abc"));
        assert!(whole.exists() && !done.exists(), "half of a body was taken for all of it");
    }
}

pub(crate) fn continued(subject: &Subject) {
    let instance = start(subject);
    let mut connection = instance.connect();
    for _ in 0..2 {
        connection.send(head("POST", "/count", "Content-Length: 3\r\nExpect: 100-continue\r\n"));
        assert_eq!(connection.receive().status, CONTINUE);
        connection.send("abc");
        assert_eq!(connection.receive().json(), counted(b"abc"));
    }
    // A request that does not wait gets none.
    assert_eq!(get(&mut connection, "/x").status, 200);
}

pub(crate) fn over_tcp(subject: &Subject) {
    let instance = start_with(subject, ListenerKind::Port, &[]);
    let mut connection = instance.connect();
    let body = all_bytes(1 << 20);
    for _ in 0..2 {
        connection.send(with_body("POST", "/count", &body));
        assert_eq!(connection.receive().json(), counted(&body));
        assert_eq!(get(&mut connection, "/a?b").json()["target"], "/a?b");
    }
}
