//! The headers that say how a body is to be read, and how a call is to be carried out.

use hyper::header::{HeaderMap, HeaderValue};
use picofaas_trace_context::TraceContext;

use crate::error::{ApiError, ErrorCode, excerpt};

/// Longest `Idempotency-Key`, in bytes.
const KEY_BYTES_MAX: usize = 255;

/// The headers of a call, found in one pass. Of one that is there several times, the first counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallHeaders<'a> {
    all: &'a HeaderMap,
    content_encoding: Option<&'a HeaderValue>,
    content_type: Option<&'a HeaderValue>,
    timeout_ms: Option<&'a HeaderValue>,
    idempotency_key: Option<&'a HeaderValue>,
    trace_id: Option<&'a HeaderValue>,
    has_traceparent: bool,
}

impl<'a> CallHeaders<'a> {
    /// The headers of a call among all of a request.
    #[must_use]
    pub(crate) fn read(all: &'a HeaderMap) -> Self {
        let mut found = Self {
            all,
            content_encoding: None,
            content_type: None,
            timeout_ms: None,
            idempotency_key: None,
            trace_id: None,
            has_traceparent: false,
        };
        for (name, value) in all {
            let place = match name.as_str() {
                "content-encoding" => &mut found.content_encoding,
                "content-type" => &mut found.content_type,
                "x-timeout-ms" => &mut found.timeout_ms,
                "idempotency-key" => &mut found.idempotency_key,
                "x-trace-id" => &mut found.trace_id,
                "traceparent" => {
                    found.has_traceparent = true;
                    continue;
                }
                _ => continue,
            };
            place.get_or_insert(value);
        }
        found
    }

    /// Checks that the body is JSON. No content type means that, and the body is read as it comes.
    ///
    /// # Errors
    /// `UNSUPPORTED_MEDIA_TYPE`.
    pub(crate) fn check_content_type(&self) -> Result<(), ApiError> {
        if let Some(value) = self.content_encoding
            && !value.as_bytes().eq_ignore_ascii_case(b"identity")
        {
            return Err(ApiError::new(
                ErrorCode::UnsupportedMediaType,
                format!(
                    "Content-Encoding \"{}\" is not understood; send the body as it is, without one",
                    told(value)
                ),
            ));
        }
        let Some(value) = self.content_type else { return Ok(()) };
        if value == "application/json" {
            return Ok(());
        }
        let essence = value.to_str().unwrap_or("").split(';').next().unwrap_or("").trim();
        if essence.eq_ignore_ascii_case("application/json") {
            return Ok(());
        }
        Err(ApiError::new(
            ErrorCode::UnsupportedMediaType,
            format!(
                "Content-Type \"{}\" is not understood; send JSON with Content-Type: application/json, or none; other bodies go to a function with `web`, at /fn/{{name}}",
                told(value)
            ),
        ))
    }

    /// The `X-Timeout-Ms`.
    ///
    /// # Errors
    /// `BAD_REQUEST`.
    pub(crate) fn timeout_ms(&self) -> Result<Option<u64>, ApiError> {
        let Some(value) = self.timeout_ms else { return Ok(None) };
        match value.to_str().ok().and_then(|text| text.parse::<u64>().ok()) {
            Some(ms) if ms > 0 => Ok(Some(ms)),
            _ => Err(ApiError::new(
                ErrorCode::BadRequest,
                format!("X-Timeout-Ms \"{}\" is not a number of milliseconds of at least 1", told(value)),
            )),
        }
    }

    /// The `Idempotency-Key`.
    ///
    /// # Errors
    /// `BAD_REQUEST`.
    pub(crate) fn idempotency_key(&self) -> Result<Option<&'a HeaderValue>, ApiError> {
        match self.idempotency_key {
            Some(value) if value.is_empty() || value.len() > KEY_BYTES_MAX => Err(ApiError::new(
                ErrorCode::BadRequest,
                format!("Idempotency-Key has {} bytes; it must have 1 … {KEY_BYTES_MAX}", value.len()),
            )),
            other => Ok(other),
        }
    }

    /// The `X-Trace-Id`.
    #[must_use]
    pub(crate) fn trace_id(&self) -> Option<&'a HeaderValue> {
        self.trace_id
    }

    /// The trace context, where there is a valid one.
    #[must_use]
    pub(crate) fn trace_context(&self) -> Option<TraceContext> {
        self.has_traceparent.then(|| TraceContext::read(self.all)).flatten()
    }
}

/// The value of a header, as a message has it.
fn told(value: &HeaderValue) -> String {
    excerpt(&String::from_utf8_lossy(value.as_bytes()))
}
