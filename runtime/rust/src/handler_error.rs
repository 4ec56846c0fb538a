//! The failure of a handler.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::{self, Display, Write as _};

/// The code of a failure whose handler chose none.
pub(crate) const HANDLER_ERROR: &str = "HANDLER_ERROR";

/// The code of a body that is not what it should be.
pub(crate) const BAD_INPUT: &str = "BAD_INPUT";

/// A handler's failure: a status, a stable code, and a message for the client.
///
/// `?` turns any [`std::error::Error`] into a 500 `HANDLER_ERROR` with that error's
/// text; its chain of sources goes to the log only. A status of 5xx lets the control
/// plane try again unless the error is [`not_retryable`](Self::not_retryable), one of 4xx
/// is the function's answer and is passed on.
#[derive(Debug)]
pub struct HandlerError {
    pub(crate) status: u16,
    pub(crate) code: Cow<'static, str>,
    pub(crate) message: String,
    /// The sources of the error, for the log; empty if there are none.
    pub(crate) causes: String,
    /// Another attempt would fail in the same way.
    pub(crate) is_final: bool,
    /// The handler never had an input.
    pub(crate) is_rejection: bool,
}

impl HandlerError {
    /// A failure with a status of the handler's choice.
    ///
    /// # Panics
    /// If `status` is not in 400 … 599; the invocation then fails with `HANDLER_ERROR`
    /// and says so.
    pub fn new(status: u16, code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        assert!((400..=599).contains(&status), "the status of a HandlerError is 400 … 599, not {status}");
        Self {
            status,
            code: code.into(),
            message: message.into(),
            causes: String::new(),
            is_final: false,
            is_rejection: false,
        }
    }

    /// A 500 `HANDLER_ERROR` with a message for the client.
    pub fn internal(message: impl Display) -> Self {
        Self::new(500, HANDLER_ERROR, message.to_string())
    }

    /// A 400 `BAD_INPUT` for a body that is not what it should be; it counts as a request that was
    /// rejected.
    pub fn rejection(message: impl Into<String>) -> Self {
        Self { is_rejection: true, ..Self::new(400, BAD_INPUT, message) }
    }

    /// A 501 for a request that is not of the handler's kind; it counts as one that was rejected.
    pub(crate) fn not_taken(code: &'static str, message: &str) -> Self {
        Self { is_rejection: true, is_final: true, ..Self::new(501, code, message) }
    }

    /// Says that another attempt would fail in the same way: there is none, whatever the status.
    ///
    /// ```
    /// # use picofaas_runtime::HandlerError;
    /// # fn charge(card: &str) -> Result<(), HandlerError> {
    /// if card.is_empty() {
    ///     return Err(HandlerError::new(500, "NO_CARD", "the customer has none").not_retryable());
    /// }
    /// # Ok(())
    /// # }
    /// # charge("4111").unwrap();
    /// ```
    #[must_use]
    pub fn not_retryable(mut self) -> Self {
        self.is_final = true;
        self
    }
}

impl Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.status, self.code, self.message)
    }
}

// This is why HandlerError is not itself an `Error`: the two would overlap.
impl<E: Error> From<E> for HandlerError {
    fn from(error: E) -> Self {
        let mut causes = String::new();
        let mut source = error.source();
        while let Some(cause) = source {
            let separator = if causes.is_empty() { "" } else { ": " };
            write!(causes, "{separator}{cause}").expect("a String takes everything");
            source = cause.source();
        }
        Self { causes, ..Self::internal(error) }
    }
}
