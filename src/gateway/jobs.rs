//! Calls of the processes of `JOB` functions on the runtime listener: their input and their result.
//!
//! A process has a token, which is good for one attempt. It fetches its input, which makes the
//! attempt's request written, and posts its result, which completes the attempt: whoever waits is
//! answered at the post and not at the process's end.

use std::rc::Rc;

use bytes::Bytes;
use hyper::Response;
use hyper::header::{AUTHORIZATION, CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Gateway;
use super::body::{BodySource, BodyWasTooLarge};
use super::calls::RequestHead;
use crate::api::response;
use crate::api::response::Body;
use crate::channel;
use crate::clock::NANOS_PER_MS;
use crate::dispatch::pool::attempt;
use crate::dispatch::pool::attempt::{AttemptResult, Outcome};
use crate::error::{ApiError, ErrorCode};
use crate::id::{ExecutionId, Token};
use crate::store::execution_error::ExecutionError;
use crate::store::running_attempt::{JobSignal, RunningAttempt};

/// Bytes that a posted result may have beside its output.
const RESULT_ENVELOPE_BYTES_MAX: usize = 64 * 1024;
const X_EXECUTION_ID: HeaderName = HeaderName::from_static("x-execution-id");
const X_TRACE_ID: HeaderName = HeaderName::from_static("x-trace-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const X_ATTEMPT: HeaderName = HeaderName::from_static("x-attempt");
const X_DEADLINE_MS: HeaderName = HeaderName::from_static("x-deadline-ms");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const X_INIT_DURATION_MS: HeaderName = HeaderName::from_static("x-init-duration-ms");

/// A result as it is posted. Other fields are left for later versions of the contract.
#[derive(Deserialize)]
struct PostedResult<'a> {
    success: bool,
    #[serde(borrow, default)]
    output: Option<&'a RawValue>,
    #[serde(default)]
    error: Option<PostedError>,
    /// The status that the runtime would have answered to `POST /invoke`.
    #[serde(default)]
    status: Option<u16>,
}

#[derive(Deserialize)]
struct PostedError {
    code: String,
    #[serde(default)]
    message: String,
}

impl Gateway {
    /// `GET /v1/internal/executions/{id}/input`: body and headers as `POST /invoke` brings them.
    pub fn job_input(self: &Rc<Self>, id: &str, headers: &HeaderMap) -> Response<Body> {
        let id = match self.authorize(id, headers) {
            Ok(id) => id,
            Err(error) => return response::error(&error),
        };
        let now = self.clock.now();
        let input = self.with_execution(id.ticket, |execution| {
            execution.timestamps.written = now;
            let mut response = response::json(200, execution.payload.clone());
            let headers = response.headers_mut();
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            let mut put = |name, value: &[u8]| {
                // Each came as a header, or is made of digits.
                if let Ok(value) = HeaderValue::from_bytes(value) {
                    headers.insert(name, value);
                }
            };
            put(X_EXECUTION_ID, &id.text());
            let mut text = Vec::with_capacity(64);
            execution.trace.write_id(&mut text);
            put(X_TRACE_ID, &text);
            text.clear();
            execution.trace.write_parent(&mut text);
            put(TRACEPARENT, &text);
            put(X_ATTEMPT, execution.attempt.to_string().as_bytes());
            put(X_DEADLINE_MS, execution.time_left_ms(now).to_string().as_bytes());
            if let Some(key) = &execution.idempotency_key {
                put(IDEMPOTENCY_KEY, &key.key);
            }
            response
        });
        // The execution stays in the store until its attempt has ended.
        input.unwrap_or_else(|| {
            response::error(&ApiError::new(ErrorCode::Internal, "the record of the execution was lost"))
        })
    }

    /// `POST /v1/internal/executions/{id}:complete`.
    pub async fn complete_job(
        self: &Rc<Self>,
        id: &str,
        headers: &HeaderMap,
        body: BodySource,
    ) -> Response<Body> {
        match self.take_result(id, headers, body).await {
            Ok(()) => response::no_content(),
            Err(error) => response::error(&error),
        }
    }

    async fn take_result(
        self: &Rc<Self>,
        id: &str,
        headers: &HeaderMap,
        body: BodySource,
    ) -> Result<(), ApiError> {
        // Before its body is read, lest anybody who knows no token sends a large one.
        let execution_id = self.authorize(id, headers).map_err(ApiError::closing)?;
        let most = self.output_max();
        let read = self.read_body_of(body, self.result_max()).await;
        let (outcome, refused) = match read {
            Ok(body) => (outcome(&body, most)?, None),
            Err(error) if error.code == ErrorCode::BodyTooLarge => (too_large(most), Some(error)),
            Err(error) => return Err(error),
        };
        // The attempt may have ended while the body came.
        self.authorize(id, headers)?;
        let init_ms =
            headers.get(X_INIT_DURATION_MS).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        let result = AttemptResult {
            outcome,
            cold_start: true,
            init_ns: init_ms.map(|ms| ms.saturating_mul(NANOS_PER_MS)),
            answered: self.clock.now(),
        };
        if let Some((RunningAttempt::Process(signal), how)) = self.complete(execution_id.ticket, result) {
            channel::answer(signal, JobSignal::Posted(how));
        }
        refused.map_or(Ok(()), Err)
    }

    /// `POST /v1/internal/executions/{id}:complete` of an execution that another gateway owns. Only
    /// the owner knows its tokens, so the body is read first, within the same limits.
    pub(super) async fn pass_result(
        &self,
        owner: usize,
        head: RequestHead<'_>,
        body: BodySource,
    ) -> Response<Body> {
        match self.read_body_of(body, self.result_max()).await {
            Ok(body) => self.ask_gateway(owner, head, body).await,
            // Only the owner can settle the attempt, so it is told.
            Err(error) if error.code == ErrorCode::BodyTooLarge => {
                let mut parts = head.parts.clone();
                parts.extensions.insert(BodyWasTooLarge);
                self.ask_gateway(owner, RequestHead { parts: &parts, ..head }, Bytes::new()).await
            }
            Err(error) => response::error(&error),
        }
    }

    /// The largest result that can be posted, in bytes.
    fn result_max(&self) -> usize {
        self.output_max().saturating_add(RESULT_ENVELOPE_BYTES_MAX)
    }

    /// The execution whose attempt is running and has the token that was sent.
    fn authorize(&self, id: &str, headers: &HeaderMap) -> Result<ExecutionId, ApiError> {
        let unauthorized = || {
            ApiError::new(
                ErrorCode::Unauthorized,
                "Authorization must be `Bearer` and the PICOFAAS_TOKEN of this execution's attempt",
            )
        };
        let token = token(headers).ok_or_else(unauthorized)?;
        let id = self.find(id)?;
        let error = self.with_execution(id.ticket, |execution| {
            let Some(at) = execution.tokens.iter().position(|known| *known == token) else {
                return Some(unauthorized());
            };
            // The last token may be that of an attempt before a version that has instances.
            let has_process = matches!(execution.running_attempt, Some(RunningAttempt::Process(_)));
            let is_current = has_process && at + 1 == execution.tokens.len();
            let error = if execution.has_ended() {
                ApiError::new(ErrorCode::AlreadyTerminal, "the execution has ended; there is nothing to do")
            } else if !is_current {
                ApiError::new(ErrorCode::AttemptSuperseded, "this attempt is over; there is nothing to do")
            } else {
                return None;
            };
            self.metrics(&execution.entry).late_results.add_one();
            Some(error)
        });
        match error {
            Some(None) => Ok(id),
            Some(Some(error)) => Err(error),
            None => Err(unauthorized()),
        }
    }
}

/// The token that a call of the runtime listener carries; `None` where it has none, or what is none.
pub(super) fn token(headers: &HeaderMap) -> Option<Token> {
    let text = headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?;
    Token::parse(text.trim())
}

/// The outcome that a posted result means; `most` is the largest output, in bytes.
fn outcome(body: &[u8], most: usize) -> Result<Outcome, ApiError> {
    let wrong = |message: String| ApiError::new(ErrorCode::InvalidCompletion, message);
    let posted: PostedResult<'_> = serde_json::from_slice(body).map_err(|error| {
        wrong(format!("the body must be {{\"success\",\"output\",\"error\",\"status\"}}: {error}"))
    })?;
    match (posted.success, posted.status) {
        (true, None | Some(200..=299)) => {
            let output = posted.output.map_or("null", RawValue::get).as_bytes();
            if output.len() > most {
                return Ok(too_large(most));
            }
            // A copy, because a slice would hold on to the whole buffer that the body came in.
            Ok(Outcome::Output(Bytes::copy_from_slice(output)))
        }
        (false, status @ (None | Some(400..=599))) => {
            let status = status.unwrap_or(500);
            let own = |http| match &posted.error {
                Some(error) => attempt::named_error(&error.code, &error.message, http),
                None => ExecutionError { http, ..attempt::unnamed_error(http, "no error was posted") },
            };
            Ok(attempt::by_status(status, own))
        }
        (success, status) => Err(wrong(format!(
            "success {success} and status {status:?} do not go together; a success has a 2xx, a failure a 4xx or 5xx"
        ))),
    }
}

