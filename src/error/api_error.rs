//! The error that a client is told.

use std::borrow::Cow;

use super::{ErrorCode, FieldError};

/// An error that a client is told instead of what it asked for, and when it may come back.
#[derive(Clone, Debug)]
pub struct ApiError {
    /// The stable code of the error.
    pub code: ErrorCode,
    /// A sentence with the remedy.
    pub message: Cow<'static, str>,
    /// The error of each field, where there can be several.
    pub details: Vec<FieldError>,
    /// Seconds after which it may work, for 429 and 503.
    pub retry_after_s: Option<u32>,
    /// The rest of the request was not read: the connection is closed after the answer.
    pub close: bool,
    /// The methods that the path has, for 405.
    pub allow: Option<&'static str>,
}

impl ApiError {
    /// An error with a message and nothing else.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
            details: Vec::new(),
            retry_after_s: None,
            close: false,
            allow: None,
        }
    }

    /// For a name that is not registered while the functions of the cluster were not read yet: it may be one
    /// of them.
    #[must_use]
    pub fn unread_function(name: &str) -> Self {
        Self::unread(&format!(", and {name:?} may be one of them"))
    }

    /// For the name of a function that is not registered.
    #[must_use]
    pub fn unknown_function(name: &str) -> Self {
        let message = format!("there is no function {name:?}; GET /v1/functions lists those there are");
        Self::new(ErrorCode::FunctionNotFound, message)
    }

    /// For the name of a function that is being built for the first time.
    #[must_use]
    pub fn building_function(name: &str) -> Self {
        let message = format!("the function {name:?} is being built and was not served before; try again");
        Self::new(ErrorCode::FunctionBuilding, message).retry_after(1)
    }

    /// For the name of a function of which no build has succeeded; with the failure of the last one.
    #[must_use]
    pub fn unbuilt_function(name: &str, failure: &str) -> Self {
        let message =
            format!("the build of the function {name:?} failed: {failure}; save a change to build it again");
        Self::new(ErrorCode::FunctionBuildFailed, message).retry_after(1)
    }

    /// For what only the functions of the cluster would answer, before they are read. A process that was started
    /// anew is called at once by who knows its address.
    #[must_use]
    pub fn unread(and_so: &str) -> Self {
        let message = format!("the functions of the cluster were not read yet{and_so}; try again");
        Self::new(ErrorCode::ControlBusy, message).retry_after(1)
    }

    /// With the errors of its fields listed.
    #[must_use]
    pub fn with_details(mut self, details: Vec<FieldError>) -> Self {
        self.details = details;
        self
    }

    /// With the time after which it may work.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// With the methods that are allowed, separated by commas.
    #[must_use]
    pub fn allowing(mut self, methods: &'static str) -> Self {
        self.allow = Some(methods);
        self
    }

    /// And the connection ends with the answer.
    #[must_use]
    pub fn closing(mut self) -> Self {
        self.close = true;
        self
    }
}
