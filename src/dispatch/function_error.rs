//! Errors that functions answer, of an instance as of a process that posts.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::error::{ErrorCode, ErrorSource};
use crate::store::attempt_result::Outcome;
use crate::store::execution_error::ExecutionError;

/// Word of a function on whether another attempt may mend its error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finality {
    /// It would not.
    Final,
    /// It says nothing, and the status decides.
    ByStatus,
}

impl Finality {
    /// Reads the member `retryable` of an error: only `false` says something.
    pub(super) fn read(retryable: Option<&RawValue>) -> Self {
        if retryable.is_some_and(|value| value.get() == "false") { Self::Final } else { Self::ByStatus }
    }
}

/// The outcome that a function's own error means, by the status (400 … 599) that it came with, unless it is final.
/// `own` makes the error that is answered with a status.
pub(super) fn outcome_of_error(status: u16, own: impl FnOnce(u16) -> (ExecutionError, Finality)) -> Outcome {
    let is_answer = (400..=499).contains(&status);
    let (error, finality) = own(if is_answer || status == 504 { status } else { 500 });
    if is_answer || finality == Finality::Final { Outcome::Refused(error) } else { Outcome::Failed(error) }
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
