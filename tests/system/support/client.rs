//! HTTP/1.1 by hand, so that a test sends and sees every byte.

use std::fmt::Display;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use serde_json::Value;

use super::endpoint::Endpoint;
use super::patience::{PATIENCE, eventually};

/// A client's connection.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    /// E.g. `HTTP/1.1`.
    pub version: String,
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    /// Sends a request with `headers`, each ending in a line break, and reads the answer.
    pub(crate) fn call(&mut self, request: &str, headers: &str, body: impl AsRef<[u8]>) -> Answer {
        self.ask(request, headers, body);
        self.receive()
    }

    /// Sends a request with a body and does not wait for its answer.
    pub(crate) fn ask(&mut self, request: &str, headers: &str, body: impl AsRef<[u8]>) {
        let body = body.as_ref();
        let length = body.len();
        let head =
            format!("{request} HTTP/1.1\r\nhost: localhost\r\n{headers}content-length: {length}\r\n\r\n");
        let mut whole = head.into_bytes();
        whole.extend_from_slice(body);
        self.send(whole);
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.call(&format!("GET {path}"), "", "")
    }

    pub(crate) fn post(&mut self, path: &str, body: impl Display) -> Answer {
        self.call(&format!("POST {path}"), "", body.to_string())
    }

    pub(crate) fn put(&mut self, path: &str, body: impl Display) -> Answer {
        self.call(&format!("PUT {path}"), "", body.to_string())
    }

    pub(crate) fn delete(&mut self, path: &str) -> Answer {
        self.call(&format!("DELETE {path}"), "", "")
    }

    /// `POST /v1/functions/{name}:invoke` with an input and nothing else.
    pub(crate) fn invoke(&mut self, name: &str, input: impl Display) -> Answer {
        self.invoke_with(name, "", input)
    }

    /// The same with headers, each ending in a line break.
    pub(crate) fn invoke_with(&mut self, name: &str, headers: &str, input: impl Display) -> Answer {
        self.ask_invoke(name, headers, input);
        self.receive()
    }

    /// Invokes and does not wait for the answer.
    pub(crate) fn ask_invoke(&mut self, name: &str, headers: &str, input: impl Display) {
        self.ask(&format!("POST /v1/functions/{name}:invoke"), headers, format!("{{\"input\":{input}}}"));
    }

    /// `POST /v1/functions/{name}:enqueue`; the id of the execution.
    pub(crate) fn enqueue(&mut self, name: &str, input: impl Display) -> String {
        let answer = self.post(&format!("/v1/functions/{name}:enqueue"), format!("{{\"input\":{input}}}"));
        assert_eq!(answer.status, 202, "{answer:?}");
        answer.json()["executionId"].as_str().unwrap().to_owned()
    }

    /// The execution when it has ended.
    pub(crate) fn ended(&mut self, id: &str) -> Value {
        let answer = self.get(&format!("/v1/executions/{id}?wait=60"));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    /// Sends what it can: the peer may close before it has read everything.
    pub(crate) fn send_in_vain(&mut self, bytes: impl AsRef<[u8]>) {
        // It fails in the tests that use this, which are about the failure.
        let _ = self.stream.get_mut().write_all(bytes.as_ref());
    }

    /// Reads one answer, which must have a length or no body.
    pub(crate) fn receive(&mut self) -> Answer {
        let mut answer = self.receive_head();
        if answer.status >= 200 && answer.status != 204 && answer.status != 304 {
            let length = answer.header("content-length").expect("an answer has a length").parse().unwrap();
            answer.body.resize(length, 0);
            self.stream.read_exact(&mut answer.body).unwrap();
        }
        answer
    }

    /// Reads an answer whose body has a length, or comes in chunks to its end.
    pub(crate) fn receive_streamed(&mut self) -> Answer {
        let mut answer = self.receive_head();
        if let Some(length) = answer.header("content-length") {
            answer.body.resize(length.parse().unwrap(), 0);
            self.stream.read_exact(&mut answer.body).unwrap();
        } else {
            while let Some(chunk) = self.chunk() {
                answer.body.extend_from_slice(&chunk);
            }
        }
        answer
    }

    /// The next chunk of a body that comes in chunks; `None` at its end. A connection that breaks
    /// off before fails the test.
    pub(crate) fn chunk(&mut self) -> Option<Vec<u8>> {
        let size = self.line();
        let size = usize::from_str_radix(&size, 16).unwrap_or_else(|_| panic!("no size: {size:?}"));
        let mut chunk = vec![0; size];
        self.stream.read_exact(&mut chunk).unwrap();
        assert_eq!(self.line(), "", "after a chunk of {size} bytes");
        (size > 0).then_some(chunk)
    }

    /// The one trailer behind the last chunk.
    pub(crate) fn trailers(&mut self) -> String {
        assert_eq!(self.line(), "0");
        let trailer = self.line();
        assert_eq!(self.line(), "", "behind {trailer}");
        trailer
    }

    /// Reads the head of an answer, whose body is still to be read.
    pub(crate) fn receive_head(&mut self) -> Answer {
        let status_line = self.line();
        let mut words = status_line.split(' ');
        let version = words.next().unwrap_or_default().to_owned();
        let status = words.next().unwrap_or_else(|| panic!("no status: {status_line:?}")).parse().unwrap();
        let mut headers = Vec::new();
        loop {
            let line = self.line();
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("no header: {line:?}"));
            headers.push((name.to_lowercase(), value.to_owned()));
        }
        Answer { version, status, headers, body: Vec::new() }
    }

    /// Whether the peer closes, with nothing more to say. A reset is a close, too: it is what the
    /// kernel sends where the peer closed with bytes of ours unread.
    pub(crate) fn is_closed(&mut self) -> bool {
        match self.stream.fill_buf() {
            Ok(rest) => rest.is_empty(),
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }

    /// Takes so many bytes of what comes.
    pub(crate) fn take(&mut self, bytes: usize) {
        let taken =
            std::io::copy(&mut self.stream.by_ref().take(bytes as u64), &mut std::io::sink()).unwrap();
        assert_eq!(taken, bytes as u64, "the connection ended early");
    }

    /// Takes what has come, or comes next; 0 bytes at the end.
    pub(crate) fn take_some(&mut self) -> usize {
        let taken = self.stream.fill_buf().unwrap().len();
        self.stream.consume(taken);
        taken
    }

    /// Whether something has come.
    pub(crate) fn has_answer(&mut self) -> bool {
        let stream = self.stream.get_ref();
        stream.set_nonblocking(true).unwrap();
        let came = stream.peek(&mut [0]);
        stream.set_nonblocking(false).unwrap();
        came.is_ok_and(|bytes| bytes > 0)
    }

    /// So many bytes of what comes.
    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// Everything until the connection ends, cleanly or not.
    pub(crate) fn until_end(&mut self) -> String {
        let mut rest = Vec::new();
        // A reset is an end, too.
        let _ = self.stream.read_to_end(&mut rest);
        String::from_utf8_lossy(&rest).into_owned()
    }

    /// Takes everything until the connection ends, cleanly or not.
    pub(crate) fn pass_over_the_rest(&mut self) {
        // A reset is an end, too.
        let _ = std::io::copy(&mut self.stream, &mut std::io::sink());
    }

    /// Waits until there is an answer, or the endpoint is asked. Whether it was the answer.
    pub(crate) fn is_answered_or(&mut self, endpoint: &Endpoint) -> bool {
        eventually("an answer, or a request at the endpoint", || {
            if self.has_answer() { Some(true) } else { endpoint.is_asked().then_some(false) }
        })
    }

    /// One byte of what comes.
    pub(crate) fn byte(&mut self) -> u8 {
        let mut byte = [0];
        self.stream.read_exact(&mut byte).unwrap();
        byte[0]
    }

    /// Goes away without a word.
    pub(crate) fn hang_up(self) {
        self.stream.get_ref().shutdown(Shutdown::Both).unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        assert!(line.ends_with("\r\n"), "the connection ended in {line:?}");
        line.trim_end_matches("\r\n").to_owned()
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn output(&self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        self.json()["output"].clone()
    }

    pub(crate) fn message(&self) -> String {
        self.json()["error"]["message"].as_str().unwrap_or_else(|| panic!("no message: {self:?}")).to_owned()
    }

    /// `field: message` of each detail.
    pub(crate) fn details(&self) -> Vec<String> {
        let json = self.json();
        let details = json["error"]["details"].as_array().cloned().unwrap_or_default();
        let text = |detail: &Value, name: &str| detail[name].as_str().unwrap().to_owned();
        details
            .iter()
            .map(|detail| format!("{}: {}", text(detail, "field"), text(detail, "message")))
            .collect()
    }

    /// Asserts status, code and source of an error, and that its message has each of the parts.
    #[track_caller]
    pub(crate) fn assert_error(&self, status: u16, code: &str, source: &str, parts: &[&str]) {
        let json = self.json();
        assert_eq!(
            (self.status, json["error"]["code"].as_str(), self.header("x-error-source")),
            (status, Some(code), Some(source)),
            "{self:?}"
        );
        let message = self.message();
        for part in parts {
            assert!(message.contains(part), "no {part:?} in {message:?}");
        }
    }

    /// The same of the gateway's own refusals.
    #[track_caller]
    pub(crate) fn assert_refused(&self, status: u16, code: &str, parts: &[&str]) {
        self.assert_error(status, code, "gateway", parts);
    }

    /// Asserts that the answer announces the end of the connection.
    #[track_caller]
    pub(crate) fn assert_closing(&self) {
        assert_eq!(self.header("connection"), Some("close"), "{self:?}");
    }
}
