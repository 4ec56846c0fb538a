//! The status of a Function object, and what it is made of.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::instance::InstanceProblem;
use crate::instances::standby::standby_state::StandbyState;
use crate::kubernetes::template::{FUNCTION, MANAGED_BY, PICOFAAS};
use crate::registry::invalid_spec::InvalidSpec;
use crate::registry::serving_state::{OverloadState, ServingState};

/// The inputs of a status. They are cheap to collect and to compare: those of every function are compared once
/// a second, and nothing more is done where they are the same.
#[derive(Clone, Debug)]
pub(super) struct StatusInputs {
    /// The generation that was looked at last.
    pub generation: i64,
    /// The version that serves; `None` where no version ever was valid.
    pub state: Option<ServingState>,
    /// Whether more comes than it can do, where that is told.
    pub overload: Option<OverloadState>,
    /// The problem for which an instance did not start.
    pub problem: Option<Arc<InstanceProblem>>,
    /// The reason that the last specification is not served.
    pub invalid: Option<InvalidSpec>,
}

impl PartialEq for StatusInputs {
    fn eq(&self, other: &Self) -> bool {
        let served = |inputs: &Self| inputs.state.as_ref().map(ServedSummary::of);
        let same_trouble = match (&self.problem, &other.problem) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        let standby = |inputs: &Self| inputs.state.as_ref()?.standby.as_ref().map(StandbyState::problem_told);
        same_trouble
            && standby(self) == standby(other)
            && self.generation == other.generation
            && self.overload == other.overload
            && served(self) == served(other)
            && self.invalid == other.invalid
    }
}

/// The part of a status about the version that serves. The pods of a `JOB` come and go with its attempts, so there is
/// no number of them in it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct ServedSummary {
    pods: Option<(u32, u32)>,
    ready: bool,
    rolling: bool,
}

impl ServedSummary {
    fn of(state: &ServingState) -> Self {
        Self {
            pods: (!state.on_demand).then_some((state.replicas, state.ready)),
            ready: state.on_demand || state.ready > 0,
            rolling: state.rolling,
        }
    }
}

/// One condition of a status.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Condition {
    kind: String,
    status: String,
    reason: String,
    message: String,
    since: String,
}

/// The status of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FunctionStatus {
    observed_generation: i64,
    replicas: Option<u32>,
    ready: Option<u32>,
    selector: String,
    conditions: Vec<Condition>,
}

impl FunctionStatus {
    /// Reads an object's status.
    #[must_use]
    pub(super) fn of_json(status: &Value) -> Self {
        let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
        let number = |key: &str| status[key].as_u64().and_then(|number| u32::try_from(number).ok());
        let condition = |value: &Value| Condition {
            kind: text(value, "type"),
            status: text(value, "status"),
            reason: text(value, "reason"),
            message: text(value, "message"),
            since: text(value, "lastTransitionTime"),
        };
        Self {
            observed_generation: status["observedGeneration"].as_i64().unwrap_or_default(),
            replicas: number("replicas"),
            ready: number("ready"),
            selector: text(status, "selector"),
            conditions: status["conditions"].as_array().into_iter().flatten().map(condition).collect(),
        }
    }

    /// Makes a status of its inputs. A condition whose status is as it was keeps the time of its change.
    #[must_use]
    pub(super) fn of_inputs(name: &str, inputs: &StatusInputs, before: &Self, now: &str) -> Self {
        let served = inputs.state.as_ref().map(ServedSummary::of);
        let is_ready = served.is_some_and(|served| served.ready);
        let on_demand = inputs.state.as_ref().is_some_and(|state| state.on_demand);
        let rolling = served.is_some_and(|served| served.rolling);
        let problem = inputs.problem.as_ref().map(ToString::to_string);
        let problem = problem.as_deref();
        let invalid = inputs.invalid.as_ref();
        let all = [
            (
                "Ready",
                is_ready,
                match (on_demand, is_ready) {
                    (true, _) => "ProcessPerAttempt",
                    (false, true) => "InstanceReady",
                    (false, false) => "NoInstanceReady",
                },
                problem.filter(|_| !is_ready),
            ),
            ("Progressing", rolling, if rolling { "NewVersionStarts" } else { "Settled" }, None),
            (
                "Degraded",
                problem.is_some(),
                if problem.is_some() { "InstanceFailed" } else { "NoFailure" },
                problem,
            ),
            (
                "Valid",
                invalid.is_none(),
                invalid.map_or("Served", |invalid| invalid.reason),
                invalid.map(|invalid| invalid.message.as_str()),
            ),
        ];
        let standby = inputs.state.as_ref().and_then(|state| state.standby.as_ref());
        let standby = standby.map(StandbyState::problem_told);
        let of_standby = standby.as_ref().map(|told| {
            let (reason, message) = told
                .as_ref()
                .map_or(("ReserveKept", None), |(reason, message)| (*reason, Some(message.as_str())));
            ("StandbyReady", told.is_none(), reason, message)
        });
        let shortage = inputs.overload.and_then(|overload| overload.0).map(|shortage| shortage.to_string());
        let of_overload = inputs
            .overload
            .map(|overload| ("Overloaded", shortage.is_some(), overload.reason(), shortage.as_deref()));
        let condition = |(kind, holds, reason, message): (&str, bool, &str, Option<&str>)| {
            let status = if holds { "True" } else { "False" };
            let same = before.conditions.iter().find(|before| before.kind == kind && before.status == status);
            Condition {
                kind: kind.to_owned(),
                status: status.to_owned(),
                reason: reason.to_owned(),
                message: cut(message.unwrap_or_default()),
                since: same.map_or(now, |same| &same.since).to_owned(),
            }
        };
        let pods = served.and_then(|served| served.pods);
        Self {
            observed_generation: inputs.generation,
            replicas: pods.map(|(replicas, _)| replicas),
            ready: pods.map(|(_, ready)| ready),
            selector: format!("{MANAGED_BY}={PICOFAAS},{FUNCTION}={name}"),
            conditions: all.into_iter().chain(of_standby).chain(of_overload).map(condition).collect(),
        }
    }

