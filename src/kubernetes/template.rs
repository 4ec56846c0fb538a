//! A function's specification as a template of pods that satisfies the Pod Security Standard `restricted`.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMapEnvSource, ConfigMapKeySelector, Container, ContainerPort, EnvFromSource, EnvVar,
    EnvVarSource, LocalObjectReference, ObjectFieldSelector, PodSecurityContext, PodSpec, PodTemplateSpec,
    ResourceRequirements, SeccompProfile, SecretEnvSource, SecretKeySelector, SecretVolumeSource,
    SecurityContext, Toleration, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::spec;
use crate::spec::{EnvSource, EnvValue, ExecutionMode, FunctionSpec, ResourceList, ValueFrom};

/// The label with the maker of an object. Every object of ours carries it, and watches select by it.
pub(crate) const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The value of [`MANAGED_BY`].
pub(crate) const PICOFAAS: &str = "picofaas";
/// The function that an object belongs to.
pub(crate) const FUNCTION: &str = "picofaas.dev/function";
/// The execution that a Job was made for.
pub(crate) const EXECUTION: &str = "picofaas.dev/execution-id";
/// The annotation with the time at which a pod that waited for it was given its execution.
pub(crate) const ASSIGNED: &str = "picofaas.dev/assigned-at";
/// The label of a Job that waits for an execution, and of its pod, with the hash of its template.
pub(crate) const STANDBY: &str = "picofaas.dev/standby";
/// The process of the control plane that made a Job.
pub(crate) const INCARNATION: &str = "picofaas.dev/boot";
/// Prefix of the names of a function's objects.
pub(crate) const NAME_PREFIX: &str = "fn-";
/// The function's container of a pod, and the only one that is ours.
pub(crate) const CONTAINER: &str = "function";
/// Port at which a runtime listens in its pod.
pub(crate) const PORT: u16 = 8080;
/// Folder in which the secrets of a function are mounted, each as a folder of its name.
pub(crate) const SECRETS_FOLDER: &str = "/var/run/secrets/picofaas";

/// The labels that every object of a function carries.
#[must_use]
pub(crate) fn labels(function: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(MANAGED_BY.to_owned(), PICOFAAS.to_owned()), (FUNCTION.to_owned(), function.to_owned())])
}

/// The name of what belongs to a function: at most 43 bytes, so that the names that Kubernetes makes of it
/// stay within a label.
#[must_use]
pub(crate) fn name_of(function: &str) -> String {
    format!("{NAME_PREFIX}{function}")
}

/// A text as a pod has to have it for its container to be given the same text. In `env[].value`, `command` and
/// `args` Kubernetes takes `$(NAME)` for the value of a variable, which may be a secret's, and `$$` for `$`.
fn literal(text: &str) -> String {
    text.replace('$', "$$")
}

/// A variable with a value, which its container is given as it is here.
#[must_use]
pub(crate) fn variable(name: &str, value: impl AsRef<str>) -> EnvVar {
    EnvVar { name: name.to_owned(), value: Some(literal(value.as_ref())), value_from: None }
}

/// A variable of the specification.
fn given(one: &spec::EnvVar) -> EnvVar {
    let from = match &one.value {
        EnvValue::Text(value) => return variable(&one.name, value),
        EnvValue::From(ValueFrom::Secret(at)) => EnvVarSource {
            secret_key_ref: Some(SecretKeySelector {
                name: at.name.clone(),
                key: at.key.clone(),
                optional: Some(at.optional),
            }),
            ..EnvVarSource::default()
        },
        EnvValue::From(ValueFrom::ConfigMap(at)) => EnvVarSource {
            config_map_key_ref: Some(ConfigMapKeySelector {
                name: at.name.clone(),
                key: at.key.clone(),
                optional: Some(at.optional),
            }),
            ..EnvVarSource::default()
        },
        EnvValue::From(ValueFrom::Field { path }) => EnvVarSource {
            field_ref: Some(ObjectFieldSelector { api_version: None, field_path: path.clone() }),
            ..EnvVarSource::default()
        },
    };
    EnvVar { name: one.name.clone(), value: None, value_from: Some(from) }
}

