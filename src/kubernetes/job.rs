//! The object of one Job: of one attempt of one execution, or of a pod that will be given one.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::EnvVar;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::template::{EXECUTION, INCARNATION, STANDBY, variable};
use super::{deployment, template};
use crate::id::{ExecutionId, Token};
use crate::spec::{ExecutionMode, FunctionSpec};

/// Grace period of a pod whose Job is deleted, in seconds. Nobody waits for its work.
const GRACE_S: i64 = 1;
/// Time beyond the attempt's own after which the cluster ends the pod by itself, in seconds.
/// We end it in time; this is for when we are not there to do it.
const MARGIN_S: i64 = 30;

/// The variable with the token by which a pod proves itself.
pub(super) const TOKEN: &str = "PICOFAAS_TOKEN";

/// Parameters of a Job: the attempt that it is made for.
#[derive(Debug)]
pub(super) struct JobParameters<'a> {
    /// The execution.
    pub execution: ExecutionId,
    /// From 1.
    pub attempt: u8,
    /// The trace that it belongs to.
    pub trace_id: &'a str,
    /// The token with which its pod proves itself.
    pub token: Token,
    /// URL at which its pod reaches the runtime listener.
    pub runtime_url: &'a str,
    /// The process of the control plane that makes it.
    pub incarnation: &'a str,
    /// Time for which a finished Job is kept, in seconds.
    pub ttl_s: u32,
}

/// `fn-<function>-<12 hexadecimal digits>-<attempt>`: at most 59 bytes, because a pod's name is made of it.
#[must_use]
pub(super) fn name(function: &str, execution: ExecutionId, attempt: u8) -> String {
    // Of the random half, the only one that differs between executions of one slot at once.
    format!("{}-{:012x}-{attempt}", template::name_of(function), execution.nonce >> 16)
}

/// The Job of one attempt. It has no owner: what runs finishes when its function is deleted, and the garbage
/// collector of Kubernetes would delete a Job that it comes to know of only after that.
#[must_use]
pub(super) fn object(spec: &FunctionSpec, attempt: &JobParameters<'_>) -> Job {
    let function = spec.name.to_string();
    let mut labels = template::labels(&function);
    labels.insert(EXECUTION.to_owned(), attempt.execution.to_string());
    labels.insert(INCARNATION.to_owned(), attempt.incarnation.to_owned());
    let mut env = template::environment(spec, ExecutionMode::Job);
    env.push(variable("EXECUTION_ID", attempt.execution.to_string()));
    env.push(variable("TRACE_ID", attempt.trace_id));
    env.push(variable("PICOFAAS_RUNTIME_URL", attempt.runtime_url));
    env.push(variable(TOKEN, attempt.token.to_string()));
    let attempt_s = i64::from(spec.attempt_timeout_ms).div_euclid(1000) + 1;
    let name = name(&function, attempt.execution, attempt.attempt);
    one_pod(spec, name, labels, env, attempt_s + MARGIN_S, attempt.ttl_s)
}

/// Parameters of a Job that is made ahead of its execution.
#[derive(Debug)]
pub(super) struct StandbyParameters<'a> {
    /// The name of the Job.
    pub name: &'a str,
    /// The token with which its pod announces itself.
    pub token: Token,
    /// See [`JobParameters::runtime_url`].
    pub runtime_url: &'a str,
    /// See [`JobParameters::incarnation`].
    pub incarnation: &'a str,
    /// See [`JobParameters::ttl_s`].
    pub ttl_s: u32,
    /// Time after which the cluster ends its pod, unless it is given an execution before, in seconds.
    pub life_s: i64,
}

/// `fn-<function>-s<12 hexadecimal digits>`: at most 57 bytes, and never the name of an attempt's Job.
#[must_use]
pub(super) fn standby_name(function: &str, random: u64) -> String {
    format!("{}-s{:012x}", template::name_of(function), random >> 16)
}

/// The hash of what the pods of single-use instances of a function are made of: those of another one are others.
#[must_use]
pub(super) fn standby_hash(spec: &FunctionSpec) -> String {
    deployment::hash(&template::pods(spec, template::environment(spec, ExecutionMode::Warm)))
}

/// The Job of a single-use instance that waits for its execution. Its pod is called as one of a `WARM` function is.
#[must_use]
pub(super) fn standby_object(spec: &FunctionSpec, standby: &StandbyParameters<'_>) -> Job {
    let mut labels = template::labels(spec.name.as_str());
    labels.insert(INCARNATION.to_owned(), standby.incarnation.to_owned());
    labels.insert(STANDBY.to_owned(), standby_hash(spec));
    let mut env = template::environment(spec, ExecutionMode::Warm);
    env.push(variable("PICOFAAS_RUNTIME_URL", standby.runtime_url));
    env.push(variable(TOKEN, standby.token.to_string()));
    env.push(variable("PICOFAAS_STANDBY", "1"));
    one_pod(spec, standby.name.to_owned(), labels, env, standby.life_s, standby.ttl_s)
}

/// A Job of one pod, which the cluster ends after `life_s` seconds.
fn one_pod(
    spec: &FunctionSpec,
    name: String,
    labels: BTreeMap<String, String>,
    env: Vec<EnvVar>,
    life_s: i64,
    ttl_s: u32,
) -> Job {
    let mut pods = template::pods(spec, env);
    let mut metadata = pods.metadata.take().unwrap_or_default();
    metadata.labels.get_or_insert_default().extend(labels.clone());
    pods.metadata = Some(metadata);
    if let Some(pod) = &mut pods.spec {
        pod.restart_policy = Some("Never".to_owned());
        pod.termination_grace_period_seconds = Some(GRACE_S);
    }
    Job {
        metadata: ObjectMeta { name: Some(name), labels: Some(labels), ..ObjectMeta::default() },
        spec: Some(JobSpec {
            // The scheduler decides whether there is another attempt, and it has an object of its own.
            backoff_limit: Some(0),
            active_deadline_seconds: Some(life_s),
            ttl_seconds_after_finished: Some(i32::try_from(ttl_s).unwrap_or(i32::MAX)),
            template: pods,
            ..JobSpec::default()
        }),
        status: None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::spec::parse_function;
    use crate::ticket::Ticket;

    #[test]
    fn nothing_that_a_client_sends_is_expanded_in_the_pod_of_its_attempt() {
        let spec = parse_function(
            br#"{"name":"f","image":"i","env":[
                {"name":"DB_PASSWORD","valueFrom":{"secretKeyRef":{"name":"s","key":"k"}}}]}"#,
        )
        .unwrap();
        let attempt = JobParameters {
            execution: ExecutionId { incarnation: 7, ticket: Ticket::new(0, 99, 12), nonce: 5 },
            attempt: 1,
            trace_id: "$(DB_PASSWORD) $$(DB_PASSWORD)",
            token: Token { high: 1, low: 2 },
            runtime_url: "http://10.96.0.7:8082",
            incarnation: "b",
            ttl_s: 600,
        };
        let job = serde_json::to_value(object(&spec, &attempt)).unwrap();
        let env = job["spec"]["template"]["spec"]["containers"][0]["env"].as_array().unwrap();
        let trace = env.iter().find(|one| one["name"] == "TRACE_ID").unwrap();
        assert_eq!(trace["value"], json!("$$(DB_PASSWORD) $$$$(DB_PASSWORD)"));
        assert_eq!(job.to_string().matches("(DB_PASSWORD)").count(), 2, "it is nowhere else: {job}");
    }
}
