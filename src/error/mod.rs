//! Errors that clients are told.
//!
//! | file | holds |
//! |---|---|
//! | `code` | every error code, with its text, its HTTP status and its source |
//! | `api_error` | an error as it is told: code, message, errors of fields, when to try again |
//! | `field_error` | the error of one field |

mod api_error;
mod code;
mod field_error;

pub(crate) use api_error::ApiError;
pub use code::ErrorCode;
pub(crate) use code::ErrorSource;
pub(crate) use field_error::{FieldError, excerpt, excerpt_as_is};