/// Secrets and config maps whose every key becomes a variable. Where `env` has a name too, that counts.
fn sources(spec: &FunctionSpec) -> Vec<EnvFromSource> {
    let source = |one: &spec::EnvFrom| {
        let prefix = Some(one.prefix.clone()).filter(|prefix| !prefix.is_empty());
        match &one.source {
            EnvSource::Secret(of) => EnvFromSource {
                prefix,
                secret_ref: Some(SecretEnvSource { name: of.name.clone(), optional: Some(of.optional) }),
                ..EnvFromSource::default()
            },
            EnvSource::ConfigMap(of) => EnvFromSource {
                prefix,
                config_map_ref: Some(ConfigMapEnvSource {
                    name: of.name.clone(),
                    optional: Some(of.optional),
                }),
                ..EnvFromSource::default()
            },
        }
    };
    spec.env_from.iter().map(source).collect()
}

/// The secrets of a function as volumes, and where they are mounted. A volume's name must be shorter than
/// a secret's may be, so volumes are counted.
fn mounted(spec: &FunctionSpec) -> (Vec<Volume>, Vec<VolumeMount>) {
    let one = |(index, secret): (usize, &String)| {
        let name = format!("secret-{index}");
        let volume = Volume {
            name: name.clone(),
            secret: Some(SecretVolumeSource {
                secret_name: Some(secret.clone()),
                ..SecretVolumeSource::default()
            }),
            ..Volume::default()
        };
        let mount = VolumeMount {
            name,
            mount_path: format!("{SECRETS_FOLDER}/{secret}"),
            read_only: Some(true),
            ..VolumeMount::default()
        };
        (volume, mount)
    };
    spec.secrets.iter().enumerate().map(one).unzip()
}

fn tolerations(spec: &FunctionSpec) -> Vec<Toleration> {
    let one = |one: &spec::pod_template::Toleration| Toleration {
        key: one.key.clone(),
        operator: Some(one.operator.as_str().to_owned()),
        value: Some(one.value.clone()).filter(|value| !value.is_empty()),
        effect: one.effect.map(|effect| effect.as_str().to_owned()),
        toleration_seconds: one.toleration_seconds.map(i64::from),
    };
    spec.pod_template.tolerations.iter().map(one).collect()
}