fn too_large(most: usize) -> Outcome {
    Outcome::Refused(ExecutionError::new(
        ErrorCode::OutputTooLarge,
        format!("the output is larger than {most} bytes; return less, or raise --max-output"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<Outcome, ErrorCode> {
        outcome(body.as_bytes(), 16).map_err(|error| error.code)
    }

    #[test]
    fn a_success_is_its_output_as_it_was_written() {
        for (body, output) in [
            (r#"{"success":true,"output":{ "a": 1.50 },"status":200}"#, r#"{ "a": 1.50 }"#),
            (r#"{"success":true,"output":null,"error":null}"#, "null"),
            (r#"{"success":true}"#, "null"),
        ] {
            match read(body) {
                Ok(Outcome::Output(bytes)) => assert_eq!(bytes, output.as_bytes(), "{body}"),
                other => panic!("{body}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_failure_is_repeated_or_not_as_its_status_says() {
        let failed = |status: u16| {
            read(&format!(r#"{{"success":false,"error":{{"code":"C","message":"m"}},"status":{status}}}"#))
        };
        assert!(matches!(failed(422), Ok(Outcome::Refused(f)) if f.http == 422 && f.code == "C"));
        assert!(matches!(failed(500), Ok(Outcome::Failed(f)) if f.http == 500 && f.message == "m"));
        assert!(matches!(failed(503), Ok(Outcome::Failed(f)) if f.http == 500));
        assert!(matches!(failed(504), Ok(Outcome::Failed(f)) if f.http == 504));
        assert!(matches!(read(r#"{"success":false}"#), Ok(Outcome::Failed(f)) if f.code == "HANDLER_ERROR"));
    }

    #[test]
    fn what_contradicts_itself_is_refused_and_what_is_too_large_is_an_end() {
        for body in [
            r#"{"success":true,"status":500}"#,
            r#"{"success":false,"status":200}"#,
            r#"{"success":false,"status":99}"#,
            r#"{"output":1}"#,
            "[]",
            "",
            "{\"success\":true,\"output\":\"\u{1}\"}",
        ] {
            assert!(matches!(read(body), Err(ErrorCode::InvalidCompletion)), "{body}");
        }
        let long = format!(r#"{{"success":true,"output":"{}"}}"#, "x".repeat(16));
        assert!(matches!(read(&long), Ok(Outcome::Refused(f)) if f.code == "OUTPUT_TOO_LARGE"));
    }
}
