//! The specification of one function: its parts, their reading from a tree, and their JSON form.

use std::collections::{BTreeMap, HashSet};
use std::{fmt, path::PathBuf};

use serde::{Serialize, Serializer};

use super::endpoint::ENDPOINTS_MAX;
use super::field_errors::Findings;
use super::fields::{NumberField, names_in};
use super::object::{Field, Object};
use super::parse::Naming;
use super::pod_template::pod_template;
use super::replicas::{Replicas, Standby, read_replicas, read_scale_ahead, read_standby};
use super::web::Web;
use super::{
    EndpointUrl, EnvFrom, EnvValue, EnvVar, FunctionName, PodTemplate, ResourceList, container, environment,
    fields,
};
use crate::error::excerpt;
use crate::fnv::Fnv1a;
use crate::queue_order::QueueOrder;

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
    /// The absolute folder in which all of these run, where it is not the manifest's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
}

/// Everything that is known about a function before it runs. Ranges and defaults of the numbers are
/// in `fields`.
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
    /// Whether its endpoints are asked for frames; only of a `POOL` function, as those of a WARM one always are.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub frames: bool,
    /// How it answers HTTP requests as they are; none where it takes JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub web: Option<Web>,
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
    /// Whether an execution that can hardly end in time is ended before it is begun. It matters to WARM and POOL
    /// functions without `web`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub drop_unreachable: bool,
    /// Which of the executions that wait is begun next.
    pub queue_order: QueueOrder,
    /// Attempts after the first.
    pub max_retries: u32,
    /// Bound of the first random pause before a retry, in milliseconds.
    pub retry_backoff_ms: u32,
    /// Largest such bound, up to which it doubles, in milliseconds; at least `retry_backoff_ms`.
    pub retry_max_backoff_ms: u32,
    /// Bounds of the number of instances; there if and only if the mode is WARM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<Replicas>,
    /// Instances that are kept idle beside those that are busy, while calls come; at most `replicas.max`, and 0 of another
    /// mode than WARM.
    #[serde(skip_serializing_if = "is_zero")]
    pub headroom: u32,
    /// Whether instances are started before calls wait for them; never of another mode than WARM.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub scale_ahead: bool,
    /// Bounds of the number of instances that are started ahead; only of a JOB function, none where it is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standby: Option<Standby>,
    /// Idle WARM instances above `replicas.min`, and standby instances above `standby.min`, stop after this, in
    /// milliseconds.
    pub idle_timeout_ms: u32,
    /// `metadata.annotations` of its manifest.
    #[serde(skip)]
    pub annotations: BTreeMap<String, String>,
    /// The folder where relative paths in `local` start: `local.directory`, else that of its manifest, which
    /// clients never see.
    #[serde(skip)]
    pub directory: Option<PathBuf>,
}

impl FunctionSpec {
    /// Bounds of the number of instances; of another mode than WARM the defaults, which nothing heeds.
    #[must_use]
    pub fn replicas(&self) -> Replicas {
        self.replicas.unwrap_or_default()
    }

    /// Takes over what only a manifest has, from the version that this one replaces.
    pub(crate) fn keep_manifest_of(&mut self, before: &Self) {
        let is_given = |spec: &Self| spec.local.as_ref().is_some_and(|local| local.directory.is_some());
        if !is_given(self) && !is_given(before) {
            self.directory.clone_from(&before.directory);
        }
        self.annotations.clone_from(&before.annotations);
    }

    /// Whether its instances are asked for frames. An endpoint may stand for many servers, so it says so itself.
    #[must_use]
    pub fn offers_frames(&self) -> bool {
        match self.execution_mode {
            ExecutionMode::Job => false,
            ExecutionMode::Warm => true,
            ExecutionMode::Pool => self.frames,
        }
    }

    /// Whether it has values of variables that are not for everybody.
    #[must_use]
    pub fn has_values(&self) -> bool {
        self.env.iter().any(|variable| matches!(variable.value, EnvValue::Text(_)))
    }

