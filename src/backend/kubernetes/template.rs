//! A function's specification as a template of pods that satisfies the Pod Security Standard `restricted`.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Capabilities, Container, ContainerPort, EnvVar, EnvVarSource, LocalObjectReference, ObjectFieldSelector,
    PodSecurityContext, PodSpec, PodTemplateSpec, ResourceRequirements, SeccompProfile, SecurityContext,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use crate::registry::{FunctionSpec, ResourceList};

/// Who made an object. Every object of ours carries it, and it is what watches select by.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The value of [`MANAGED_BY`].
pub const PICOFAAS: &str = "picofaas";
/// The function that an object belongs to.
pub const FUNCTION: &str = "picofaas.dev/function";
/// The execution that a Job was made for.
pub const EXECUTION: &str = "picofaas.dev/execution-id";
/// The process of the control plane that made a Job.
pub const BOOT: &str = "picofaas.dev/boot";
/// What the names of a function's objects begin with.
pub const NAME_PREFIX: &str = "fn-";
/// The only container of a pod.
pub const CONTAINER: &str = "function";
/// Where a runtime listens in its pod.
pub const PORT: u16 = 8080;

/// The labels that every object of a function carries.
#[must_use]
pub fn labels(function: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(MANAGED_BY.to_owned(), PICOFAAS.to_owned()), (FUNCTION.to_owned(), function.to_owned())])
}

/// The name of what belongs to a function: at most 43 bytes, so that the names that Kubernetes makes of it
/// stay within a label.
#[must_use]
pub fn name_of(function: &str) -> String {
    format!("{NAME_PREFIX}{function}")
}

/// A variable with a value.
#[must_use]
pub fn variable(name: &str, value: impl Into<String>) -> EnvVar {
    EnvVar { name: name.to_owned(), value: Some(value.into()), value_from: None }
}

/// The variables that every pod of a function gets, whatever its mode. Those of the specification come
/// first, so that none of them hides one of ours.
#[must_use]
pub fn environment(spec: &FunctionSpec) -> Vec<EnvVar> {
    let mut env: Vec<EnvVar> = spec.env.iter().map(|one| variable(&one.name, &one.value)).collect();
    env.push(variable("FUNCTION_NAME", spec.name.to_string()));
    env.push(variable("EXECUTION_MODE", spec.execution_mode.as_str()));
    env.push(variable("TIMEOUT_MS", spec.timeout_ms.to_string()));
    env.push(variable("PORT", PORT.to_string()));
    env.push(EnvVar {
        name: "POD_IP".to_owned(),
        value: None,
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector { api_version: None, field_path: "status.podIP".to_owned() }),
            ..EnvVarSource::default()
        }),
    });
    env
}

/// The pods of a function. What differs by mode, which is probes, grace and the further variables, is
/// the caller's to add.
#[must_use]
pub fn pods(spec: &FunctionSpec, env: Vec<EnvVar>) -> PodTemplateSpec {
    let container = Container {
        name: CONTAINER.to_owned(),
        image: spec.image.clone(),
        command: some(spec.command.clone()),
        args: some(spec.args.clone()),
        env: Some(env),
        ports: Some(vec![ContainerPort {
            name: Some("http".to_owned()),
            container_port: i32::from(PORT),
            ..ContainerPort::default()
        }]),
        resources: Some(ResourceRequirements {
            requests: Some(quantities(&spec.resources.requests)),
            limits: Some(quantities(&spec.resources.limits)).filter(|limits| !limits.is_empty()),
            ..ResourceRequirements::default()
        }),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities { add: None, drop: Some(vec!["ALL".to_owned()]) }),
            ..SecurityContext::default()
        }),
        ..Container::default()
    };
    let spec = PodSpec {
        containers: vec![container],
        automount_service_account_token: Some(false),
        // A variable for each Service of the namespace would cost every start.
        enable_service_links: Some(false),
        image_pull_secrets: some(
            spec.image_pull_secrets.iter().map(|name| LocalObjectReference { name: name.clone() }).collect(),
        ),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".to_owned(),
                ..SeccompProfile::default()
            }),
            ..PodSecurityContext::default()
        }),
        ..PodSpec::default()
    };
    PodTemplateSpec { metadata: None, spec: Some(spec) }
}

/// Metadata of an object of a function, which goes with the Function object where there is one.
#[must_use]
pub fn metadata(name: String, labels: BTreeMap<String, String>, owner: Option<OwnerReference>) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        labels: Some(labels),
        owner_references: owner.map(|owner| vec![owner]),
        ..ObjectMeta::default()
    }
}

fn quantities(list: &ResourceList) -> BTreeMap<String, Quantity> {
    list.iter().map(|(name, quantity)| (name.to_owned(), Quantity(quantity.as_str().to_owned()))).collect()
}

/// Kubernetes tells "not given" from "given and empty".
fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    Some(list).filter(|list| !list.is_empty())
}