    /// Makes a merge patch of the object: fields that are absent are removed.
    #[must_use]
    pub(super) fn patch(&self) -> Value {
        let condition = |one: &Condition| {
            json!({
                "type": one.kind,
                "status": one.status,
                "reason": one.reason,
                "message": one.message,
                "lastTransitionTime": one.since,
                "observedGeneration": self.observed_generation,
            })
        };
        json!({ "status": {
            "observedGeneration": self.observed_generation,
            "replicas": self.replicas,
            "ready": self.ready,
            "selector": self.selector,
            "conditions": self.conditions.iter().map(condition).collect::<Vec<_>>(),
        } })
    }
}

/// Longest message of a condition that the API server takes, in bytes.
const MESSAGE_BYTES_MAX: usize = 32_768;

fn cut(message: &str) -> String {
    message[..message.floor_char_boundary(MESSAGE_BYTES_MAX)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::overload::Shortage;

    fn inputs(ready: u32) -> StatusInputs {
        let state = ServingState {
            replicas: 2,
            ready,
            queued: 7,
            in_flight: 3,
            on_demand: false,
            rolling: false,
            standby: None,
        };
        StatusInputs { generation: 4, state: Some(state), overload: None, problem: None, invalid: None }
    }

    #[test]
    fn a_condition_keeps_the_time_of_its_last_change_and_a_status_is_read_as_it_was_written() {
        let first = FunctionStatus::of_inputs("f", &inputs(0), &FunctionStatus::default(), "t1");
        let same = FunctionStatus::of_inputs("f", &inputs(0), &first, "t2");
        assert_eq!(first, same);
        let later = FunctionStatus::of_inputs("f", &inputs(1), &first, "t3");
        let since = |status: &FunctionStatus, kind: &str| {
            status.conditions.iter().find(|one| one.kind == kind).map(|one| one.since.clone()).unwrap()
        };
        assert_eq!((since(&later, "Ready"), since(&later, "Valid")), ("t3".to_owned(), "t1".to_owned()));
        assert_eq!(FunctionStatus::of_json(&later.patch()["status"]), later);
        let status = &later.patch()["status"];
        assert_eq!((status["ready"].as_u64(), status["replicas"].as_u64()), (Some(1), Some(2)));
        assert_eq!(status["selector"], "app.kubernetes.io/managed-by=picofaas,picofaas.dev/function=f");
    }

    #[test]
    fn only_what_a_status_tells_is_a_reason_to_write_it() {
        let mut busier = inputs(1);
        busier.state.as_mut().unwrap().in_flight = 9;
        assert!(busier == inputs(1));
        assert!(inputs(1) != inputs(2));
        let on_demand = |replicas| {
            let mut inputs = inputs(replicas);
            inputs.state.as_mut().unwrap().on_demand = true;
            inputs
        };
        assert!(on_demand(1) == on_demand(5), "each attempt of a JOB would be a write");
        let message = "timeoutMs: must be".to_owned();
        let invalid = InvalidSpec { reason: "InvalidSpecification", message, may_pass: false };
        let faulty = StatusInputs { invalid: Some(invalid), ..inputs(1) };
        assert!(faulty != inputs(1));
        let status = FunctionStatus::of_inputs("f", &faulty, &FunctionStatus::default(), "t").patch();
        let valid =
            status["status"]["conditions"].as_array().unwrap().iter().find(|one| one["type"] == "Valid");
        assert_eq!(valid.unwrap()["message"], "timeoutMs: must be");
    }

    #[test]
    fn a_function_that_drops_calls_says_so_and_that_it_does_not_any_more() {
        let with = |shortage| StatusInputs { overload: Some(OverloadState(shortage)), ..inputs(1) };
        let late = Shortage::TooLate { left_ms: 4, needed_ms: 7 };
        assert!(with(Some(late)) != with(None) && with(None) != inputs(1));
        assert!(with(Some(late)) == with(Some(late)));
        let told = |inputs: &StatusInputs| -> Option<Value> {
            let status = FunctionStatus::of_inputs("f", inputs, &FunctionStatus::default(), "t").patch();
            let all = status["status"]["conditions"].as_array().unwrap();
            all.iter().find(|one| one["type"] == "Overloaded").cloned()
        };
        let overloaded = told(&with(Some(late))).unwrap();
        assert_eq!(
            (&overloaded["status"], &overloaded["reason"]),
            (&json!("True"), &json!("DeadlineUnreachable"))
        );
        assert!(overloaded["message"].as_str().unwrap().contains("up to 7 ms"));
        let calm = told(&with(None)).unwrap();
        assert_eq!((&calm["status"], &calm["reason"]), (&json!("False"), &json!("NothingRefused")));
        assert_eq!(told(&inputs(1)), None);
    }
}
