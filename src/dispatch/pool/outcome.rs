//! Outcomes of attempts at instances, by their answers and by the lack of one.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::connection::{Connection, ExchangeError, InstanceResponse};
use super::instance_pools::InstancePools;
use crate::api::json;
use crate::dispatch::function_error::{Finality, beginning, named_error, outcome_of_error, unnamed_error};
use crate::error::ErrorCode;
use crate::exit::{Exit, describe};
use crate::instance::{InstanceKey, Target};
use crate::spec::ExecutionMode;
use crate::store::attempt_result::Outcome;
use crate::store::execution_error::ExecutionError;

/// The outcome that an instance's answer means.
pub(crate) fn judge(response: InstanceResponse) -> Outcome {
    match response.status {
        200..=299 if response.body.is_empty() && response.status == 204 => {
            Outcome::Output(Bytes::from_static(b"null"))
        }
        200..=299 if json::is_one_value(&response.body) => Outcome::Output(response.body),
        status @ 200..=299 => Outcome::Refused(ExecutionError::new(
            ErrorCode::OutputNotJson,
            format!(
                "the function answered {status} with a body that is not one JSON value but begins with {}; answer JSON, or 204 for none",
                beginning(&response.body)
            ),
        )),
        status @ 400..=599 => outcome_of_error(status, |http| own_error(&response, http)),
        status => Outcome::Refused(ExecutionError::new(
            ErrorCode::InvalidAnswer,
            format!("the function answered with status {status}, which is neither a success nor an error"),
        )),
    }
}

/// Bytes that are repeated of a body that is no error of the contract.
const EXCERPT_BYTES_MAX: usize = 200;

/// The error that a function gave itself: `{"error":{"code","message","retryable"}}`, or what it sent.
fn own_error(response: &InstanceResponse, http: u16) -> (ExecutionError, Finality) {
    #[derive(Deserialize)]
    struct Outer<'a> {
        #[serde(borrow)]
        error: Inner<'a>,
    }
    #[derive(Deserialize)]
    struct Inner<'a> {
        #[serde(borrow, default)]
        code: Option<Cow<'a, str>>,
        #[serde(borrow, default)]
        message: Cow<'a, str>,
        #[serde(borrow, default)]
        retryable: Option<&'a RawValue>,
    }
    let finality = match serde_json::from_slice::<Outer<'_>>(&response.body) {
        Ok(Outer { error: Inner { code: Some(code), message, retryable } }) => {
            return (named_error(&code, &message, http), Finality::read(retryable));
        }
        Ok(Outer { error: Inner { code: None, retryable, .. } }) => Finality::read(retryable),
        Err(_) => Finality::ByStatus,
    };
    let text = String::from_utf8_lossy(&response.body[..response.body.len().min(EXCERPT_BYTES_MAX)]);
    let said = format!("the function answered {}: {}", response.status, text.trim());
    (unnamed_error(http, said), finality)
}

/// Period of the looks whether control has said how an instance ended.
const ENDING_LOOK: Duration = Duration::from_millis(1);
/// After so many looks the connection alone was lost, or control is too busy to say why.
const ENDING_LOOKS_MAX: u32 = 50;
/// Period of the looks at a pod, whose node tells of its end about once a second, and then the API server does.
const POD_ENDING_LOOK: Duration = Duration::from_millis(10);
/// See [`POD_ENDING_LOOK`].
const POD_ENDING_LOOKS_MAX: u32 = 500;
/// After so many looks a process that was killed does not take connections any more, and its successor
/// does not yet.
const POD_GONE_LOOKS: u32 = 5;

/// The error of an attempt whose instance was killed for want of memory. Its connection ends
/// before control can know why, so that is waited for; but only after a loss, and only where there
/// is a limit that may have been the reason. A pod that still takes connections was not killed.
pub(super) async fn out_of_memory(
    pools: &InstancePools,
    instance: InstanceKey,
    error: &ExchangeError,
) -> Option<ExecutionError> {
    let spec = &pools.entry.function.spec;
    let is_warm = spec.execution_mode == ExecutionMode::Warm;
    if !matches!(error, ExchangeError::Lost(_)) || !is_warm || spec.resources.limits.memory_bytes().is_none()
    {
        return None;
    }
    let ending = pools.entry.function.endings.get(usize::from(instance.place))?;
    let address = pools.address(instance);
    let pod = address.as_ref().map(|address| &address.target).filter(|it| matches!(it, Target::Tcp(_)));
    let (looks, look) = match pod {
        Some(_) => (POD_ENDING_LOOKS_MAX, POD_ENDING_LOOK),
        None => (ENDING_LOOKS_MAX, ENDING_LOOK),
    };
    for at in 0..looks {
        let known =
            ending.load().as_ref().filter(|ending| ending.generation == instance.generation).map(|e| e.exit);
        match known {
            Some(exit @ Exit::OutOfMemory { .. }) => {
                return Some(ExecutionError::new(
                    ErrorCode::OutOfMemory,
                    format!("the instance was killed: {}", describe(exit)),
                ));
            }
            Some(Exit::Code(_) | Exit::Signal(_)) => return None,
            None => {}
        }
        if at == POD_GONE_LOOKS
            && let Some(pod) = pod
            && Connection::open(pod).await.is_ok()
        {
            return None;
        }
        tokio::time::sleep(look).await;
    }
    None
}

/// The outcome that an exchange without an answer means.
pub(crate) fn excuse(error: &ExchangeError) -> Outcome {
    let message = error.to_string();
    match error {
        ExchangeError::Connect(_) | ExchangeError::Stale => {
            Outcome::Unsent(ExecutionError::new(ErrorCode::NoInstance, format!("an instance {message}")))
        }
        ExchangeError::Lost(_) => Outcome::Failed(ExecutionError::new(
            ErrorCode::InstanceCrashed,
            format!("the instance went away: {message}"),
        )),
        ExchangeError::Garbage(_) => Outcome::Refused(ExecutionError::new(ErrorCode::InvalidAnswer, message)),
        ExchangeError::TooLarge(_) => Outcome::Refused(ExecutionError::new(
            ErrorCode::OutputTooLarge,
            format!("{message}; return less, or raise --max-output"),
        )),
    }
}