/// The variables that every pod of a function gets, whichever way it comes to its work. Those of the specification come
/// first, so that none of them hides one of ours.
#[must_use]
pub(crate) fn environment(spec: &FunctionSpec, mode: ExecutionMode) -> Vec<EnvVar> {
    let mut env: Vec<EnvVar> = spec.env.iter().map(given).collect();
    env.push(variable("FUNCTION_NAME", spec.name.as_str()));
    env.push(variable("EXECUTION_MODE", mode.as_str()));
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
pub(crate) fn pods(spec: &FunctionSpec, env: Vec<EnvVar>) -> PodTemplateSpec {
    let (volumes, mounts) = mounted(spec);
    let said = &spec.pod_template;
    let container = Container {
        name: CONTAINER.to_owned(),
        image: spec.image.clone(),
        command: some(spec.command.iter().map(|word| literal(word)).collect()),
        args: some(spec.args.iter().map(|word| literal(word)).collect()),
        env: Some(env),
        env_from: some(sources(spec)),
        volume_mounts: some(mounts),
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
    let pod = PodSpec {
        containers: vec![container],
        automount_service_account_token: Some(false),
        service_account_name: said.service_account_name.clone(),
        node_selector: Some(said.node_selector.clone()).filter(|selector| !selector.is_empty()),
        tolerations: some(tolerations(spec)),
        volumes: some(volumes),
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
    let metadata = (!said.annotations.is_empty())
        .then(|| ObjectMeta { annotations: Some(said.annotations.clone()), ..ObjectMeta::default() });
    PodTemplateSpec { metadata, spec: Some(pod) }
}

fn quantities(list: &ResourceList) -> BTreeMap<String, Quantity> {
    list.iter().map(|(name, quantity)| (name.to_owned(), Quantity(quantity.as_str().to_owned()))).collect()
}

/// Kubernetes tells "not given" from "given and empty".
fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    Some(list).filter(|list| !list.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::spec::parse_function;

    #[test]
    fn everything_that_a_function_says_of_its_pods_is_in_the_template() {
        let spec = parse_function(
            br#"{"name":"f","image":"i","env":[
                {"name":"A","valueFrom":{"secretKeyRef":{"name":"s","key":"k"}}},
                {"name":"B","valueFrom":{"configMapKeyRef":{"name":"m","key":"k","optional":true}}},
                {"name":"C","valueFrom":{"fieldRef":{"fieldPath":"spec.nodeName"}}}],
            "envFrom":[{"secretRef":{"name":"s"}},{"prefix":"P_","configMapRef":{"name":"m"}}],
            "secrets":["db"],
            "podTemplate":{"nodeSelector":{"disk":"ssd"},"annotations":{"a/b":"c"},
                "tolerations":[{"key":"gpu","operator":"Exists","effect":"NoExecute","tolerationSeconds":5}],
                "serviceAccountName":"reader"}}"#,
        )
        .unwrap();
        let template = serde_json::to_value(pods(&spec, environment(&spec, spec.execution_mode))).unwrap();
        let pod = &template["spec"];
        let container = &pod["containers"][0];
        assert_eq!(
            container["env"].as_array().unwrap()[..3],
            [
                json!({"name":"A","valueFrom":{"secretKeyRef":{"name":"s","key":"k","optional":false}}}),
                json!({"name":"B","valueFrom":{"configMapKeyRef":{"name":"m","key":"k","optional":true}}}),
                json!({"name":"C","valueFrom":{"fieldRef":{"fieldPath":"spec.nodeName"}}}),
            ]
        );
        assert_eq!(
            container["envFrom"],
            json!([
                {"secretRef":{"name":"s","optional":false}},
                {"prefix":"P_","configMapRef":{"name":"m","optional":false}},
            ])
        );
        assert_eq!(
            container["volumeMounts"],
            json!([{"name":"secret-0","mountPath":"/var/run/secrets/picofaas/db","readOnly":true}])
        );
        assert_eq!(pod["volumes"], json!([{"name":"secret-0","secret":{"secretName":"db"}}]));
        assert_eq!(pod["nodeSelector"], json!({"disk":"ssd"}));
        assert_eq!(
            pod["tolerations"],
            json!([{"key":"gpu","operator":"Exists","effect":"NoExecute","tolerationSeconds":5}])
        );
        assert_eq!(pod["serviceAccountName"], "reader");
        assert_eq!(pod["automountServiceAccountToken"], false, "pods never get the account's token");
        assert_eq!(template["metadata"]["annotations"], json!({"a/b":"c"}));
    }

    #[test]
    fn what_kubernetes_would_expand_is_escaped_wherever_it_expands() {
        let spec = parse_function(
            br#"{"name":"f","image":"i","command":["/f","$(A)"],"args":["pa$$word","$","$\u00e9"],
            "env":[{"name":"A","value":"$(HOME) $$(B)"},{"name":"B","value":"plain"}],
            "podTemplate":{"annotations":{"a/b":"$(A)"}}}"#,
        )
        .unwrap();
        let template = serde_json::to_value(pods(&spec, environment(&spec, spec.execution_mode))).unwrap();
        let container = &template["spec"]["containers"][0];
        assert_eq!(container["command"], json!(["/f", "$$(A)"]));
        assert_eq!(container["args"], json!(["pa$$$$word", "$$", "$$\u{e9}"]));
        assert_eq!(container["env"][0], json!({"name":"A","value":"$$(HOME) $$$$(B)"}));
        assert_eq!(container["env"][1], json!({"name":"B","value":"plain"}));
        // Nothing is expanded in an annotation, nor in what is made of one by `fieldRef`.
        assert_eq!(template["metadata"]["annotations"], json!({"a/b":"$(A)"}));
    }
}
