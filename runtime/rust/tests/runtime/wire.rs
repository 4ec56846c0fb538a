//! HTTP/1.1 by hand, so that a test sees every byte.

use std::io::{BufRead, BufReader, Read, Write};

use serde_json::Value;

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

    /// Reads one answer, which must have a length.
    pub fn receive(&mut self) -> Answer {
        let status_line = self.line();
        let status = status_line.split(' ').nth(1).unwrap_or_else(|| panic!("no status: {status_line:?}"));
        let status = status.parse().unwrap();
        let mut headers = Vec::new();
        loop {
            let line = self.line();
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(": ").unwrap();
            headers.push((name.to_lowercase(), value.to_owned()));
        }
        let mut answer = Answer { status, headers, body: Vec::new() };
        let length = answer.header("content-length").expect("an answer has a length").parse().unwrap();
        answer.body.resize(length, 0);
        self.stream.read_exact(&mut answer.body).unwrap();
        answer
    }

    /// Whether the peer closes, with nothing more to say.
    pub fn is_closed(&mut self) -> bool {
        self.stream.fill_buf().unwrap().is_empty()
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

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        line.trim_end_matches("\r\n").to_owned()
    }
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
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
