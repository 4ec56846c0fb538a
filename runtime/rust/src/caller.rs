//! The names that come with an invocation: ids, trace and key, of the headers of a request or of a frame.

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use picofaas_frames::{Field, Fields, RequestHead};
use picofaas_trace_context::TraceContext;

const EXECUTION_ID: HeaderName = HeaderName::from_static("x-execution-id");
const TRACE_ID: HeaderName = HeaderName::from_static("x-trace-id");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The names that a caller gave.
#[derive(Clone, Debug)]
pub(crate) enum Caller {
    /// The names in a request over HTTP/1.1.
    Http { headers: HeaderMap, trace: Option<TraceContext> },
    /// The names in a frame.
    Framed(Box<FramedCaller>),
    /// The names in a web request, whose headers its handler has.
    Web(Box<WebCaller>),
}

/// The names of a web request.
#[derive(Clone, Debug)]
pub(crate) struct WebCaller {
    execution: Option<HeaderValue>,
    trace_name: Option<HeaderValue>,
    trace: Option<TraceContext>,
    key: Option<HeaderValue>,
}

/// The names of a frame, as texts.
#[derive(Clone, Debug)]
pub(crate) struct FramedCaller {
    execution: [u8; 40],
    /// A `traceparent` of version 00.
    parent: [u8; 55],
    /// One of a later version, which goes on where this one ends.
    later_parent: Option<Box<str>>,
    has_trace: bool,
    state: Option<Box<str>>,
    /// The `X-Trace-Id`, where it is not the trace id.
    name: Option<Box<str>>,
    key: Option<Box<str>>,
}

impl FramedCaller {
    pub(crate) fn new(head: &RequestHead, fields: &Fields) -> Self {
        let mut execution = [0; 40];
        write_hex(&mut execution, &head.execution_id);
        let mut parent = *b"00-00000000000000000000000000000000-0000000000000000-00";
        write_hex(&mut parent[3..35], &head.trace_id);
        write_hex(&mut parent[36..52], &head.parent_span_id);
        write_hex(&mut parent[53..], &[head.trace_flags]);
        let has_trace = head.trace_id != [0; 16] && head.parent_span_id != [0; 8];
        let mut caller =
            Self { execution, parent, later_parent: None, has_trace, state: None, name: None, key: None };
        for field in fields.iter() {
            // A text that is none is left out, as a header of that kind is.
            let text = || str::from_utf8(field.value).ok().filter(|text| !text.is_empty()).map(Box::from);
            match field.id {
                Field::TRACESTATE => caller.state = text(),
                Field::IDEMPOTENCY_KEY => caller.key = text(),
                Field::TRACE_NAME => caller.name = text(),
                Field::TRACEPARENT => caller.later_parent = text(),
                _ => {}
            }
        }
        caller
    }

    fn trace_id(&self) -> Option<&str> {
        self.has_trace.then(|| ascii(&self.parent[3..35]))
    }
}

impl Caller {
    /// The names in the headers of a request.
    pub(crate) fn of_headers(headers: HeaderMap) -> Self {
        Self::Http { trace: TraceContext::read(&headers), headers }
    }

    /// The names in the headers of a web request; cheap, as header values are shared.
    pub(crate) fn of_web(headers: &HeaderMap) -> Self {
        Self::Web(Box::new(WebCaller {
            execution: headers.get(EXECUTION_ID).cloned(),
            trace_name: given_trace_id(headers).cloned(),
            trace: TraceContext::read(headers),
            key: headers.get(IDEMPOTENCY_KEY).cloned(),
        }))
    }

    /// The execution's id.
    pub(crate) fn execution_id(&self) -> &str {
        match self {
            // Requests without one were refused.
            Self::Http { headers, .. } => text(headers, &EXECUTION_ID).unwrap_or_default(),
            Self::Framed(caller) => ascii(&caller.execution),
            Self::Web(caller) => text_of(caller.execution.as_ref()).unwrap_or_default(),
        }
    }

    /// The trace id: the one that was given, or else that of the `traceparent`.
    pub(crate) fn trace_id(&self) -> Option<&str> {
        match self {
            Self::Http { headers, trace } => given_trace_id(headers)
                .and_then(|id| id.to_str().ok())
                .or_else(|| trace.as_ref().map(TraceContext::trace_id)),
            Self::Framed(caller) => caller.name.as_deref().or_else(|| caller.trace_id()),
            Self::Web(caller) => {
                let own = || caller.trace.as_ref().map(TraceContext::trace_id);
                text_of(caller.trace_name.as_ref()).or_else(own)
            }
        }
    }

    /// The W3C `traceparent`.
    pub(crate) fn traceparent(&self) -> Option<&str> {
        match self {
            Self::Http { trace, .. } => trace.as_ref()?.parent().to_str().ok(),
            Self::Framed(caller) => {
                let own = || caller.has_trace.then(|| ascii(&caller.parent));
                caller.later_parent.as_deref().or_else(own)
            }
            Self::Web(caller) => text_of(caller.trace.as_ref().map(TraceContext::parent)),
        }
    }

    /// The `tracestate` that goes with it.
    pub(crate) fn tracestate(&self) -> Option<&str> {
        match self {
            Self::Http { trace, .. } => trace.as_ref()?.state()?.to_str().ok(),
            Self::Framed(caller) => caller.state.as_deref().filter(|_| caller.has_trace),
            Self::Web(caller) => text_of(caller.trace.as_ref().and_then(TraceContext::state)),
        }
    }

