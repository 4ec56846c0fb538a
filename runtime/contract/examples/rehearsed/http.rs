//! HTTP/1.1, as little as rehearsed rows need, and the change to frames.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::fault::Fault;
use crate::frames;
use crate::function::{self, Asked, Told};
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
pub(crate) fn serve<S: Bytes>(program: &Arc<Program>, stream: S) {
    let key = program.standby.next_key();
    converse(program, stream, key);
    program.standby.connection_ended(program, key);
}

fn converse<S: Bytes>(program: &Arc<Program>, mut stream: S, key: u64) {
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
                frames::serve(program, stream, &input, key);
            }
            return;
        }
        route(program, &mut stream, &mut input, &head, key);
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

fn route<S: Bytes>(program: &Arc<Program>, stream: &mut S, input: &mut Vec<u8>, head: &Head, key: u64) {
    let json = [("content-type", "application/json")];
    let target: Vec<&str> = head.line.split(' ').take(2).collect();
    match target[..] {
        ["GET", "/health"] => {
            let told = program.ages.headers(program);
            let fields: Vec<_> = told.iter().map(|(name, value)| (*name, value.as_str())).collect();
            answer(stream, 200, &fields, b"");
        }
        ["GET", "/metrics"] => {
            let kind = [("content-type", "text/plain; version=0.0.4")];
            answer(stream, 200, &kind, program.metrics().as_bytes());
        }
        ["POST", "/invoke"] => invoke(program, stream, input, head, key),
        [_, "/invoke"] => answer(stream, 405, &[("allow", "POST")], &error("METHOD_NOT_ALLOWED")),
        _ => answer(stream, 404, &json, &error("NOT_FOUND")),
    }
}

fn invoke<S: Bytes>(program: &Arc<Program>, stream: &mut S, input: &mut Vec<u8>, head: &Head, key: u64) {
    let length = head.one("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    while input.len() < length {
        if !more(stream, input) {
            return;
        }
    }
    let body = input.drain(..length).collect();
    while program.has(Fault::KeepsHttpWaiting) && program.connections() > 0 {
        std::thread::park_timeout(LOOK);
    }
    let is_late = program.has(Fault::LateContinue);
    if !is_late {
        acknowledge(program, stream, head);
    }
    if program.standby.is_used() && !program.has(Fault::ServesTwo) {
        answer(stream, 503, &[], &error(function::ALREADY_USED));
        return;
    }
    let Some(execution_id) = head.one("x-execution-id") else {
        if program.has(Fault::CountsRefused) {
            program.standby.begin(program, key);
        }
        answer(stream, 400, &[], &error("MISSING_EXECUTION_ID"));
        return;
    };
    let execution_id = execution_id.to_owned();
    let asked = Asked { execution_id, attempt: 1, body, connection: key, ..Asked::default() };
    let first = program.cold_start_ms().map(|ms| ms.to_string());
    let mut fields = vec![("content-type", "application/json")];
    if let Some(ms) = &first {
        fields.extend([("x-cold-start", "true"), ("x-init-duration-ms", ms)]);
    }
    if let Some(told) = told_unless_gone(program, stream, input, &asked) {
        if is_late {
            acknowledge(program, stream, head);
        }
        answer(stream, told.status, &fields, &told.body);
    }
}

/// Runs an invocation on a thread of its own, and has it stopped where its caller goes.
fn told_unless_gone<S: Bytes>(
    program: &Arc<Program>,
    stream: &mut S,
    input: &mut Vec<u8>,
    asked: &Asked,
) -> Option<Told> {
    let gone = AtomicBool::new(false);
    let leave = || gone.store(!program.has(Fault::KeepsLost), Ordering::SeqCst);
    std::thread::scope(|scope| {
        let running = scope.spawn(|| function::run(program, asked, &gone));
        while !running.is_finished() {
            let mut bytes = [0; 16 * 1024];
            match stream.read(&mut bytes) {
                Ok(0) => leave(),
                Ok(count) => input.extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => leave(),
            }
        }
        running.join().expect("it does not panic")
    })
}

/// Says that a handler is run next, where that is asked for.
fn acknowledge<S: Bytes>(program: &Program, stream: &mut S, head: &Head) {
    let expectation = head.one("expect").filter(|_| head.line.ends_with("1.1"));
    let is_asked = expectation.is_some_and(|value| {
        let is_known = if program.has(Fault::PickyAboutLetters) {
            value == "100-continue"
        } else {
            value.eq_ignore_ascii_case("100-continue")
        };
        is_known || program.has(Fault::ContinuesAnything)
    });
    let is_refused = program.standby.is_used() && !program.has(Fault::ContinuesRefused);
    let times = match (is_asked || program.has(Fault::ContinuesUnasked), is_refused) {
        (true, false) if program.has(Fault::NoContinue) => 0,
        (true, false) if program.has(Fault::TwoContinues) => 2,
        (true, false) => 1,
        (false, _) | (true, true) => 0,
    };
    // A caller that went away is seen by the next read.
    let _ = stream.write_all("HTTP/1.1 100 Continue\r\n\r\n".repeat(times).as_bytes());
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
