//! Requests of a caller.

use picofaas_contract::wire::{Answer, Connection};

use crate::suite::subject::Subject;
use crate::suite::warm::{ListenerKind, Stream, WarmInstance};

/// The function that answers web requests.
const WEB: &str = "web";

/// Starts the function that answers web requests.
pub(crate) fn start(subject: &Subject) -> WarmInstance {
    WarmInstance::of(subject, WEB)
}

/// The same with more of an environment.
pub(crate) fn start_with(subject: &Subject, listener: ListenerKind, more: &[(&str, &str)]) -> WarmInstance {
    WarmInstance::with(subject, WEB, listener, more)
}

/// The head of a web request with an execution's id; each of `headers` ends in a line break. `path` is the client's.
pub(crate) fn head(method: &str, path: &str, headers: &str) -> String {
    format!("{method} /web{path} HTTP/1.1\r\nHost: shop.example\r\nX-Execution-Id: e-1\r\n{headers}\r\n")
}

/// A request with a body of known length.
pub(crate) fn with_body(method: &str, path: &str, body: &[u8]) -> Vec<u8> {
    let head = head(method, path, &format!("Content-Length: {}\r\n", body.len()));
    [head.as_bytes(), body].concat()
}

/// A chunk of a body.
pub(crate) fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

/// Asks and reads the answer whole.
#[track_caller]
pub(crate) fn get(connection: &mut Connection<Stream>, path: &str) -> Answer {
    connection.send(head("GET", path, ""));
    connection.receive()
}

/// Reads pieces until there are so many bytes or the body ends; a piece may come in any number of chunks.
#[track_caller]
pub(crate) fn piece(connection: &mut Connection<Stream>, bytes: usize) -> Vec<u8> {
    let mut piece = Vec::new();
    while piece.len() < bytes {
        let mut chunk = connection.chunk();
        if chunk.is_empty() {
            break;
        }
        piece.append(&mut chunk);
    }
    piece
}

/// The head of an answer whose body comes in chunks.
#[track_caller]
pub(crate) fn streaming(connection: &mut Connection<Stream>) -> Answer {
    let answer = connection.receive_head();
    assert!(answer.status == 200 && answer.is_chunked(), "{answer:?}");
    answer
}
