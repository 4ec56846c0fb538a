//! HTTP/1.1, as little as rows over frames need, and the change to frames.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::fault::Fault;
use crate::frames;
use crate::function::{self, Asked};
use crate::program::Program;
use crate::{Bytes, LOOK};

/// A head, with names in lower case.
struct Head {
    line: String,
    fields: Vec<(String, String)>,
}

impl Head {
    fn all(&self, name: &'static str) -> impl Iterator<Item = &str> {
        self.fields.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn one(&self, name: &'static str) -> Option<&str> {
        self.all(name).next()
    }

    fn opens(&self, program: &Program) -> bool {
        let wants = self
            .one("connection")
            .is_some_and(|value| value.split(',').any(|word| word.trim().eq_ignore_ascii_case("upgrade")));
        let protocol = self.one("upgrade").unwrap_or_default();
        let is_ours = protocol == picofaas_frames::UPGRADE || program.has(Fault::OpensAnything);
        let is_second = program.has(Fault::OneConnection) && program.connections() > 0;
        self.line == "GET /invoke HTTP/1.1" && wants && is_ours && !is_second
    }
}

/// Serves one connection, of which reads may find nothing.
pub(crate) fn serve<S: Bytes>(program: &Arc<Program>, mut stream: S) {
    let mut input = Vec::new();
    while let Some(head) = next_head(&mut stream, &mut input) {
        if let Some((status, code)) = refusal(program, &head) {
            answer(&mut stream, status, &[("connection", "close")], &error(code));
            return;
        }
        if head.opens(program) {
            let length = if program.has(Fault::LengthOfOpening) { "Content-Length: 0\r\n" } else { "" };
            let protocol = picofaas_frames::UPGRADE;
            let opened = format!(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n{length}\r\n"
            );
            // Before the caller knows: another connection may ask for them next.
            let _speaking = program.speaks();
            if stream.write_all(opened.as_bytes()).is_ok() {
                frames::serve(program, stream, &input);
            }
            return;
        }
        route(program, &mut stream, &mut input, &head);
        if !head.line.ends_with("1.1") || head.one("connection") == Some("close") {
            return;
        }
    }
}

fn error(code: &str) -> Vec<u8> {
    format!(r#"{{"error":{{"code":"{code}","message":"refused"}}}}"#).into_bytes()
}

fn refusal(program: &Program, head: &Head) -> Option<(u16, &'static str)> {
    let is_opening = head.one("upgrade").is_some();
    let is_marked = head.one("origin").is_some() || head.all("sec-fetch-site").any(|site| site != "none");
    if is_marked && !(is_opening && program.has(Fault::OpensForPages)) {
        return Some((403, "FOREIGN_ORIGIN"));
    }
    let hosts: Vec<_> = head.all("host").collect();
    let is_lost = hosts.len() != 1 || hosts[0].contains(' ');
    (is_lost && !program.has(Fault::OpensWithoutHost)).then_some((400, "BAD_REQUEST"))
}

fn route<S: Bytes>(program: &Arc<Program>, stream: &mut S, input: &mut Vec<u8>, head: &Head) {
    let json = [("content-type", "application/json")];
    let target: Vec<&str> = head.line.split(' ').take(2).collect();
    match target[..] {
        ["GET", "/health"] => answer(stream, 200, &[], b""),
        ["GET", "/metrics"] => {
            let kind = [("content-type", "text/plain; version=0.0.4")];
            answer(stream, 200, &kind, program.metrics().as_bytes());
        }
        ["POST", "/invoke"] => {
            let length = head.one("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
            while input.len() < length {
                if !more(stream, input) {
                    return;
                }
            }
            while program.has(Fault::KeepsHttpWaiting) && program.connections() > 0 {
                std::thread::park_timeout(LOOK);
            }
            let asked = Asked {
                execution_id: head.one("x-execution-id").unwrap_or_default().to_owned(),
                attempt: 1,
                body: input.drain(..length).collect(),
                ..Asked::default()
            };
            let first = program.cold_start_ms().map(|ms| ms.to_string());
            let mut fields = json.to_vec();
            if let Some(ms) = &first {
                fields.extend([("x-cold-start", "true"), ("x-init-duration-ms", ms)]);
            }
            if let Some(told) = function::run(program, &asked, &AtomicBool::new(false)) {
                answer(stream, told.status, &fields, &told.body);
            }
        }
        [_, "/invoke"] => answer(stream, 405, &[("allow", "POST")], &error("METHOD_NOT_ALLOWED")),
        _ => answer(stream, 404, &json, &error("NOT_FOUND")),
    }
}

/// Reads a head; `None` at the end of the stream.
fn next_head<S: Bytes>(stream: &mut S, input: &mut Vec<u8>) -> Option<Head> {
    let end = loop {
        if let Some(end) = input.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if !more(stream, input) {
            return None;
        }
    };
    let text: Vec<u8> = input.drain(..end + 4).collect();
    let text = String::from_utf8_lossy(&text);
    let mut lines = text.lines();
    let line = lines.next()?.to_owned();
    let fields = lines.filter_map(|line| line.split_once(':'));
    let fields = fields.map(|(name, value)| (name.to_lowercase(), value.trim().to_owned())).collect();
    Some(Head { line, fields })
}

/// Reads more; `false` at the end.
fn more<S: Bytes>(stream: &mut S, input: &mut Vec<u8>) -> bool {
    let mut bytes = [0; 16 * 1024];
    loop {
        match stream.read(&mut bytes) {
            Ok(0) => return false,
            Ok(count) => {
                input.extend_from_slice(&bytes[..count]);
                return true;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return false,
        }
    }
}

fn answer<S: Bytes>(stream: &mut S, status: u16, fields: &[(&str, &str)], body: &[u8]) {
    let mut head = format!("HTTP/1.1 {status} -\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in fields {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    // A caller that went away is seen by the next read.
    let _ = stream.write_all(&[head.as_bytes(), b"\r\n", body].concat());
}
