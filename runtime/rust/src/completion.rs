//! The result that a JOB posts.

use bytes::Bytes;
use serde::Serialize;

use crate::failure::Failure;
use crate::response::{ErrorDetail, shortened};

/// `{"success","output","error","status"}`, with the text of the output as it is.
#[derive(Debug, Default)]
pub(crate) struct Completion {
    before: Bytes,
    output: Bytes,
    after: Bytes,
}

#[derive(Serialize)]
struct FailureBody<'a> {
    success: bool,
    output: (),
    error: ErrorDetail<'a>,
    status: u16,
}

impl Completion {
    /// The result of an output as JSON.
    pub(crate) fn success(output: Bytes) -> Self {
        Self {
            before: Bytes::from_static(b"{\"success\":true,\"output\":"),
            output,
            after: Bytes::from_static(b",\"error\":null,\"status\":200}"),
        }
    }

    /// The result of a failure and its message for the client.
    pub(crate) fn failure(failure: &Failure, message: &str) -> Self {
        let message = shortened(message);
        let error = ErrorDetail::of(failure, &message);
        let body = FailureBody { success: false, output: (), error, status: failure.status().as_u16() };
        let before = serde_json::to_vec(&body).expect("strings, a boolean and a number are always JSON");
        Self { before: before.into(), ..Self::default() }
    }

    /// The body of a request, in pieces to be sent as one.
    pub(crate) fn pieces(&self) -> [&[u8]; 3] {
        [&self.before, &self.output, &self.after]
    }
}
