//! The heads of requests to a server.

use std::fmt::Write as _;

use picofaas_runtime::Context;

/// Room for a head with the usual headers, in bytes.
const HEAD_BYTES: usize = 512;

/// The beginning of the heads of all requests to one server.
#[derive(Debug)]
pub(crate) struct HeadTemplate(String);

impl HeadTemplate {
    pub(crate) fn new(path: &str, port: u16) -> Self {
        Self(format!("POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"))
    }

    /// The head of one invocation, with a body of `length` bytes.
    pub(crate) fn head(&self, context: &Context, length: usize) -> String {
        let mut head = String::with_capacity(HEAD_BYTES);
        head.push_str(&self.0);
        let mut write = |name: &str, value: &str| {
            for part in [name, ": ", value, "\r\n"] {
                head.push_str(part);
            }
        };
        write("X-Execution-Id", context.execution_id());
        for (name, value) in [
            ("X-Trace-Id", context.trace_id()),
            ("traceparent", context.traceparent()),
            ("tracestate", context.tracestate()),
            ("Idempotency-Key", context.idempotency_key()),
        ] {
            if let Some(value) = value {
                write(name, value);
            }
        }
        if let Some(left) = context.time_left() {
            write!(head, "X-Deadline-Ms: {}\r\n", left.as_millis().max(1))
                .expect("a String takes everything");
        }
        write!(head, "X-Attempt: {}\r\nContent-Length: {length}\r\n\r\n", context.attempt())
            .expect("a String takes everything");
        head
    }
}

/// The request of a probe.
pub(crate) fn probe_head(path: &str, port: u16) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n")
}