    /// The client's idempotency key.
    pub(crate) fn idempotency_key(&self) -> Option<&str> {
        match self {
            Self::Http { headers, .. } => text(headers, &IDEMPOTENCY_KEY),
            Self::Framed(caller) => caller.key.as_deref(),
            Self::Web(caller) => text_of(caller.key.as_ref()),
        }
    }

    /// The ids that log lines carry.
    pub(crate) fn ids(&self) -> Ids {
        match self {
            Self::Http { headers, .. } => Ids::of(headers),
            Self::Framed(caller) => Ids {
                execution: Some(IdText::Execution(caller.execution)),
                trace: match (&caller.name, caller.trace_id()) {
                    (Some(name), _) => HeaderValue::from_str(name).ok().map(IdText::Header),
                    (None, Some(id)) => id.as_bytes().first_chunk().map(|id| IdText::Trace(*id)),
                    (None, None) => None,
                },
            },
            Self::Web(caller) => Ids {
                execution: caller.execution.clone().map(IdText::Header),
                trace: self.trace_id().and_then(|id| HeaderValue::from_str(id).ok()).map(IdText::Header),
            },
        }
    }
}

/// The ids that log lines carry.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ids {
    execution: Option<IdText>,
    trace: Option<IdText>,
}

/// An id, of a header or made of a frame.
#[derive(Clone, Debug)]
enum IdText {
    Header(HeaderValue),
    Execution([u8; 40]),
    Trace([u8; 32]),
}

impl IdText {
    fn as_str(&self) -> Option<&str> {
        match self {
            Self::Header(value) => value.to_str().ok(),
            Self::Execution(digits) => Some(ascii(digits)),
            Self::Trace(digits) => Some(ascii(digits)),
        }
    }
}

impl Ids {
    /// Takes the ids out of a request's headers; cheap, as header values are shared.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let execution = headers.get(EXECUTION_ID).cloned().map(IdText::Header);
        Self { execution, trace: trace_id(headers) }
    }

    /// The ids of an execution of which only its own is known.
    pub(crate) fn of_execution(id: &str) -> Self {
        Self { execution: HeaderValue::from_str(id).ok().map(IdText::Header), trace: None }
    }

    /// The id of the same execution, and the trace of a request.
    pub(crate) fn with_trace_of(&self, headers: &HeaderMap) -> Self {
        Self { execution: self.execution.clone(), trace: trace_id(headers) }
    }

    pub(crate) fn execution(&self) -> &str {
        self.execution.as_ref().and_then(IdText::as_str).unwrap_or("-")
    }

    pub(crate) fn trace(&self) -> &str {
        self.trace.as_ref().and_then(IdText::as_str).unwrap_or("-")
    }
}

/// The `X-Execution-Id` of a request.
pub(crate) fn execution_header(headers: &HeaderMap) -> Option<&HeaderValue> {
    headers.get(EXECUTION_ID)
}

/// The `X-Trace-Id` of a request, where it says something.
fn given_trace_id(headers: &HeaderMap) -> Option<&HeaderValue> {
    headers.get(TRACE_ID).filter(|id| id.to_str().is_ok_and(|id| !id.is_empty()))
}

/// The trace id of a request; one that was given is shared.
fn trace_id(headers: &HeaderMap) -> Option<IdText> {
    let given = given_trace_id(headers).cloned();
    let own = || HeaderValue::from_str(TraceContext::read(headers)?.trace_id()).ok();
    given.or_else(own).map(IdText::Header)
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    text_of(headers.get(name))
}

/// A header's value, where it is a text.
fn text_of(value: Option<&HeaderValue>) -> Option<&str> {
    value?.to_str().ok()
}

/// Bytes that are ASCII.
fn ascii(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap_or_default()
}

/// Writes two lower-case digits for each byte.
pub(crate) fn write_hex(out: &mut [u8], bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, byte) in out.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 0xf)]]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> RequestHead {
        RequestHead {
            execution_id: [0x1f; 20],
            trace_id: [0x2e; 16],
            parent_span_id: [0x3d; 8],
            trace_flags: 1,
            attempt: 1,
            deadline_ms: 1,
        }
    }

    #[test]
    fn a_frame_gives_the_texts_that_headers_would_have() {
        let caller = Caller::Framed(Box::new(FramedCaller::new(&head(), &Fields::default())));
        assert_eq!(caller.execution_id(), "1f".repeat(20));
        assert_eq!(caller.trace_id(), Some(&*"2e".repeat(16)));
        let parent = format!("00-{}-{}-01", "2e".repeat(16), "3d".repeat(8));
        assert_eq!(caller.traceparent(), Some(&*parent));
        assert_eq!((caller.tracestate(), caller.idempotency_key()), (None, None));
        let ids = caller.ids();
        assert_eq!((ids.execution(), ids.trace()), (&*"1f".repeat(20), &*"2e".repeat(16)));
    }

    #[test]
    fn a_trace_of_zeros_is_none() {
        let head = RequestHead { trace_id: [0; 16], ..head() };
        let caller = Caller::Framed(Box::new(FramedCaller::new(&head, &Fields::default())));
        assert_eq!((caller.trace_id(), caller.traceparent(), caller.ids().trace()), (None, None, "-"));
    }
}
