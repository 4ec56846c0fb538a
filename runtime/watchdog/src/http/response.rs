//! The response of a server as an output or a failure.

use picofaas_runtime::HandlerError;
use serde_json::value::RawValue;

use crate::error_object::{self, ErrorObject};
use crate::format::{OutputFormat, OutputPlace};
use crate::limits::ERROR_TEXT_BYTES_MAX;

/// A response of the server, read whole.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// The target of a redirect.
    pub(crate) location: Option<String>,
    /// `None` is too large.
    pub(crate) body: Option<Vec<u8>>,
}

impl Response {
    /// The output, or the failure, of an invocation whose output may have `output_max` bytes.
    pub(crate) fn read(self, form: OutputFormat, output_max: usize) -> Result<Box<RawValue>, HandlerError> {
        match self.status {
            204 => Ok(RawValue::NULL.to_owned()),
            200..=299 => match self.body {
                Some(body) => form.read(body, OutputPlace::Body),
                None => {
                    let message =
                        format!("the server's output is longer than {output_max} bytes (MAX_OUTPUT)");
                    Err(HandlerError::new(500, "OUTPUT_TOO_LARGE", message).not_retryable())
                }
            },
            400..=599 => Err(self.failure()),
            status => {
                let location = self.location.map(|to| format!(" with the location `{to}`"));
                let location = location.unwrap_or_default();
                let remedy = "give the path that answers itself in WATCHDOG_HTTP_PATH";
                Err(HandlerError::internal(format!(
                    "the server answered {status}{location}, which is neither an output nor an error: {remedy}"
                ))
                .not_retryable())
            }
        }
    }

    /// The failure of a response of 4xx or 5xx.
    fn failure(&self) -> HandlerError {
        let status = self.status;
        let body = self.body.as_deref().unwrap_or_default();
        if let Ok(fault) = serde_json::from_slice::<ErrorObject>(body) {
            return fault.error.into_error_of(status);
        }
        let text = String::from_utf8_lossy(&body[..body.len().min(ERROR_TEXT_BYTES_MAX)]);
        let text = text.trim_end_matches(char::REPLACEMENT_CHARACTER).trim();
        let message = match (&self.body, text) {
            (None, _) => {
                format!("the server answered {status} with a body that is longer than an output may be")
            }
            (Some(_), "") => format!("the server answered {status}"),
            (Some(_), text) => text.to_owned(),
        };
        HandlerError::new(status, error_object::default_code(status), message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, body: &[u8]) -> Result<String, String> {
        let response = Response { status, location: Some("/there".to_owned()), body: Some(body.to_vec()) };
        let output = response.read(OutputFormat::Json, 100);
        output.map(|output| output.get().to_owned()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_success_is_one_json_value_or_null() {
        assert_eq!(read(200, b" {\"a\": 1e400}\n").unwrap(), "{\"a\": 1e400}");
        assert_eq!(read(201, b"").unwrap(), "null");
        assert_eq!(read(204, b"").unwrap(), "null");
        assert!(read(200, b"<html>").unwrap_err().starts_with("500 BAD_OUTPUT: "));
    }

    #[test]
    fn an_error_keeps_its_status_and_what_it_says() {
        let object = br#"{"error":{"code":"MINE","message":"my own","status":200}}"#;
        assert_eq!(read(422, object).unwrap_err(), "422 MINE: my own");
        assert_eq!(read(400, br#"{"error":{"message":"m"}}"#).unwrap_err(), "400 BAD_INPUT: m");
        assert_eq!(read(400, b" not so\n").unwrap_err(), "400 BAD_INPUT: not so");
        assert_eq!(read(503, b"").unwrap_err(), "503 HANDLER_ERROR: the server answered 503");
        // A character that is cut is left out.
        let long = format!("x{}", "é".repeat(300));
        assert_eq!(
            read(500, long.as_bytes()).unwrap_err(),
            format!("500 HANDLER_ERROR: x{}", "é".repeat(99))
        );
        assert!(read(599, b"\xff\xfe").unwrap_err().starts_with("599 HANDLER_ERROR: "));
    }

    #[test]
    fn anything_else_is_a_failure_that_names_the_status_and_the_location() {
        let said = read(302, b"").unwrap_err();
        assert!(
            said.starts_with("500 HANDLER_ERROR: the server answered 302 with the location `/there`"),
            "{said}"
        );
        assert!(read(700, b"1").unwrap_err().contains("700"));
    }
}
