//! The tree of a specification to a [`FunctionSpec`].

use std::collections::{BTreeMap, HashSet};

use super::bounds::{
    ATTEMPT_TIMEOUT_MS, CONCURRENCY, IDLE_TIMEOUT_MS, INSTANCE_CONCURRENCY, QUEUE_MS, QUEUE_SIZE,
    REPLICAS_MAX, REPLICAS_MIN, RETRIES, RETRY_BACKOFF_MS, RETRY_MAX_BACKOFF_MS, TIMEOUT_MS,
};
use super::endpoint::ENDPOINTS_MAX;
use super::field_errors::Findings;
use super::object::{Field, Object};
use super::pod_template::pod_template;
use super::{
    Bounds, EndpointUrl, ExecutionMode, FieldErrors, FunctionName, FunctionSpec, Replicas, container,
    environment, tree,
};
use crate::error::excerpt;

/// Every field of a specification. `status` is what an answer adds: it is passed over, so that what
/// was read with `GET` can be sent back.
pub(crate) const FIELDS: &[&str] = &[
    "name",
    "executionMode",
    "image",
    "command",
    "args",
    "env",
    "envFrom",
    "secrets",
    "imagePullSecrets",
    "resources",
    "podTemplate",
    "local",
    "endpointUrl",
    "timeoutMs",
    "maxQueueMs",
    "attemptTimeoutMs",
    "concurrency",
    "instanceConcurrency",
    "queueSize",
    "maxRetries",
    "retryBackoffMs",
    "retryMaxBackoffMs",
    "replicas",
    "idleTimeoutMs",
    "status",
];

/// Why a text is no specification.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// The text is not JSON, or not an object.
    #[error("line {line}, column {column}: {message}")]
    Json {
        /// Line of the error, counted from 1.
        line: usize,
        /// Column of the error, counted from 1; 0 right after a line's end.
        column: usize,
        /// The fault.
        message: String,
    },
    /// It is an object, and these are the errors of its fields.
    #[error(transparent)]
    Fields(#[from] FieldErrors),
}

/// Source of the name of a function.
#[derive(Debug, Clone, Copy)]
pub(super) enum Naming<'n> {
    /// From the specification itself, which must have one.
    Inside,
    /// From outside, and the specification may repeat it.
    Outside(&'n FunctionName),
    /// From outside, where it was no name; that is already noted.
    Invalid,
}

/// Reads a specification from its flat JSON form.
///
/// # Errors
/// [`SpecError::Json`] if it is no JSON object, else every error that was found.
pub fn parse_function(bytes: &[u8]) -> Result<FunctionSpec, SpecError> {
    parse(bytes, Findings::default(), Naming::Inside)
}

/// Reads the specification of the function `name` from its flat JSON form, which may leave the name
/// out and must not say another one.
///
/// # Errors
/// [`SpecError::Json`] if it is no JSON object, else every error that was found.
pub fn parse_function_named(name: &str, bytes: &[u8]) -> Result<FunctionSpec, SpecError> {
    let mut findings = Findings::default();
    let name = FunctionName::new(name).map_err(|error| {
        findings.add(0, "name", format!("{error}, is \"{}\" in the path", excerpt(name)));
    });
    parse(bytes, findings, name.as_ref().map_or(Naming::Invalid, Naming::Outside))
}

fn parse(bytes: &[u8], mut findings: Findings, naming: Naming<'_>) -> Result<FunctionSpec, SpecError> {
    let tree = tree::from_json(bytes).map_err(|error| json_error(&error))?;
    let root = Field::root(&tree);
    if !root.is_object() {
        let (line, column) = start_of_text(bytes);
        let message = format!("must be a JSON object, is {}", root.kind());
        return Err(SpecError::Json { line, column, message });
    }
    if is_manifest(&root) {
        let message = "is a manifest; send the fields under its spec, and the name beside them";
        findings.add(0, "", message);
        return Err(findings.into_errors().into());
    }
    let spec = read_spec(&root, naming, &mut findings);
    spec.filter(|_| findings.is_empty()).ok_or_else(|| findings.into_errors().into())
}

/// Whether somebody sends a manifest file as it is. One sentence helps more than a complaint about each
/// of its fields.
fn is_manifest(root: &Field<'_>) -> bool {
    let mut unheard = Findings::default();
    let object = root.any_object(&mut unheard);
    object.is_some_and(|object| object.get("apiVersion").is_some() && object.get("spec").is_some())
}

fn json_error(error: &serde_json::Error) -> SpecError {
    let (line, column) = (error.line(), error.column());
    let full = error.to_string();
    let reason = full.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&full);
    SpecError::Json { line, column, message: format!("is not JSON: {reason}") }
}

/// Line and column, counted from 1, of the first byte that is not white space.
fn start_of_text(bytes: &[u8]) -> (usize, usize) {
    let before = bytes.iter().take_while(|byte| byte.is_ascii_whitespace());
    before
        .fold((1, 1), |(line, column), &byte| if byte == b'\n' { (line + 1, 1) } else { (line, column + 1) })
}

