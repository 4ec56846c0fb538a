//! The error of an execution that failed.

use std::borrow::Cow;

use crate::error::{ErrorCode, ErrorSource};

/// The error of an execution that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecutionError {
    /// One of ours, or the function's own.
    pub code: Cow<'static, str>,
    /// For people.
    pub message: Cow<'static, str>,
    /// The HTTP status of the answer.
    pub http: u16,
    /// The side that is to blame.
    pub source: ErrorSource,
}

impl ExecutionError {
    /// An error of one of our codes.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code: code.as_str().into(),
            message: message.into(),
            http: code.status(),
            source: code.source(),
        }
    }
}
