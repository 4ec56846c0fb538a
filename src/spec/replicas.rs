//! Numbers of instances that a function names: how many run, and how many are started ahead.

use serde::Serialize;

use super::field_errors::Findings;
use super::fields;
use super::fields::{NumberField, names_in};
use super::function_spec::{ExecutionMode, given, sound};
use super::object::Object;

const REPLICAS_MIN: NumberField = fields::number("replicas.min");
const REPLICAS_MAX: NumberField = fields::number("replicas.max");
const HEADROOM: NumberField = fields::number("headroom");

/// Bounds of the number of instances of a WARM function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Replicas {
    /// Instances that stay even when idle; at most `max`.
    pub min: u32,
    /// Instances it may grow to; at least 1.
    pub max: u32,
}

impl Default for Replicas {
    fn default() -> Self {
        Self { min: REPLICAS_MIN.bounds.default, max: REPLICAS_MAX.bounds.default }
    }
}

const STANDBY_MIN: NumberField = fields::number("standby.min");
const STANDBY_MAX: NumberField = fields::number("standby.max");

/// Bounds of the number of single-use instances of a JOB function that are started ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Standby {
    /// Instances that are always ready; at most `max`.
    pub min: u32,
    /// Instances that may be ready while calls come; at least 1.
    pub max: u32,
}

/// Reads the bounds, and how many instances are kept idle within them.
pub(super) fn read_replicas(
    spec: &Object<'_>,
    mode: Option<ExecutionMode>,
    findings: &mut Findings,
) -> (Replicas, u32) {
    let (replicas, sound) = read_bounds(spec, findings);
    let headroom = given(spec, HEADROOM, findings).unwrap_or(HEADROOM.bounds.default);
    if headroom == 0 {
        return (replicas, 0);
    }
    if let Some(mode) = mode.filter(|mode| *mode != ExecutionMode::Warm) {
        let message = format!("is only for executionMode WARM, which is {mode} here; leave it out");
        spec.fault_at("headroom", findings, message);
    } else if sound && headroom > replicas.max {
        let max = replicas.max;
        let message =
            format!("must not exceed replicas.max, which is {max}, is {headroom}; raise that or lower this");
        spec.fault_at("headroom", findings, message);
    }
    (replicas, headroom)
}

/// Reads whether instances are started before calls wait; `true` is for instances that stay.
pub(super) fn read_scale_ahead(
    spec: &Object<'_>,
    mode: Option<ExecutionMode>,
    findings: &mut Findings,
) -> bool {
    let Some(field) = spec.get("scaleAhead") else { return false };
    let scales = field.boolean(findings).unwrap_or(false);
    if let Some(mode) = mode.filter(|mode| scales && *mode != ExecutionMode::Warm) {
        field.error(findings, format!("is only for executionMode WARM, which is {mode} here; leave it out"));
    }
    scales
}

/// The bounds, and whether neither of them is faulty.
fn read_bounds(spec: &Object<'_>, findings: &mut Findings) -> (Replicas, bool) {
    let field = spec.get("replicas");
    let is_absent = field.is_none();
    let Some(object) = field.and_then(|field| field.object(&names_in("replicas"), findings)) else {
        return (Replicas::default(), is_absent);
    };
    let min = given(&object, REPLICAS_MIN, findings);
    let max = given(&object, REPLICAS_MAX, findings);
    let sound = sound(&object, [("min", min), ("max", max)]);
    let replicas = Replicas {
        min: min.unwrap_or(REPLICAS_MIN.bounds.default),
        max: max.unwrap_or(REPLICAS_MAX.bounds.default),
    };
    if sound && replicas.min > replicas.max {
        let Replicas { min, max } = replicas;
        object.fault_at("min", findings, format!("must not exceed replicas.max, which is {max}, is {min}"));
    }
    (replicas, sound)
}

pub(super) fn read_standby(spec: &Object<'_>, findings: &mut Findings) -> Option<Standby> {
    let object = spec.get("standby")?.object(&names_in("standby"), findings)?;
    let min = given(&object, STANDBY_MIN, findings);
    let max = given(&object, STANDBY_MAX, findings);
    let sound = sound(&object, [("min", min), ("max", max)]);
    let min = min.unwrap_or(STANDBY_MIN.bounds.default);
    let max = max.unwrap_or_else(|| min.max(STANDBY_MAX.bounds.default));
    if sound && min > max {
        object.fault_at("min", findings, format!("must not exceed standby.max, which is {max}, is {min}"));
    }
    Some(Standby { min, max })
}

#[cfg(test)]
mod tests {
    use crate::spec::{SpecError, parse_function};

    /// The errors of a function with these fields, each as `field: message`.
    fn errors(fields: &str) -> Vec<String> {
        let text = format!(r#"{{"name":"f",{fields}}}"#);
        match parse_function(text.as_bytes()) {
            Ok(_) => Vec::new(),
            Err(SpecError::Fields(errors)) => errors.0.iter().map(ToString::to_string).collect(),
            Err(error) => panic!("{text}: {error}"),
        }
    }

    fn warm(fields: &str) -> String {
        format!(r#""executionMode":"WARM","image":"i",{fields}"#)
    }

    #[test]
    fn what_is_started_ahead_of_calls_is_only_for_instances_that_stay() {
        for (mode, fields) in
            [("JOB", r#""image":"i""#), ("POOL", r#""executionMode":"POOL","endpointUrl":"http://h""#)]
        {
            for (field, some, none) in [("headroom", "1", "0"), ("scaleAhead", "true", "false")] {
                let expected =
                    format!("{field}: is only for executionMode WARM, which is {mode} here; leave it out");
                assert_eq!(errors(&format!(r#"{fields},"{field}":{some}"#)), [expected]);
                assert_eq!(errors(&format!(r#"{fields},"{field}":{none}"#)), [""; 0]);
            }
        }
    }

    #[test]
    fn headroom_is_within_the_highest_number_of_instances() {
        let above = "headroom: must not exceed replicas.max, which is 4, is 5; raise that or lower this";
        assert_eq!(errors(&warm(r#""headroom":5"#)), [above]);
        assert_eq!(errors(&warm(r#""headroom":5,"replicas":{"min":0}"#)), [above]);
        assert_eq!(errors(&warm(r#""headroom":5,"replicas":{"max":5}"#)), [""; 0]);
        assert_eq!(
            errors(&warm(r#""headroom":5,"replicas":{"max":"x"}"#)),
            ["replicas.max: must be a whole number between 1 and 1000 (replicas), is a string"],
            "it is not judged by a bound that is faulty"
        );
    }

    #[test]
    fn what_is_started_ahead_is_in_an_answer_where_there_is_some() {
        let answer = |fields: &str| {
            let text = format!(r#"{{"name":"f",{}}}"#, warm(fields));
            serde_json::to_value(parse_function(text.as_bytes()).unwrap()).unwrap()
        };
        assert_eq!(answer(r#""headroom":3"#)["headroom"], 3);
        assert_eq!(answer(r#""headroom":0"#).get("headroom"), None);
        assert_eq!(answer(r#""scaleAhead":true"#)["scaleAhead"], true);
        assert_eq!(answer(r#""scaleAhead":false"#).get("scaleAhead"), None);
    }
}
