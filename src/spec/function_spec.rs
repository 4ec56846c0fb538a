//! The specification of one function.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use serde::{Serialize, Serializer};

use super::bounds::{REPLICAS_MAX, REPLICAS_MIN};
use super::{EndpointUrl, EnvFrom, EnvValue, EnvVar, FunctionName, PodTemplate, ResourceList};
use crate::fnv::Fnv1a;

/// Provider of the instances of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ExecutionMode {
    /// A fresh instance for every attempt, never reused.
    #[default]
    Job,
    /// Instances that stay alive and take many attempts.
    Warm,
    /// Something that already runs, named by its URLs.
    Pool,
}

impl ExecutionMode {
    /// The mode as it stands in a specification and in `EXECUTION_MODE`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Job => "JOB",
            Self::Warm => "WARM",
            Self::Pool => "POOL",
        }
    }
}

impl fmt::Display for ExecutionMode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// Requests and limits of an instance.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Resources {
    /// Requests, which are set aside for it. CPU and memory are always named, by their defaults if not by the
    /// specification.
    pub requests: ResourceList,
    /// Limits; no CPU limit unless one is given.
    #[serde(skip_serializing_if = "ResourceList::is_empty")]
    pub limits: ResourceList,
}

/// Commands by which the local backend builds and starts a function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Local {
    /// Commands that build it, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub build: Vec<Vec<String>>,
    /// The command that starts an instance; not empty.
    pub command: Vec<String>,
}

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
        Self { min: REPLICAS_MIN.default, max: REPLICAS_MAX.default }
    }
}

/// Everything that is known about a function before it runs. Ranges and defaults of the numbers are
/// in [`bounds`](super::bounds).
///
/// Its serialized form is the flat JSON of the API with every default filled in, its fields always in
/// the same order. Reading that form again gives an equal specification, apart from `annotations` and
/// `directory`, which only a manifest has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionSpec {
    /// The name, unique in a registry.
    pub name: FunctionName,
    /// Provider of its instances.
    pub execution_mode: ExecutionMode,
    /// The image that Kubernetes runs.
    pub image: Option<String>,
    /// Replaces the image's entry point; empty leaves it.
    pub command: Vec<String>,
    /// Replaces the image's arguments; empty leaves them.
    pub args: Vec<String>,
    /// Environment, beside what picofaas sets; each name once.
    pub env: Vec<EnvVar>,
    /// Secrets and config maps whose every key becomes a variable; what `env` and picofaas set counts
    /// where both have it.
    pub env_from: Vec<EnvFrom>,
    /// Names of the secrets that are mounted, each once.
    pub secrets: Vec<String>,
    /// Names of the secrets that open the image's registry.
    pub image_pull_secrets: Vec<String>,
    /// CPU and memory.
    pub resources: Resources,
    /// Further settings of its pods.
    pub pod_template: PodTemplate,
    /// Commands by which the local backend runs it.
    pub local: Option<Local>,
    /// Endpoints at which it already listens; not empty if and only if the mode is POOL.
    pub endpoint_urls: Vec<EndpointUrl>,
    /// Time for a whole execution, in milliseconds.
    pub timeout_ms: u32,
    /// Longest wait of an enqueued execution for its first dispatch, in milliseconds.
    pub max_queue_ms: u32,
    /// Time for one attempt, in milliseconds, where it is less than `timeout_ms`.
    pub attempt_timeout_ms: Option<u32>,
    /// Attempts in flight for this function.
    pub concurrency: u32,
    /// Attempts in flight on one instance, where that is not `concurrency`.
    pub instance_concurrency: Option<u32>,
    /// Executions that wait for their first dispatch.
    pub queue_size: u32,
    /// Attempts after the first.
    pub max_retries: u32,
    /// Bound of the first random pause before a retry, in milliseconds.
    pub retry_backoff_ms: u32,
    /// Largest such bound, up to which it doubles, in milliseconds; at least `retry_backoff_ms`.
    pub retry_max_backoff_ms: u32,
    /// Bounds of the number of instances; only WARM functions heed it.
    pub replicas: Replicas,
    /// Idle WARM instances above `replicas.min` stop after this, in milliseconds.
    pub idle_timeout_ms: u32,
    /// `metadata.annotations` of its manifest.
    pub annotations: BTreeMap<String, String>,
    /// The folder of its manifest, where relative paths in `local` start. Clients never see it.
    pub directory: Option<PathBuf>,
}

impl FunctionSpec {
    /// Time for one attempt, in milliseconds: `attemptTimeoutMs`, or else `timeoutMs`.
    #[must_use]
    pub fn effective_attempt_timeout_ms(&self) -> u32 {
        self.attempt_timeout_ms.unwrap_or(self.timeout_ms)
    }

