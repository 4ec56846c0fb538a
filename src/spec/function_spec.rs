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
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FunctionSpec {
    /// The name, unique in a registry.
    pub name: FunctionName,
    /// Provider of its instances.
    pub execution_mode: ExecutionMode,
    /// The image that Kubernetes runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Replaces the image's entry point; empty leaves it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Replaces the image's arguments; empty leaves them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Environment, beside what picofaas sets; each name once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<EnvVar>,
    /// Secrets and config maps whose every key becomes a variable; what `env` and picofaas set counts
    /// where both have it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env_from: Vec<EnvFrom>,
    /// Names of the secrets that are mounted, each once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// Names of the secrets that open the image's registry.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "secret_names")]
    pub image_pull_secrets: Vec<String>,
    /// CPU and memory.
    pub resources: Resources,
    /// Further settings of its pods.
    #[serde(skip_serializing_if = "PodTemplate::is_empty")]
    pub pod_template: PodTemplate,
    /// Commands by which the local backend runs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local: Option<Local>,
    /// Endpoints at which it already listens; not empty if and only if the mode is POOL.
    #[serde(rename = "endpointUrl", skip_serializing_if = "Vec::is_empty", serialize_with = "one_or_many")]
    pub endpoint_urls: Vec<EndpointUrl>,
    /// Time for a whole execution, in milliseconds.
    pub timeout_ms: u32,
    /// Longest wait of an enqueued execution for its first dispatch, in milliseconds.
    pub max_queue_ms: u32,
    /// Time for one attempt, in milliseconds; at most `timeout_ms`, and equal to it unless given.
    pub attempt_timeout_ms: u32,
    /// Attempts in flight for this function.
    pub concurrency: u32,
    /// Attempts in flight on one instance; `concurrency` unless given.
    pub instance_concurrency: u32,
    /// Executions that wait for their first dispatch.
    pub queue_size: u32,
    /// Attempts after the first.
    pub max_retries: u32,
    /// Bound of the first random pause before a retry, in milliseconds.
    pub retry_backoff_ms: u32,
    /// Largest such bound, up to which it doubles, in milliseconds; at least `retry_backoff_ms`.
    pub retry_max_backoff_ms: u32,
    /// Bounds of the number of instances; there if and only if the mode is WARM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<Replicas>,
    /// Idle WARM instances above `replicas.min` stop after this, in milliseconds.
    pub idle_timeout_ms: u32,
    /// `metadata.annotations` of its manifest.
    #[serde(skip)]
    pub annotations: BTreeMap<String, String>,
    /// The folder of its manifest, where relative paths in `local` start. Clients never see it.
    #[serde(skip)]
    pub directory: Option<PathBuf>,
}

impl FunctionSpec {
    /// Bounds of the number of instances; of another mode than WARM the defaults, which nothing heeds.
    #[must_use]
    pub fn replicas(&self) -> Replicas {
        self.replicas.unwrap_or_default()
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

/// The answers' form of `imagePullSecrets`: a list of objects that have a name.
fn secret_names<S: Serializer>(names: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(names.iter().map(|name| SecretName { name }))
}

/// The answers' form of `endpointUrl`: one text, or a list of several.
fn one_or_many<S: Serializer>(urls: &[EndpointUrl], serializer: S) -> Result<S::Ok, S::Error> {
    match urls {
        [one] => one.serialize(serializer),
        many => many.serialize(serializer),
    }
}

#[derive(Serialize)]
struct SecretName<'a> {
    name: &'a str,
}
