//! HTTP/1.1 by hand, so that a test sees every byte.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};

use serde_json::Value;

use crate::patience::until;

/// The status of an answer after which the connection speaks another protocol.
pub const SWITCHING_PROTOCOLS: u16 = 101;

/// The status of an answer that says that a handler is run.
pub const CONTINUE: u16 = 100;

/// A connection to an instance.
pub struct Connection<S> {
    stream: BufReader<S>,
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl<S: Read + Write> Connection<S> {
    pub fn over(stream: S) -> Self {
        Self { stream: BufReader::new(stream) }
    }

    /// Invokes with an execution id and `headers`, each ending in a line break.
    #[track_caller]
    pub fn invoke(&mut self, headers: &str, body: &str) -> Answer {
        self.send(invocation(headers, body));
        self.receive()
    }

    pub fn get(&mut self, path: &str) -> Answer {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: fn\r\n\r\n"));
        self.receive()
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    /// Reads the head of an answer.
    #[track_caller]
    pub fn receive_head(&mut self) -> Answer {
        let status_line = self.line();
        let status = status_line.split(' ').nth(1).unwrap_or_else(|| panic!("no status: {status_line:?}"));
        let status = status.parse().unwrap();
        let mut headers = Vec::new();
        loop {
            let line = self.line();
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("no header: {line:?}"));
            headers.push((name.to_lowercase(), value.trim().to_owned()));
        }
        Answer { status, headers, body: Vec::new() }
    }

    /// Reads one answer; an interim one, or one that changes the protocol, has no body.
    #[track_caller]
    pub fn receive(&mut self) -> Answer {
        let mut answer = self.receive_head();
        if answer.status < 200 {
            return answer;
        }
        match answer.header("content-length") {
            Some(length) => answer.body = self.bytes(length.parse().unwrap()),
            None if answer.is_chunked() => loop {
                let mut chunk = self.chunk();
                if chunk.is_empty() {
                    break;
                }
                answer.body.append(&mut chunk);
            },
            None => panic!("an answer has a length: {answer:?}"),
        }
        answer
    }

    /// The next chunk of a body; an empty one is its end.
    #[track_caller]
    pub fn chunk(&mut self) -> Vec<u8> {
        let length = usize::from_str_radix(&self.line(), 16).unwrap();
        let chunk = self.bytes(length);
        assert_eq!(self.line(), "", "a chunk ends where it said");
        chunk
    }

    /// Asks for the metrics until they have this line.
    #[track_caller]
    pub fn wait_for_metric(&mut self, line: &str) {
        let last = RefCell::new(String::new());
        until(
            || format!("no `{line}` in\n{}", last.borrow()),
            || {
                let answer = self.get("/metrics");
                let there = answer.text().lines().any(|found| found == line);
                answer.text().clone_into(&mut last.borrow_mut());
                there.then_some(())
            },
        );
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// Whether the peer closes, with nothing more to say.
    pub fn is_closed(&mut self) -> bool {
        match self.stream.fill_buf() {
            Ok(said) => said.is_empty(),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => true,
            Err(error) => panic!("the connection stays open: {error}"),
        }
    }

    /// Reads exactly as many bytes as there is room for.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.stream.read_exact(bytes).unwrap();
    }

    /// Everything until the peer closes.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).unwrap();
        rest
    }

    /// Everything until the connection ends, in whatever way.
    pub fn until_it_breaks(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Err(error) => panic!("the connection stays open: {error}"),
        }
        rest
    }

    /// The stream, for what is not read by this.
    pub fn stream(&mut self) -> &mut S {
        self.stream.get_mut()
    }

    /// The stream, and what was read of it and not yet taken.
    pub fn into_stream(self) -> (S, Vec<u8>) {
        let read = self.stream.buffer().to_vec();
        (self.stream.into_inner(), read)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        line.trim_end_matches("\r\n").to_owned()
    }
}

impl Answer {
    /// An answer that came in another way; names of `headers` are in lower case.
    pub fn new(status: u16, headers: Vec<(String, String)>, body: Vec<u8>) -> Self {
        Self { status, headers, body }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// All values of a header.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(known, _)| known == name);
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// Whether its body comes in chunks.
    pub fn is_chunked(&self) -> bool {
        self.header("transfer-encoding") == Some("chunked")
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// Status and code of a failure, which must be an error object with a message.
    pub fn failure(&self) -> (u16, String) {
        let error = &self.json()["error"];
        assert!(!self.message().is_empty());
        (self.status, error["code"].as_str().unwrap().to_owned())
    }

    /// Whether a failure says that another attempt would not mend it.
    pub fn is_final(&self) -> bool {
        self.json()["error"]["retryable"] == false
    }

    pub fn message(&self) -> String {
        self.json()["error"]["message"].as_str().unwrap().to_owned()
    }
}

/// The bytes of an invocation with the execution id `e-1`.
pub fn invocation(headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST /invoke HTTP/1.1\r\nhost: fn\r\nx-execution-id: e-1\r\n{headers}content-length: {length}\r\n\r\n{body}"
    )
}