/// Reads a specification. Where it returns nothing, the findings say why; where the findings are not
/// empty, what it returns must not be used.
pub(super) fn read_spec(
    root: &Field<'_>,
    naming: Naming<'_>,
    findings: &mut Findings,
) -> Option<FunctionSpec> {
    let spec = root.object(FIELDS, findings)?;
    let name = read_name(&spec, naming, findings);
    let mode = read_mode(&spec, findings);
    if let Some(mode) = mode {
        check_mode(&spec, mode, findings);
    }
    let (timeout_ms, attempt_timeout_ms) = read_timeouts(&spec, findings);
    let (retry_backoff_ms, retry_max_backoff_ms) = read_backoff(&spec, findings);
    let concurrency = number(&spec, "concurrency", &CONCURRENCY, findings);
    let instance_concurrency = given_number(&spec, "instanceConcurrency", &INSTANCE_CONCURRENCY, findings);
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
        local: container::local(&spec, findings),
        endpoint_urls: read_endpoints(&spec, findings),
        timeout_ms,
        max_queue_ms: number(&spec, "maxQueueMs", &QUEUE_MS, findings),
        attempt_timeout_ms,
        concurrency,
        instance_concurrency: instance_concurrency.unwrap_or(concurrency),
        queue_size: number(&spec, "queueSize", &QUEUE_SIZE, findings),
        max_retries: number(&spec, "maxRetries", &RETRIES, findings),
        retry_backoff_ms,
        retry_max_backoff_ms,
        replicas: Some(read_replicas(&spec, findings)).filter(|_| mode == Some(ExecutionMode::Warm)),
        idle_timeout_ms: number(&spec, "idleTimeoutMs", &IDLE_TIMEOUT_MS, findings),
        annotations: BTreeMap::new(),
        directory: None,
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
}

/// Reads a number that has a default, which also stands in for a faulty one.
fn number(spec: &Object<'_>, key: &str, bounds: &Bounds, findings: &mut Findings) -> u32 {
    given_number(spec, key, bounds, findings).unwrap_or(bounds.default)
}

fn given_number(spec: &Object<'_>, key: &str, bounds: &Bounds, findings: &mut Findings) -> Option<u32> {
    spec.get(key)?.whole(bounds, findings)
}

/// Whether a rule between two fields can be judged: none of them is there with an error of its own.
fn sound<const N: usize>(spec: &Object<'_>, fields: [(&str, Option<u32>); N]) -> bool {
    fields.iter().all(|(key, value)| value.is_some() || spec.get(key).is_none())
}

fn read_timeouts(spec: &Object<'_>, findings: &mut Findings) -> (u32, u32) {
    let given = given_number(spec, "timeoutMs", &TIMEOUT_MS, findings);
    let attempt = given_number(spec, "attemptTimeoutMs", &ATTEMPT_TIMEOUT_MS, findings);
    let timeout = given.unwrap_or(TIMEOUT_MS.default);
    if let Some(attempt) = attempt.filter(|&attempt| attempt > timeout)
        && sound(spec, [("timeoutMs", given)])
    {
        let message = format!("must not exceed timeoutMs, which is {timeout} ms, is {attempt}");
        spec.fault_at("attemptTimeoutMs", findings, message);
    }
    (timeout, attempt.unwrap_or(timeout))
}

fn read_backoff(spec: &Object<'_>, findings: &mut Findings) -> (u32, u32) {
    let first = given_number(spec, "retryBackoffMs", &RETRY_BACKOFF_MS, findings);
    let last = given_number(spec, "retryMaxBackoffMs", &RETRY_MAX_BACKOFF_MS, findings);
    let sound = sound(spec, [("retryBackoffMs", first), ("retryMaxBackoffMs", last)]);
    let from = first.unwrap_or(RETRY_BACKOFF_MS.default);
    let to = last.unwrap_or(RETRY_MAX_BACKOFF_MS.default);
    if sound && to < from {
        let message = format!("must be at least retryBackoffMs, which is {from} ms, is {to}");
        spec.fault_at("retryMaxBackoffMs", findings, message);
    }
    (from, to)
}

fn read_replicas(spec: &Object<'_>, findings: &mut Findings) -> Replicas {
    let field = spec.get("replicas");
    let Some(object) = field.and_then(|field| field.object(&["min", "max"], findings)) else {
        return Replicas::default();
    };
    let min = given_number(&object, "min", &REPLICAS_MIN, findings);
    let max = given_number(&object, "max", &REPLICAS_MAX, findings);
    let sound = sound(&object, [("min", min), ("max", max)]);
    let replicas =
        Replicas { min: min.unwrap_or(REPLICAS_MIN.default), max: max.unwrap_or(REPLICAS_MAX.default) };
    if sound && replicas.min > replicas.max {
        let Replicas { min, max } = replicas;
        object.fault_at("min", findings, format!("must not exceed replicas.max, which is {max}, is {min}"));
    }
    replicas
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

fn read_endpoint(field: &Field<'_>, findings: &mut Findings) -> Option<EndpointUrl> {
    let text = field.text(findings)?;
    let error = |error| field.error(findings, format!("{error}; is \"{}\"", excerpt(text)));
    text.parse().map_err(error).ok()
}

#[cfg(test)]
mod tests;