    /// Whether it refers to values that are to be looked up: by Kubernetes in its objects, elsewhere by the
    /// local backend.
    #[must_use]
    pub fn has_references(&self) -> bool {
        let refers = |variable: &EnvVar| matches!(variable.value, EnvValue::From(_));
        !self.env_from.is_empty() || !self.secrets.is_empty() || self.env.iter().any(refers)
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

/// Reads a specification. Where it returns nothing, the findings say why; where the findings are not
/// empty, what it returns must not be used.
pub(super) fn read_spec(
    root: &Field<'_>,
    naming: Naming<'_>,
    findings: &mut Findings,
) -> Option<FunctionSpec> {
    let spec = root.object(&names_in(""), findings)?;
    let name = read_name(&spec, naming, findings);
    let mode = read_mode(&spec, findings);
    if let Some(mode) = mode {
        check_mode(&spec, mode, findings);
    }
    let (timeout_ms, attempt_timeout_ms) = read_timeouts(&spec, findings);
    let (retry_backoff_ms, retry_max_backoff_ms) = read_backoff(&spec, findings);
    let concurrency = whole(&spec, const { fields::number("concurrency") }, findings);
    let local = container::local(&spec, findings);
    let (replicas, headroom) = read_replicas(&spec, mode, findings);
    let instance_concurrency = given(&spec, const { fields::number("instanceConcurrency") }, findings);
    let drop_unreachable = read_drop_unreachable(&spec, mode, findings);
    let function = FunctionSpec {
        image: container::image(&spec, findings),
        command: container::words(&spec, "command", findings),
        args: container::words(&spec, "args", findings),
        env: environment::env(&spec, findings),
        env_from: environment::env_from(&spec, findings),
        secrets: container::secrets(&spec, findings),
        image_pull_secrets: container::image_pull_secrets(&spec, findings),
        resources: container::resources(&spec, findings),
        pod_template: pod_template(&spec, findings),
        directory: local.as_ref().and_then(|local| local.directory.as_ref()).map(PathBuf::from),
        local,
        endpoint_urls: read_endpoints(&spec, findings),
        frames: read_frames(&spec, mode, findings),
        web: Web::read(&spec, mode, findings),
        timeout_ms,
        max_queue_ms: whole(&spec, const { fields::number("maxQueueMs") }, findings),
        attempt_timeout_ms,
        concurrency,
        instance_concurrency: instance_concurrency.unwrap_or(concurrency),
        queue_size: whole(&spec, const { fields::number("queueSize") }, findings),
        drop_unreachable,
        queue_order: read_queue_order(&spec, drop_unreachable, findings),
        max_retries: whole(&spec, const { fields::number("maxRetries") }, findings),
        retry_backoff_ms,
        retry_max_backoff_ms,
        replicas: Some(replicas).filter(|_| mode == Some(ExecutionMode::Warm)),
        headroom,
        scale_ahead: read_scale_ahead(&spec, mode, findings),
        standby: read_standby(&spec, findings).filter(|_| mode == Some(ExecutionMode::Job)),
        idle_timeout_ms: whole(&spec, const { fields::number("idleTimeoutMs") }, findings),
        annotations: BTreeMap::new(),
        name: name?,
        execution_mode: mode?,
    };
    Some(function)
}

fn read_name(spec: &Object<'_>, naming: Naming<'_>, findings: &mut Findings) -> Option<FunctionName> {
    let Some(field) = spec.get("name") else {
        match naming {
            Naming::Outside(name) => return Some(name.clone()),
            Naming::Inside => spec.fault_at("name", findings, "is required"),
            Naming::Invalid => {}
        }
        return None;
    };
    let name = name_in(&field, findings)?;
    if let Naming::Outside(outside) = naming
        && *outside != name
    {
        field.error(findings, format!("must be {outside} or absent, is {name}"));
    }
    Some(name)
}

/// Reads the name of a function.
pub(super) fn name_in(field: &Field<'_>, findings: &mut Findings) -> Option<FunctionName> {
    let text = field.text(findings)?;
    let error = |error| field.error(findings, format!("{error}, is \"{}\"", excerpt(text)));
    FunctionName::new(text).map_err(error).ok()
}

fn read_mode(spec: &Object<'_>, findings: &mut Findings) -> Option<ExecutionMode> {
    let Some(field) = spec.get("executionMode") else { return Some(ExecutionMode::default()) };
    match field.text(findings)? {
        "JOB" => Some(ExecutionMode::Job),
        "WARM" => Some(ExecutionMode::Warm),
        "POOL" => Some(ExecutionMode::Pool),
        other => {
            field.error(findings, format!("must be JOB, WARM or POOL, is \"{}\"", excerpt(other)));
            None
        }
    }
}

/// Checks that the fields fit what gives the function its instances.
fn check_mode(spec: &Object<'_>, mode: ExecutionMode, findings: &mut Findings) {
    let pool = mode == ExecutionMode::Pool;
    match (pool, spec.get("endpointUrl")) {
        (true, None) => {
            spec.fault_at("endpointUrl", findings, "is required with executionMode POOL");
        }
        (false, Some(field)) => {
            field.error(findings, format!("is only for executionMode POOL, which is {mode} here"));
        }
        (true, Some(_)) | (false, None) => {}
    }
    if !pool && spec.get("image").is_none() && spec.get("local").is_none() {
        let message = format!(
            "is required with executionMode {mode}, unless local.command says what the local backend runs"
        );
        spec.fault_at("image", findings, message);
    }
    if let Some(field) = spec.get("replicas").filter(|_| mode != ExecutionMode::Warm) {
        field.error(findings, format!("is only for executionMode WARM, which is {mode} here"));
    }
    if let Some(field) = spec.get("standby").filter(|_| mode != ExecutionMode::Job) {
        field.error(findings, format!("is only for executionMode JOB, which is {mode} here"));
    }
}

/// Reads a number that has a default, which also stands in for a faulty one.
pub(super) fn whole(object: &Object<'_>, number: NumberField, findings: &mut Findings) -> u32 {
    given(object, number, findings).unwrap_or(number.bounds.default)
}

pub(super) fn given(object: &Object<'_>, number: NumberField, findings: &mut Findings) -> Option<u32> {
    object.get(number.name())?.whole(&number.bounds, findings)
}

/// Whether a rule between two fields can be judged: none of them is there with an error of its own.
pub(super) fn sound<const N: usize>(spec: &Object<'_>, fields: [(&str, Option<u32>); N]) -> bool {
    fields.iter().all(|(key, value)| value.is_some() || spec.get(key).is_none())
}

fn read_timeouts(spec: &Object<'_>, findings: &mut Findings) -> (u32, u32) {
    const WHOLE: NumberField = fields::number("timeoutMs");
    let given_timeout = given(spec, WHOLE, findings);
    let attempt = given(spec, const { fields::number("attemptTimeoutMs") }, findings);
    let timeout = given_timeout.unwrap_or(WHOLE.bounds.default);
    if let Some(attempt) = attempt.filter(|&attempt| attempt > timeout)
        && sound(spec, [("timeoutMs", given_timeout)])
    {
        let message = format!("must not exceed timeoutMs, which is {timeout} ms, is {attempt}");
        spec.fault_at("attemptTimeoutMs", findings, message);
    }
    (timeout, attempt.unwrap_or(timeout))
}

fn read_backoff(spec: &Object<'_>, findings: &mut Findings) -> (u32, u32) {
    const FIRST: NumberField = fields::number("retryBackoffMs");
    const LAST: NumberField = fields::number("retryMaxBackoffMs");
    let (first, last) = (given(spec, FIRST, findings), given(spec, LAST, findings));
    let sound = sound(spec, [("retryBackoffMs", first), ("retryMaxBackoffMs", last)]);
    let from = first.unwrap_or(FIRST.bounds.default);
    let to = last.unwrap_or(LAST.bounds.default);
    if sound && to < from {
        let message = format!("must be at least retryBackoffMs, which is {from} ms, is {to}");
        spec.fault_at("retryMaxBackoffMs", findings, message);
    }
    (from, to)
}

fn read_endpoints(spec: &Object<'_>, findings: &mut Findings) -> Vec<EndpointUrl> {
    let Some(field) = spec.get("endpointUrl") else { return Vec::new() };
    if !field.is_list() {
        return read_endpoint(&field, findings).into_iter().collect();
    }
    let items = field.list("URLs", findings).unwrap_or_default();
    if items.is_empty() || items.len() > ENDPOINTS_MAX {
        field.error(findings, format!("must hold 1 to {ENDPOINTS_MAX} URLs, holds {}", items.len()));
        return Vec::new();
    }
    let mut seen = HashSet::new();
    let mut urls = Vec::with_capacity(items.len());
    for item in &items {
        let Some(url) = read_endpoint(item, findings) else { continue };
        if seen.insert(url.clone()) {
            urls.push(url);
        } else {
            item.error(findings, format!("names {url} a second time"));
        }
    }
    urls
}

/// Reads whether the endpoints are asked for frames; `true` is for a mode with endpoints.
fn read_frames(spec: &Object<'_>, mode: Option<ExecutionMode>, findings: &mut Findings) -> bool {
    let Some(field) = spec.get("frames") else { return false };
    let frames = field.boolean(findings).unwrap_or(false);
    if let Some(mode) = mode.filter(|mode| frames && *mode != ExecutionMode::Pool) {
        field.error(findings, format!("is only for executionMode POOL, which is {mode} here; leave it out"));
    }
    frames
}

/// Reads which of the executions that wait is next.
fn read_queue_order(spec: &Object<'_>, drops: bool, findings: &mut Findings) -> QueueOrder {
    let default = if drops { QueueOrder::Deadline } else { QueueOrder::Fifo };
    let Some(field) = spec.get("queueOrder") else { return default };
    match field.text(findings) {
        Some("FIFO") => QueueOrder::Fifo,
        Some("LIFO") => QueueOrder::Lifo,
        Some("DEADLINE") => QueueOrder::Deadline,
        Some(other) => {
            field.error(findings, format!("must be FIFO, LIFO or DEADLINE, is \"{}\"", excerpt(other)));
            default
        }
        None => default,
    }
}

/// Reads whether what cannot end in time is dropped; `true` is for functions of which that can be known.
fn read_drop_unreachable(spec: &Object<'_>, mode: Option<ExecutionMode>, findings: &mut Findings) -> bool {
    let Some(field) = spec.get("dropUnreachable") else { return false };
    let drops = field.boolean(findings).unwrap_or(false);
    if drops && (mode == Some(ExecutionMode::Job) || spec.get("web").is_some()) {
        field.error(findings, "is only for executionMode WARM or POOL without web; leave it out");
    }
    drops
}

fn read_endpoint(field: &Field<'_>, findings: &mut Findings) -> Option<EndpointUrl> {
    let text = field.text(findings)?;
    let error = |error| field.error(findings, format!("{error}; is \"{}\"", excerpt(text)));
    text.parse().map_err(error).ok()
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

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[derive(Serialize)]
struct SecretName<'a> {
    name: &'a str,
}
