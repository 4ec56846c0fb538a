//! What a JOB says about its invocation when it is over.

use bytes::Bytes;
use serde::Serialize;

use crate::answer::{ErrorDetail, shortened};
use crate::failure::Failure;

/// `{"success","output","error","status"}`, with an output that is the text it already is.
#[derive(Debug, Default)]
pub(crate) struct Completion {
    before: Bytes,
    output: Bytes,
    after: Bytes,
}

#[derive(Serialize)]
struct Failed<'a> {
    success: bool,
    output: (),
    error: ErrorDetail<'a>,
    status: u16,
}

impl Completion {
    /// Of an output as JSON.
    pub(crate) fn success(output: Bytes) -> Self {
        Self {
            before: Bytes::from_static(b"{\"success\":true,\"output\":"),
            output,
            after: Bytes::from_static(b",\"error\":null,\"status\":200}"),
        }
    }

    /// Of a failure and its message for the client.
    pub(crate) fn failure(failure: &Failure, message: &str) -> Self {
        let error = ErrorDetail { code: failure.code(), message: &shortened(message) };
        let failed = Failed { success: false, output: (), error, status: failure.status().as_u16() };
        let before = serde_json::to_vec(&failed).expect("strings and a number are always JSON");
        Self { before: before.into(), ..Self::default() }
    }

    /// The body of a request, in pieces to be sent as one.
    pub(crate) fn pieces(&self) -> [&[u8]; 3] {
        [&self.before, &self.output, &self.after]
    }
}
