//! An invocation, as it is sent over HTTP/1.1 and over frames.

use std::fmt::Write as _;

use picofaas_frames::{Field, RequestHead};

/// The execution of an [`Invocation`] that says no other.
pub const EXECUTION: [u8; 20] = [0xe1; 20];

/// Time that is left over frames where an [`Invocation`] says none, as they have a place for it: longer than any
/// test.
const DEADLINE_MS: u32 = 600_000;

/// An invocation. HTTP/1.1 leaves out what is absent.
#[derive(Clone, Debug)]
pub struct Invocation {
    pub execution: [u8; 20],
    pub trace: Option<Trace>,
    /// `X-Trace-Id`.
    pub trace_name: Option<String>,
    pub tracestate: Option<String>,
    pub attempt: Option<u16>,
    pub deadline_ms: Option<u32>,
    pub idempotency_key: Option<String>,
    pub body: Vec<u8>,
}

/// A `traceparent`.
#[derive(Clone, Debug)]
pub struct Trace {
    pub trace_id: [u8; 16],
    pub span_id: [u8; 8],
    pub flags: u8,
    /// The whole of it, where its version is not 00.
    pub later: Option<String>,
}

impl Invocation {
    /// An invocation with a body, which need not be what it should.
    pub fn with_body(body: impl Into<Vec<u8>>) -> Self {
        Self {
            execution: EXECUTION,
            trace: None,
            trace_name: None,
            tracestate: None,
            attempt: None,
            deadline_ms: None,
            idempotency_key: None,
            body: body.into(),
        }
    }

    /// An invocation with an input, which is JSON.
    pub fn of(input: &str) -> Self {
        Self::with_body(format!(r#"{{"input":{input}}}"#))
    }

    /// The execution as `X-Execution-Id` has it.
    pub fn execution_id(&self) -> String {
        hex(&self.execution)
    }

    /// The request, head and body.
    pub fn http(&self) -> Vec<u8> {
        let mut head =
            format!("POST /invoke HTTP/1.1\r\nHost: fn\r\nX-Execution-Id: {}\r\n", self.execution_id());
        let mut add = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                write!(head, "{name}: {value}\r\n").expect("a text takes more of it");
            }
        };
        add("X-Trace-Id", self.trace_name.clone());
        add("traceparent", self.trace.as_ref().map(Trace::header));
        add("tracestate", self.tracestate.clone());
        add("X-Attempt", self.attempt.map(|attempt| attempt.to_string()));
        add("X-Deadline-Ms", self.deadline_ms.map(|ms| ms.to_string()));
        add("Idempotency-Key", self.idempotency_key.clone());
        add("Content-Length", Some(self.body.len().to_string()));
        let mut request = head.into_bytes();
        request.extend_from_slice(b"\r\n");
        request.extend_from_slice(&self.body);
        request
    }

    /// The request with an expectation, head and body.
    pub fn http_expecting(&self, expectation: &str) -> Vec<u8> {
        let mut request = self.http();
        let after_line = request.iter().position(|byte| *byte == b'\n').expect("it has a head") + 1;
        let field = format!("Expect: {expectation}\r\n").into_bytes();
        request.splice(after_line..after_line, field);
        request
    }

    /// The fixed part of a `HEAD`.
    pub fn head(&self) -> RequestHead {
        let trace = self.trace.clone().unwrap_or_default();
        RequestHead {
            execution_id: self.execution,
            trace_id: trace.trace_id,
            parent_span_id: trace.span_id,
            trace_flags: trace.flags,
            attempt: self.attempt.unwrap_or(1),
            deadline_ms: self.deadline_ms.unwrap_or(DEADLINE_MS),
        }
    }

    /// The fields of a `HEAD`.
    pub fn fields(&self) -> Vec<Field<'_>> {
        let later = self.trace.as_ref().and_then(|trace| trace.later.as_deref());
        [
            (Field::TRACESTATE, self.tracestate.as_deref()),
            (Field::IDEMPOTENCY_KEY, self.idempotency_key.as_deref()),
            (Field::TRACE_NAME, self.trace_name.as_deref()),
            (Field::TRACEPARENT, later),
        ]
        .into_iter()
        .filter_map(|(id, value)| Some(Field { id, value: value?.as_bytes() }))
        .collect()
    }
}

impl Trace {
    /// The trace id in hexadecimal.
    pub fn id(&self) -> String {
        hex(&self.trace_id)
    }

    /// A trace of a header of version 00.
    ///
    /// # Panics
    /// Where it is none.
    pub fn of_header(header: &str) -> Self {
        let part = |from: usize, to: usize| -> Vec<u8> {
            let digit = |at: usize| u8::from_str_radix(&header[at..at + 2], 16).unwrap();
            (from..to).step_by(2).map(digit).collect()
        };
        assert!(header.starts_with("00-"), "{header}");
        Self {
            trace_id: part(3, 35).try_into().unwrap(),
            span_id: part(36, 52).try_into().unwrap(),
            flags: part(53, 55)[0],
            later: None,
        }
    }

    /// The header `traceparent`.
    pub fn header(&self) -> String {
        let own = || format!("00-{}-{}-{:02x}", self.id(), hex(&self.span_id), self.flags);
        self.later.clone().unwrap_or_else(own)
    }
}

/// Any trace: over frames there is always one.
impl Default for Trace {
    fn default() -> Self {
        Self { trace_id: [0x0a; 16], span_id: [0x0b; 8], flags: 1, later: None }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