    /// Attempts in flight on one instance: `instanceConcurrency`, or else `concurrency`.
    #[must_use]
    pub fn effective_instance_concurrency(&self) -> u32 {
        self.instance_concurrency.unwrap_or(self.concurrency)
    }

    /// Whether it has values of variables that are not for everybody.
    #[must_use]
    pub fn has_values(&self) -> bool {
        self.env.iter().any(|variable| matches!(variable.value, EnvValue::Text(_)))
    }

    /// Paths of the fields that are given and that only Kubernetes can honour.
    #[must_use]
    pub fn kubernetes_fields(&self) -> Vec<String> {
        let mut fields = Vec::new();
        for (index, variable) in self.env.iter().enumerate() {
            match variable.value {
                EnvValue::Text(_) => {}
                EnvValue::From(_) => fields.push(format!("env[{index}].valueFrom")),
            }
        }
        let others = [
            ("envFrom", !self.env_from.is_empty()),
            ("secrets", !self.secrets.is_empty()),
            ("podTemplate", !self.pod_template.is_empty()),
        ];
        fields.extend(others.into_iter().filter(|(_, given)| *given).map(|(field, _)| field.to_owned()));
        fields
    }

    /// A strong `ETag`, quotes included: equal for equal serialized forms, in every process and on
    /// every machine, until the form itself changes.
    ///
    /// It is 64-bit FNV-1a. Somebody who searches for a collision finds one, and could as well send
    /// `If-Match: *`.
    #[must_use]
    pub fn etag(&self) -> String {
        let mut hash = Fnv1a::default();
        serde_json::to_writer(&mut hash, self)
            .expect("a specification has string keys only, and hashing takes every byte");
        format!("\"{:016x}\"", hash.hash())
    }
}

impl Serialize for FunctionSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let warm = self.execution_mode == ExecutionMode::Warm;
        FlatForm {
            name: &self.name,
            execution_mode: self.execution_mode,
            image: self.image.as_deref(),
            command: &self.command,
            args: &self.args,
            env: &self.env,
            env_from: &self.env_from,
            secrets: &self.secrets,
            image_pull_secrets: self.image_pull_secrets.iter().map(|name| SecretName { name }).collect(),
            resources: &self.resources,
            pod_template: &self.pod_template,
            local: self.local.as_ref(),
            endpoint_url: match self.endpoint_urls.as_slice() {
                [] => None,
                [one] => Some(OneOrMany::One(one)),
                many => Some(OneOrMany::Many(many)),
            },
            timeout_ms: self.timeout_ms,
            max_queue_ms: self.max_queue_ms,
            attempt_timeout_ms: self.effective_attempt_timeout_ms(),
            concurrency: self.concurrency,
            instance_concurrency: self.effective_instance_concurrency(),
            queue_size: self.queue_size,
            max_retries: self.max_retries,
            retry_backoff_ms: self.retry_backoff_ms,
            retry_max_backoff_ms: self.retry_max_backoff_ms,
            // A specification of another mode may not carry this, so it must not be given one.
            replicas: warm.then_some(self.replicas),
            idle_timeout_ms: self.idle_timeout_ms,
        }
        .serialize(serializer)
    }
}

/// The flat form in the order in which clients see it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FlatForm<'a> {
    name: &'a FunctionName,
    execution_mode: ExecutionMode,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    command: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    args: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    env: &'a [EnvVar],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    env_from: &'a [EnvFrom],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    secrets: &'a [String],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    image_pull_secrets: Vec<SecretName<'a>>,
    resources: &'a Resources,
    #[serde(skip_serializing_if = "PodTemplate::is_empty")]
    pod_template: &'a PodTemplate,
    #[serde(skip_serializing_if = "Option::is_none")]
    local: Option<&'a Local>,
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint_url: Option<OneOrMany<'a>>,
    timeout_ms: u32,
    max_queue_ms: u32,
    attempt_timeout_ms: u32,
    concurrency: u32,
    instance_concurrency: u32,
    queue_size: u32,
    max_retries: u32,
    retry_backoff_ms: u32,
    retry_max_backoff_ms: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    replicas: Option<Replicas>,
    idle_timeout_ms: u32,
}

#[derive(Serialize)]
struct SecretName<'a> {
    name: &'a str,
}

#[derive(Serialize)]
#[serde(untagged)]
enum OneOrMany<'a> {
    One(&'a EndpointUrl),
    Many(&'a [EndpointUrl]),
}
