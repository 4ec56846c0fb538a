//! The result of an attempt, as its process posts it: `gateway::job_calls` receives it.

use bytes::Bytes;
use hyper::header::{HeaderMap, HeaderName};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::clock::{NANOS_PER_MS, Nanos};
use crate::dispatch::function_error::{Finality, beginning, named_error, outcome_of_error, unnamed_error};
use crate::error::{ApiError, ErrorCode};
use crate::store::attempt_result::{AttemptResult, Outcome};
use crate::store::execution_error::ExecutionError;

/// Bytes that a posted result may have beside its output.
const RESULT_ENVELOPE_BYTES_MAX: usize = 64 * 1024;
const X_INIT_DURATION_MS: HeaderName = HeaderName::from_static("x-init-duration-ms");

/// A result as it is posted. Other fields are left for later versions of the contract.
#[derive(Deserialize)]
struct PostedResult<'a> {
    success: bool,
    #[serde(borrow, default)]
    output: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<PostedError<'a>>,
    /// The status that the runtime would have answered to `POST /invoke`.
    #[serde(default)]
    status: Option<u16>,
}

#[derive(Deserialize)]
struct PostedError<'a> {
    code: String,
    #[serde(default)]
    message: String,
    #[serde(borrow, default)]
    retryable: Option<&'a RawValue>,
}

/// Largest result that can be posted, in bytes.
#[must_use]
pub(crate) fn result_bytes_max(output_max: usize) -> usize {
    output_max.saturating_add(RESULT_ENVELOPE_BYTES_MAX)
}

/// The outcome that a post means, and the error that it is answered with though it has settled the attempt.
///
/// # Errors
/// Where it settles nothing: `INVALID_COMPLETION`, or the body could not be read.
pub(crate) fn outcome_of_post(
    body: Result<Bytes, ApiError>,
    output_max: usize,
) -> Result<(Outcome, Option<ApiError>), ApiError> {
    match body {
        Ok(body) => Ok((outcome(&body, output_max)?, None)),
        Err(error) if error.code == ErrorCode::BodyTooLarge => Ok((too_large(output_max), Some(error))),
        Err(error) => Err(error),
    }
}

/// The result of an attempt that was posted at `now` with these headers.
#[must_use]
pub(crate) fn posted_result(outcome: Outcome, headers: &HeaderMap, now: Nanos) -> AttemptResult {
    let init_ms = headers.get(X_INIT_DURATION_MS).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    AttemptResult {
        outcome,
        cold_start: true,
        standby: false,
        init_ns: init_ms.map(|ms| ms.saturating_mul(NANOS_PER_MS)),
        first_byte: 0,
        answered: now,
    }
}

/// The outcome that a posted result means; `most` is the largest output, in bytes.
fn outcome(body: &[u8], most: usize) -> Result<Outcome, ApiError> {
    let wrong = |message: String| ApiError::new(ErrorCode::InvalidCompletion, message);
    let posted: PostedResult<'_> = serde_json::from_slice(body).map_err(|error| {
        wrong(format!(
            "the body must be {{\"success\",\"output\",\"error\",\"status\"}}: {error}; it begins with {}",
            beginning(body)
        ))
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
                Some(error) => {
                    (named_error(&error.code, &error.message, http), Finality::read(error.retryable))
                }
                None => (unnamed_error(http, "no error was posted"), Finality::ByStatus),
            };
            Ok(outcome_of_error(status, own))
        }
        (success, Some(status)) => Err(wrong(format!(
            "success {success} and status {status} do not go together; a success has a 2xx, a failure a 4xx or 5xx"
        ))),
    }
}

/// The error of a process that ends after it has posted what is no result, and nothing else: another would post the
/// same.
#[must_use]
pub(crate) fn no_result(refused: &ApiError) -> ExecutionError {
    let text = format!("the process posted what is no result, and nothing else: {}", refused.message);
    ExecutionError::new(ErrorCode::OutputNotJson, text)
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
    fn a_failure_that_is_final_is_not_repeated_whatever_its_status() {
        let failed = |retryable: &str, status: u16| {
            let error = format!(r#"{{"code":"C","message":"m"{retryable}}}"#);
            read(&format!(r#"{{"success":false,"error":{error},"status":{status}}}"#))
        };
        for status in [500, 503, 504] {
            let is_final = failed(r#","retryable":false"#, status);
            assert!(
                matches!(is_final, Ok(Outcome::Refused(f)) if f.http == if status == 504 { 504 } else { 500 })
            );
            for other in ["", r#","retryable":true"#, r#","retryable":null"#, r#","retryable":0"#] {
                assert!(matches!(failed(other, status), Ok(Outcome::Failed(_))), "{other}");
            }
        }
        assert!(matches!(failed(r#","retryable":true"#, 422), Ok(Outcome::Refused(_))));
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
        let printed = outcome(b"starting up\n{\"success\":true}", 16).unwrap_err().message;
        assert!(printed.ends_with("it begins with \"starting up\\n{\\\"success\\\":true}\""), "{printed}");
        let long = format!(r#"{{"success":true,"output":"{}"}}"#, "x".repeat(16));
        assert!(matches!(read(&long), Ok(Outcome::Refused(f)) if f.code == "OUTPUT_TOO_LARGE"));
    }
}
