//! What an error of the API server means to a client of ours.

use kube::core::Status;

use crate::backend::kubernetes::calls::{Unsuccessful, in_time, permission};
use crate::error::{Code, Refusal};
use crate::registry::Fault;

/// Seconds after which a call may be tried again.
const RETRY_AFTER_S: u32 = 1;

/// What is told apart of a call that did not succeed.
#[derive(Debug)]
pub enum Refused {
    /// There is no such object.
    NotFound,
    /// There is one of the name.
    Exists,
    /// Somebody changed it in between.
    Changed,
    /// The rest, as it is told.
    Told(Refusal),
}

impl Refused {
    /// What is told where none of the first three is meant to happen.
    #[must_use]
    pub fn told(self) -> Refusal {
        match self {
            Self::Told(refusal) => refusal,
            Self::NotFound | Self::Exists | Self::Changed => {
                Refusal::new(Code::ControlBusy, "the function is being changed by somebody else; try again")
                    .retry_after(RETRY_AFTER_S)
            }
        }
    }
}

/// Makes a call, within its time.
///
/// # Errors
/// What its failure means.
pub async fn ask<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, Refused> {
    in_time(call).await.map_err(|unsuccessful| match unsuccessful {
        Unsuccessful::Answered(status) => of_status(&status),
        Unsuccessful::Away(why) => away(&why),
    })
}

fn away(why: &str) -> Refused {
    let message = format!(
        "the Kubernetes API server, which keeps the functions, did not answer, and it is not known whether the change was made: {why}"
    );
    Refused::Told(Refusal::new(Code::KubeUnavailable, message).retry_after(RETRY_AFTER_S))
}

fn of_status(status: &Status) -> Refused {
    let message = status.message.clone();
    let told = |code, message| Refused::Told(Refusal::new(code, message));
    match status.code {
        404 => Refused::NotFound,
        409 if status.reason == "AlreadyExists" => Refused::Exists,
        409 => Refused::Changed,
        // The definition is stricter here and there, or somebody's policy is.
        400 | 413 | 422 => Refused::Told(
            Refusal::new(
                Code::InvalidFunction,
                format!("the API server refused the function; nothing was registered: {message}"),
            )
            .with_details(causes(status)),
        ),
        403 if message.contains("exceeded quota") => told(Code::QuotaExceeded, message),
        401 | 403 => told(Code::AdmissionRefused, permission(&message).unwrap_or(message)),
        _ => away(&message),
    }
}

fn causes(status: &Status) -> Vec<Fault> {
    let causes = status.details.iter().flat_map(|details| details.causes.iter());
    let fault = |cause: &kube::core::response::StatusCause| Fault {
        field: cause.field.strip_prefix("spec.").unwrap_or(&cause.field).to_owned(),
        message: cause.message.clone(),
    };
    causes.map(fault).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(status: &serde_json::Value) -> Refusal {
        match of_status(&serde_json::from_value(status.clone()).unwrap()) {
            Refused::Told(refusal) => refusal,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_the_api_server_refuses_is_told_with_its_causes_and_whose_matter_it_is() {
        let faulty = refusal(&json!({"code":422,"reason":"Invalid","message":"is invalid","details":{
            "causes":[{"field":"spec.timeoutMs","message":"must be less","reason":"FieldValueInvalid"}]}}));
        assert_eq!(faulty.code, Code::InvalidFunction);
        assert_eq!(faulty.details[0].to_string(), "timeoutMs: must be less");

        let forbidden = "functions.picofaas.dev \"f\" is forbidden: User \"u\" cannot update resource \"functions\" in API group \"picofaas.dev\" in the namespace \"n\"";
        let role = refusal(&json!({"code":403,"reason":"Forbidden","message":forbidden}));
        assert!(role.code == Code::AdmissionRefused && role.message.contains("k8s/20-rbac.yaml"), "{role:?}");
        let policy = refusal(&json!({"code":403,"reason":"Forbidden","message":"denied the request: no"}));
        assert!(policy.code == Code::AdmissionRefused && !policy.message.contains("rbac"), "{policy:?}");
        let quota = refusal(&json!({"code":403,"reason":"Forbidden","message":"exceeded quota: q"}));
        assert_eq!(quota.code, Code::QuotaExceeded);
        let busy = refusal(&json!({"code":429,"reason":"TooManyRequests","message":"later"}));
        assert_eq!((busy.code, busy.retry_after_s), (Code::KubeUnavailable, Some(1)));
    }
}
