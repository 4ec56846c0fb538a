//! The token that a process of a `JOB` has, which is good for one attempt.

use hyper::header::{AUTHORIZATION, HeaderMap};

use crate::error::{ApiError, ErrorCode};
use crate::id::Token;
use crate::store::execution::Execution;

/// The reason why a token does not let a call through.
#[derive(Debug)]
pub(crate) enum TokenError {
    /// The execution has no such token.
    Unknown,
    /// It is that of an attempt that is over.
    Late(ApiError),
}

/// The token that a call of the runtime listener carries; `None` where it has none, or one that cannot be read.
#[must_use]
pub(crate) fn read_token(headers: &HeaderMap) -> Option<Token> {
    let text = headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?;
    Token::parse(text.trim())
}

/// The error of a call without the token of its execution's attempt.
#[must_use]
pub(crate) fn unauthorized() -> ApiError {
    ApiError::new(
        ErrorCode::Unauthorized,
        "Authorization must be `Bearer` and the PICOFAAS_TOKEN of this execution's attempt",
    )
}

/// Checks that a token is that of the running attempt.
///
/// # Errors
/// See [`TokenError`].
pub(crate) fn check_token(execution: &Execution, token: Token) -> Result<(), TokenError> {
    let at = execution.tokens.iter().position(|known| *known == token).ok_or(TokenError::Unknown)?;
    if execution.has_ended() {
        let message = "the execution has ended; there is nothing to do";
        return Err(TokenError::Late(ApiError::new(ErrorCode::AlreadyTerminal, message)));
    }
    // The last token may be that of an attempt before a version that has instances.
    if execution.has_process() && at + 1 == execution.tokens.len() {
        return Ok(());
    }
    let message = "this attempt is over; there is nothing to do";
    Err(TokenError::Late(ApiError::new(ErrorCode::AttemptSuperseded, message)))
}
