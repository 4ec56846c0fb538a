//! Errors of the API server in calls about our own objects, and what a client is told of them.

use kube::core::Status;

use super::calls::{KubeError, in_time, permission};
use crate::error::{ApiError, ErrorCode, FieldError};

/// Seconds after which a call may be tried again.
const RETRY_AFTER_S: u32 = 1;

/// Reason for which a call about one of our objects did not succeed.
#[derive(Debug)]
pub(crate) enum ObjectError {
    /// There is no such object.
    NotFound,
    /// There is one of the name.
    AlreadyExists,
    /// Somebody changed it in between.
    Conflict,
    /// Any other reason, as a client reads it.
    Other(ApiError),
}

impl ObjectError {
    /// The error for a client, where none of the first three is meant to happen.
    #[must_use]
    pub(crate) fn into_api_error(self) -> ApiError {
        match self {
            Self::Other(error) => error,
            Self::NotFound | Self::AlreadyExists | Self::Conflict => ApiError::new(
                ErrorCode::ControlBusy,
                "the function is being changed by somebody else; try again",
            )
            .retry_after(RETRY_AFTER_S),
        }
    }
}

/// Makes a call, within its time.
///
/// # Errors
/// See [`ObjectError`].
pub(crate) async fn ask<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, ObjectError> {
    in_time(call).await.map_err(|error| match error {
        KubeError::Answered(status) => of_status(&status),
        KubeError::Away(why) => away(&why),
    })
}

fn away(why: &str) -> ObjectError {
    let message = format!(
        "the Kubernetes API server, which keeps the functions, did not answer, and it is not known whether the change was made: {why}"
    );
    ObjectError::Other(ApiError::new(ErrorCode::KubeUnavailable, message).retry_after(RETRY_AFTER_S))
}

fn of_status(status: &Status) -> ObjectError {
    let message = status.message.clone();
    let other = |code, message| ObjectError::Other(ApiError::new(code, message));
    match status.code {
        404 => ObjectError::NotFound,
        409 if status.reason == "AlreadyExists" => ObjectError::AlreadyExists,
        409 => ObjectError::Conflict,
        // The definition is stricter here and there, or somebody's policy is.
        400 | 413 | 422 => ObjectError::Other(
            ApiError::new(
                ErrorCode::InvalidFunction,
                format!("the API server refused the function; nothing was registered: {message}"),
            )
            .with_details(causes(status)),
        ),
        403 if message.contains("exceeded quota") => other(ErrorCode::QuotaExceeded, message),
        401 | 403 => other(ErrorCode::AdmissionRefused, permission(&message).unwrap_or(message)),
        _ => away(&message),
    }
}

fn causes(status: &Status) -> Vec<FieldError> {
    let causes = status.details.iter().flat_map(|details| details.causes.iter());
    let error = |cause: &kube::core::response::StatusCause| FieldError {
        field: cause.field.strip_prefix("spec.").unwrap_or(&cause.field).to_owned(),
        message: cause.message.clone(),
    };
    causes.map(error).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn api_error(status: &serde_json::Value) -> ApiError {
        let error = of_status(&serde_json::from_value(status.clone()).unwrap());
        let ObjectError::Other(error) = error else { panic!("{error:?}") };
        error
    }

    #[test]
    fn what_the_api_server_refuses_is_told_with_its_causes_and_whose_matter_it_is() {
        let faulty = api_error(&json!({"code":422,"reason":"Invalid","message":"is invalid","details":{
            "causes":[{"field":"spec.timeoutMs","message":"must be less","reason":"FieldValueInvalid"}]}}));
        assert_eq!(faulty.code, ErrorCode::InvalidFunction);
        assert_eq!(faulty.details[0].to_string(), "timeoutMs: must be less");

        let forbidden = "functions.picofaas.dev \"f\" is forbidden: User \"u\" cannot update resource \"functions\" in API group \"picofaas.dev\" in the namespace \"n\"";
        let role = api_error(&json!({"code":403,"reason":"Forbidden","message":forbidden}));
        assert!(
            role.code == ErrorCode::AdmissionRefused && role.message.contains("k8s/20-rbac.yaml"),
            "{role:?}"
        );
        let policy = api_error(&json!({"code":403,"reason":"Forbidden","message":"denied the request: no"}));
        assert!(policy.code == ErrorCode::AdmissionRefused && !policy.message.contains("rbac"), "{policy:?}");
        let quota = api_error(&json!({"code":403,"reason":"Forbidden","message":"exceeded quota: q"}));
        assert_eq!(quota.code, ErrorCode::QuotaExceeded);
        let busy = api_error(&json!({"code":429,"reason":"TooManyRequests","message":"later"}));
        assert_eq!((busy.code, busy.retry_after_s), (ErrorCode::KubeUnavailable, Some(1)));
    }
}
