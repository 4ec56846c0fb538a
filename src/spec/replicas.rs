//! Numbers of instances that a function names: how many run, and how many are started ahead.

use serde::Serialize;

use super::field_errors::Findings;
use super::fields;
use super::fields::{NumberField, names_in};
use super::function_spec::{given, sound};
use super::object::Object;

const REPLICAS_MIN: NumberField = fields::number("replicas.min");
const REPLICAS_MAX: NumberField = fields::number("replicas.max");

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

pub(super) fn read_replicas(spec: &Object<'_>, findings: &mut Findings) -> Replicas {
    let field = spec.get("replicas");
    let Some(object) = field.and_then(|field| field.object(&names_in("replicas"), findings)) else {
        return Replicas::default();
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
    replicas
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
