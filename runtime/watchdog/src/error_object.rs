//! The error object with which a program names its failure, and its exit status.

use std::process::ExitStatus;

use picofaas_runtime::HandlerError;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::exit_reason::ExitReason;
use crate::last_line::LastLine;
use crate::memory::Memory;

/// The exit status of a program that cannot take its input, as sysexits.h has it (EX_DATAERR).
const INPUT_REFUSED: i32 = 65;

/// The exit status of a program that failed for a reason of its own that another attempt would not mend, as
/// sysexits.h has it (EX_SOFTWARE).
const FAILED_FOR_GOOD: i32 = 70;

const BAD_INPUT: &str = "BAD_INPUT";
const HANDLER_ERROR: &str = "HANDLER_ERROR";
const HANDLER_TIMEOUT: &str = "HANDLER_TIMEOUT";

/// `{"error":{"code","message","status","retryable"}}`, of which only the message is required.
#[derive(Debug, Deserialize)]
pub(crate) struct ErrorObject {
    pub(crate) error: ErrorDetail,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ErrorDetail {
    status: Option<u16>,
    code: Option<String>,
    pub(crate) message: String,
    /// Another attempt would fail in the same way.
    #[serde(rename = "retryable", default, deserialize_with = "is_false")]
    is_final: bool,
}

impl ErrorDetail {
    /// As an error, with a status for where the program chose none itself.
    pub(crate) fn into_error(self, status: u16) -> HandlerError {
        let status = self.status.filter(|chosen| (400..=599).contains(chosen)).unwrap_or(status);
        self.into_error_of(status)
    }

    /// As an error, with a status that says more than one in the object.
    pub(crate) fn into_error_of(self, status: u16) -> HandlerError {
        let Self { status: _, code, message, is_final } = self;
        let code = code.unwrap_or_else(|| default_code(status).to_owned());
        let error = HandlerError::new(status, code, message);
        if is_final { error.not_retryable() } else { error }
    }
}

/// Whether a value of any type is `false`.
fn is_false<'de, D: Deserializer<'de>>(value: D) -> Result<bool, D::Error> {
    Ok(Box::<RawValue>::deserialize(value)?.get() == "false")
}

/// The code of a failure whose status is all that is known.
pub(crate) fn default_code(status: u16) -> &'static str {
    match status {
        400 => BAD_INPUT,
        504 => HANDLER_TIMEOUT,
        _ => HANDLER_ERROR,
    }
}

/// The failure of an exit status other than 0: an error object on standard output says it best, then
/// the last line of the log.
pub(crate) fn exit_error(
    status: ExitStatus,
    output: &[u8],
    last_line: LastLine,
    memory: &Memory,
) -> HandlerError {
    let refused = status.code() == Some(INPUT_REFUSED);
    let error = match serde_json::from_slice::<ErrorObject>(output) {
        Ok(fault) => fault.error.into_error(if refused { 400 } else { 500 }),
        Err(_) if refused => {
            let message = match last_line {
                LastLine::Shown(line) => line,
                LastLine::Nothing | LastLine::Withheld(_) => {
                    format!("the program refused its input{last_line}")
                }
            };
            HandlerError::new(400, BAD_INPUT, message)
        }
        Err(_) => ExitReason::of(status, memory).named("the program").error(&last_line),
    };
    if status.code() == Some(FAILED_FOR_GOOD) { error.not_retryable() } else { error }
}
