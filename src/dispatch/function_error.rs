//! Errors that functions answer, of an instance as of a process that posts.

use std::borrow::Cow;

use crate::error::{ErrorCode, ErrorSource};
use crate::store::attempt_result::Outcome;
use crate::store::execution_error::ExecutionError;

/// The outcome that a function's own error means, by the status (400 … 599) that it came with.
/// `own` makes the error that is answered with a status.
pub(super) fn outcome_by_status(status: u16, own: impl FnOnce(u16) -> ExecutionError) -> Outcome {
    match status {
        400..=499 => Outcome::Refused(own(status)),
        504 => Outcome::Failed(own(504)),
        _ => Outcome::Failed(own(500)),
    }
}

/// Bytes that are kept of the code of a function's own error.
const CODE_BYTES_MAX: usize = 128;
/// Bytes that are kept of its message.
const MESSAGE_BYTES_MAX: usize = 4096;

/// The beginning of a text, at most so many bytes of it.
fn excerpt(text: &str, most: usize) -> String {
    let end = (0..=most.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text[..end].to_owned()
}

/// Bytes that a message shows of a body that is not what it should be.
const SHOWN_BYTES_MAX: usize = 200;

/// The beginning of a body that is not what it should be, as a text in quotes.
pub(super) fn beginning(body: &[u8]) -> String {
    let shown = String::from_utf8_lossy(&body[..body.len().min(SHOWN_BYTES_MAX)]);
    // A character that is cut is left out.
    format!("{:?}", shown.trim_end_matches(char::REPLACEMENT_CHARACTER))
}

/// The error that a function named itself.
pub(super) fn named_error(code: &str, message: &str, http: u16) -> ExecutionError {
    ExecutionError {
        code: excerpt(code, CODE_BYTES_MAX).into(),
        message: excerpt(message, MESSAGE_BYTES_MAX).into(),
        http,
        source: ErrorSource::Function,
    }
}

/// The error of a function that named none.
pub(super) fn unnamed_error(http: u16, message: impl Into<Cow<'static, str>>) -> ExecutionError {
    let code = if http == 504 { ErrorCode::HandlerTimeout } else { ErrorCode::HandlerError };
    ExecutionError { http, ..ExecutionError::new(code, message) }
}
