//! The environment of a function: values that are written down, and values that Kubernetes looks up
//! when it starts a pod.

use std::collections::HashSet;

use serde::Serialize;
use serde_json::Value;

use super::container::object_name;
use super::field_errors::Findings;
use super::object::{Field, Object};
use crate::error::excerpt;

/// Environment that picofaas gives every function; a specification must not set it. `HANDLER` and
/// the `WATCHDOG_…` variables are the function's own: by them it tells its runtime what to run.
pub(crate) const RESERVED_ENV: [&str; 12] = [
    "FUNCTION_NAME",
    "PORT",
    "PICOFAAS_SOCKET",
    "PICOFAAS_INSTANCE",
    "EXECUTION_MODE",
    "EXECUTION_ID",
    "TRACE_ID",
    "PICOFAAS_RUNTIME_URL",
    "PICOFAAS_TOKEN",
    "PICOFAAS_STANDBY",
    "POD_IP",
    "TIMEOUT_MS",
];

/// Longest key of a secret or config map, in bytes.
const KEY_BYTES_MAX: usize = 253;

/// Fields that a pod may read of itself, apart from single labels and annotations.
const FIELD_PATHS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

/// One environment variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EnvVar {
    /// Its name; never one of those that picofaas sets.
    pub name: String,
    /// Its value, or where that is found.
    #[serde(flatten)]
    pub value: EnvValue,
}

/// Value of a variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum EnvValue {
    /// This text, which may be empty.
    #[serde(rename = "value")]
    Text(String),
    /// A value that Kubernetes finds when it starts a pod.
    #[serde(rename = "valueFrom")]
    From(ValueFrom),
}

/// Source from which Kubernetes takes the value of one variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum ValueFrom {
    /// In a secret.
    #[serde(rename = "secretKeyRef")]
    Secret(KeyRef),
    /// In a config map.
    #[serde(rename = "configMapKeyRef")]
    ConfigMap(KeyRef),
    /// In the pod itself.
    #[serde(rename = "fieldRef")]
    Field {
        /// Path of the field, such as `spec.nodeName`.
        #[serde(rename = "fieldPath")]
        path: String,
    },
}

/// One key of a secret or config map.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyRef {
    /// Name of the secret or config map.
    pub name: String,
    /// The key in it.
    pub key: String,
    /// Whether the variable is left out, rather than the pod not started, where it is not there.
    #[serde(skip_serializing_if = "is_false")]
    pub optional: bool,
}

/// A secret or config map whose every key becomes a variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EnvFrom {
    /// Put before each key; may be empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// The source that is read.
    #[serde(flatten)]
    pub source: EnvSource,
}

/// The object that has the keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum EnvSource {
    /// A secret.
    #[serde(rename = "secretRef")]
    Secret(SourceRef),
    /// A config map.
    #[serde(rename = "configMapRef")]
    ConfigMap(SourceRef),
}

/// A secret or config map as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SourceRef {
    /// Its name.
    pub name: String,
    /// Whether pods start without it where it is not there.
    #[serde(skip_serializing_if = "is_false")]
    pub optional: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

/// Mask of a value that an answer does not show.
const HIDDEN: &str = "valueHidden";

/// Takes the values of variables out of the JSON form of a function. Where a value is to be found stays.
pub(crate) fn hide_values(function: &mut Value) {
    let variables = function.get_mut("env").and_then(Value::as_array_mut).into_iter().flatten();
    for variable in variables.filter_map(Value::as_object_mut) {
        if variable.remove("value").is_some() {
            variable.insert(HIDDEN.to_owned(), true.into());
        }
    }
}

/// Reads `env`.
pub(super) fn env(spec: &Object<'_>, findings: &mut Findings) -> Vec<EnvVar> {
    let of = "objects {name, value} or {name, valueFrom}";
    let items = spec.get("env").and_then(|field| field.list(of, findings)).unwrap_or_default();
    let mut names = HashSet::new();
    let mut env = Vec::with_capacity(items.len());
    for item in &items {
        let Some(object) = item.object(&["name", "value", "valueFrom", HIDDEN], findings) else { continue };
        let value = env_value(&object, findings);
        let Some(field) = object.get("name") else {
            object.fault_at("name", findings, "is required");
            continue;
        };
        let Some(name) = env_name(&field, findings) else { continue };
        if !names.insert(name) {
            field.error(findings, format!("names {name} a second time"));
        }
        if let Some(value) = value {
            env.push(EnvVar { name: name.to_owned(), value });
        }
    }
    env
}

/// Reads `envFrom`.
pub(super) fn env_from(spec: &Object<'_>, findings: &mut Findings) -> Vec<EnvFrom> {
    let of = "objects {prefix, secretRef} or {prefix, configMapRef}";
    let items = spec.get("envFrom").and_then(|field| field.list(of, findings)).unwrap_or_default();
    items.iter().filter_map(|item| env_source(item, findings)).collect()
}

fn env_source(item: &Field<'_>, findings: &mut Findings) -> Option<EnvFrom> {
    let object = item.object(&["prefix", "secretRef", "configMapRef"], findings)?;
    let prefix = match object.get("prefix") {
        Some(field) => match field.text(findings)? {
            "" => "",
            given => {
                check_env_name(&field, given, findings)?;
                given
            }
        },
        None => "",
    };
    let (key, field) = the_one_of(item, &object, ["secretRef", "configMapRef"], findings)?;
    let reference = field.object(&["name", "optional"], findings)?;
    let name = object_name(&reference, kind_of(key), findings);
    let source = SourceRef { name: name?, optional: flag(&reference, "optional", findings) };
    let source = if key == "secretRef" { EnvSource::Secret(source) } else { EnvSource::ConfigMap(source) };
    Some(EnvFrom { prefix: prefix.to_owned(), source })
}

/// Reads what one variable is set to; an absent value is an empty one, as in a pod.
fn env_value(variable: &Object<'_>, findings: &mut Findings) -> Option<EnvValue> {
    // A function that is read, edited and written back must not lose a value by that.
    if let Some(field) = variable.get(HIDDEN) {
        let message = "stands for a value that was not shown and is not known here: give the value, or read the function on the management listener, which shows it";
        field.error(findings, message);
        return None;
    }
    let Some(from) = variable.get("valueFrom") else {
        let text = variable.get("value").map_or(Some(""), |field| field.text(findings));
        return text.map(|text| EnvValue::Text(text.to_owned()));
    };
    // An empty one beside it counts as none: Kubernetes fills in that default.
    if let Some(field) = variable.get("value")
        && field.text(findings).is_some_and(|text| !text.is_empty())
    {
        field.error(findings, "must not be given beside valueFrom");
    }
    value_from(&from, findings).map(EnvValue::From)
}

fn value_from(field: &Field<'_>, findings: &mut Findings) -> Option<ValueFrom> {
    const KEYS: [&str; 3] = ["secretKeyRef", "configMapKeyRef", "fieldRef"];
    let object = field.object(&KEYS, findings)?;
    let (key, field) = the_one_of(field, &object, KEYS, findings)?;
    if key == "fieldRef" {
        return pod_field(&field, findings);
    }
    let reference = field.object(&["name", "key", "optional"], findings)?;
    let name = object_name(&reference, kind_of(key), findings);
    let data_key = data_key(&reference, findings);
    let optional = flag(&reference, "optional", findings);
    let reference = KeyRef { name: name?, key: data_key?, optional };
    Some(if key == "secretKeyRef" { ValueFrom::Secret(reference) } else { ValueFrom::ConfigMap(reference) })
}

/// Kind of object that a reference of this name refers to, for messages.
fn kind_of(key: &str) -> &'static str {
    if key.starts_with("secret") { "a secret" } else { "a config map" }
}

/// The only one of several fields that there is.
fn the_one_of<'t, const N: usize>(
    at: &Field<'_>,
    object: &Object<'t>,
    keys: [&'static str; N],
    findings: &mut Findings,
) -> Option<(&'static str, Field<'t>)> {
    let mut given = keys.into_iter().filter_map(|key| object.get(key).map(|field| (key, field)));
    let Some(first) = given.next() else {
        at.error(findings, format!("must have one of {}", keys.join(", ")));
        return None;
    };
    for (_, field) in given {
        field.error(findings, format!("must not be given beside {}", first.0));
    }
    Some(first)
}

/// Reads a field that is false where it is left out.
fn flag(object: &Object<'_>, key: &str, findings: &mut Findings) -> bool {
    object.get(key).and_then(|field| field.boolean(findings)).unwrap_or(false)
}

fn data_key(reference: &Object<'_>, findings: &mut Findings) -> Option<String> {
    let Some(field) = reference.get("key") else {
        reference.fault_at("key", findings, "is required");
        return None;
    };
    let key = field.text(findings)?;
    let made_of = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if !made_of || key.is_empty() || key.len() > KEY_BYTES_MAX {
        let message =
            format!("must be 1 to {KEY_BYTES_MAX} letters, digits, -, _ and ., is \"{}\"", excerpt(key));
        field.error(findings, message);
        return None;
    }
    Some(key.to_owned())
}

fn pod_field(field: &Field<'_>, findings: &mut Findings) -> Option<ValueFrom> {
    let object = field.object(&["fieldPath"], findings)?;
    let Some(field) = object.get("fieldPath") else {
        object.fault_at("fieldPath", findings, "is required");
        return None;
    };
    let path = field.text(findings)?;
    // One label or annotation of the pod: the quoted key is Kubernetes' own to judge.
    let subscript = |map: &str| {
        let quoted = path.strip_prefix(map).and_then(|rest| rest.strip_prefix("['")?.strip_suffix("']"));
        quoted.is_some_and(|key| !key.is_empty() && !key.contains('\''))
    };
    if !FIELD_PATHS.contains(&path) && !subscript("metadata.labels") && !subscript("metadata.annotations") {
        let known = FIELD_PATHS.join(", ");
        let message = format!(
            "must be one of {known}, metadata.labels['<key>'] and metadata.annotations['<key>'], is \"{}\"",
            excerpt(path)
        );
        field.error(findings, message);
        return None;
    }
    Some(ValueFrom::Field { path: path.to_owned() })
}

/// Reads the name of a variable.
fn env_name<'t>(field: &Field<'t>, findings: &mut Findings) -> Option<&'t str> {
    let name = field.text(findings)?;
    check_env_name(field, name, findings)?;
    if RESERVED_ENV.contains(&name) {
        field.error(findings, format!("must not be {name}, which is reserved for picofaas and its runtimes"));
        return None;
    }
    Some(name)
}

/// The rule for the name of a variable that every version of Kubernetes takes.
fn check_env_name(field: &Field<'_>, name: &str, findings: &mut Findings) -> Option<()> {
    let made_of = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if made_of && !name.is_empty() && !name.as_bytes()[0].is_ascii_digit() {
        return Some(());
    }
    let message = format!(
        "must be letters, digits, _, - and . that do not start with a digit, is \"{}\"",
        excerpt(name)
    );
    field.error(findings, message);
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::read_fields as read;
    use crate::spec::{SpecError, parse_function};

    #[test]
    fn every_source_of_a_variable_arrives_and_reading_the_answer_gives_an_equal_specification() {
        let spec = read(
            r#""env":[
                {"name":"A","value":"1"},
                {"name":"B","valueFrom":{"secretKeyRef":{"name":"s.one","key":"k_1"}}},
                {"name":"C","valueFrom":{"configMapKeyRef":{"name":"m","key":"k","optional":true}}},
                {"name":"D","valueFrom":{"fieldRef":{"fieldPath":"metadata.labels['a/b']"}}}],
            "envFrom":[{"secretRef":{"name":"s","optional":false}},
                {"prefix":"P_","configMapRef":{"name":"m","optional":true}}]"#,
        )
        .unwrap();
        let key = |name: &str, key: &str, optional| KeyRef { name: name.into(), key: key.into(), optional };
        assert_eq!(spec.env[1].value, EnvValue::From(ValueFrom::Secret(key("s.one", "k_1", false))));
        assert_eq!(spec.env[2].value, EnvValue::From(ValueFrom::ConfigMap(key("m", "k", true))));
        let path = "metadata.labels['a/b']".to_owned();
        assert_eq!(spec.env[3].value, EnvValue::From(ValueFrom::Field { path }));
        let source = |name: &str, optional| SourceRef { name: name.into(), optional };
        let secret = EnvFrom { prefix: String::new(), source: EnvSource::Secret(source("s", false)) };
        let map = EnvFrom { prefix: "P_".into(), source: EnvSource::ConfigMap(source("m", true)) };
        assert_eq!(spec.env_from, [secret, map]);
        let answer = serde_json::to_string(&spec).unwrap();
        assert_eq!(parse_function(answer.as_bytes()), Ok(spec), "{answer}");
        let form = r#""env":[{"name":"A","value":"1"},{"name":"B","valueFrom":{"secretKeyRef":{"name":"s.one","key":"k_1"}}},{"name":"C","valueFrom":{"configMapKeyRef":{"name":"m","key":"k","optional":true}}},{"name":"D","valueFrom":{"fieldRef":{"fieldPath":"metadata.labels['a/b']"}}}],"envFrom":[{"secretRef":{"name":"s"}},{"prefix":"P_","configMapRef":{"name":"m","optional":true}}]"#;
        assert!(answer.contains(form), "{answer}");
    }

    #[test]
    fn hidden_values_leave_the_names_and_where_values_are_found_and_are_not_read_back() {
        let spec = read(
            r#""env":[{"name":"A","value":"1"},{"name":"B"},
                {"name":"C","valueFrom":{"secretKeyRef":{"name":"s","key":"k"}}}]"#,
        )
        .unwrap();
        assert!(spec.has_values());
        let mut answer = serde_json::to_value(&spec).unwrap();
        let whole = answer.clone();
        hide_values(&mut answer);
        assert_eq!(answer["env"][0], serde_json::json!({"name":"A","valueHidden":true}));
        assert_eq!(answer["env"][1], serde_json::json!({"name":"B","valueHidden":true}));
        assert_eq!(answer["env"][2], whole["env"][2]);
        let SpecError::Fields(errors) = parse_function(answer.to_string().as_bytes()).unwrap_err() else {
            panic!("it is JSON")
        };
        let fields: Vec<&str> = errors.0.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(fields, ["env[0].valueHidden", "env[1].valueHidden"]);
        for (field, is_taken) in [("false", false), (r#""x""#, false), ("null", true)] {
            let read = read(&format!(r#""env":[{{"name":"A","value":"1","valueHidden":{field}}}]"#));
            assert_eq!(read.is_ok(), is_taken, "{field}");
        }

        let without =
            read(r#""env":[{"name":"C","valueFrom":{"secretKeyRef":{"name":"s","key":"k"}}}]"#).unwrap();
        assert!(!without.has_values());
        let mut answer = serde_json::to_value(&without).unwrap();
        let whole = answer.clone();
        hide_values(&mut answer);
        assert_eq!(answer, whole);
        let mut plain = serde_json::json!({"name":"f"});
        hide_values(&mut plain);
        assert_eq!(plain, serde_json::json!({"name":"f"}));
    }

    #[test]
    fn a_reference_that_kubernetes_would_refuse_is_refused_with_its_field() {
        let object = "lower-case letters, digits, - and .";
        for (fields, error) in [
            (
                r#""env":[{"name":"A","valueFrom":{}}]"#,
                "env[0].valueFrom: must have one of secretKeyRef, configMapKeyRef, fieldRef",
            ),
            (
                r#""env":[{"name":"A","value":"1","valueFrom":{"fieldRef":{"fieldPath":"spec.nodeName"}}}]"#,
                "env[0].value: must not be given beside valueFrom",
            ),
            (
                r#""env":[{"name":"A","valueFrom":{"fieldRef":{"fieldPath":"spec.nodeName"},"secretKeyRef":{"name":"s","key":"k"}}}]"#,
                "env[0].valueFrom.fieldRef: must not be given beside secretKeyRef",
            ),
            (
                r#""env":[{"name":"A","valueFrom":{"secretKeyRef":{"name":"S","key":"k"}}}]"#,
                &format!(
                    "env[0].valueFrom.secretKeyRef.name: must be the name of a secret: {object}, is \"S\""
                ),
            ),
            (
                r#""env":[{"name":"A","valueFrom":{"configMapKeyRef":{"name":"M","key":"k"}}}]"#,
                &format!(
                    "env[0].valueFrom.configMapKeyRef.name: must be the name of a config map: {object}, is \"M\""
                ),
            ),
            (
                r#""env":[{"name":"A","valueFrom":{"secretKeyRef":{"name":"s"}}}]"#,
                "env[0].valueFrom.secretKeyRef.key: is required",
            ),
            (
                r#""env":[{"name":"A","valueFrom":{"secretKeyRef":{"name":"s","key":"a/b"}}}]"#,
                "env[0].valueFrom.secretKeyRef.key: must be 1 to 253 letters, digits, -, _ and ., is \"a/b\"",
            ),
            (
                r#""env":[{"name":"A","valueFrom":{"secretKeyRef":{"name":"s","key":"k","optional":"yes"}}}]"#,
                "env[0].valueFrom.secretKeyRef.optional: must be true or false, is a string",
            ),
            (
                r#""env":[{"name":"A","valueFrom":{"fieldRef":{}}}]"#,
                "env[0].valueFrom.fieldRef.fieldPath: is required",
            ),
            (r#""envFrom":[{"prefix":"P"}]"#, "envFrom[0]: must have one of secretRef, configMapRef"),
            (r#""envFrom":[{"secretRef":{}}]"#, "envFrom[0].secretRef.name: is required"),
            (
                r#""envFrom":[{"prefix":"1","secretRef":{"name":"s"}}]"#,
                "envFrom[0].prefix: must be letters, digits, _, - and . that do not start with a digit, is \"1\"",
            ),
            (
                r#""envFrom":[{"secretRef":{"name":"s"},"configMapRef":{"name":"m"}}]"#,
                "envFrom[0].configMapRef: must not be given beside secretRef",
            ),
            (
                r#""envFrom":"s""#,
                "envFrom: must be a list of objects {prefix, secretRef} or {prefix, configMapRef}, is a string",
            ),
        ] {
            assert_eq!(read(fields), Err(vec![error.to_owned()]), "{fields}");
        }
    }

    #[test]
    fn a_pod_is_told_only_what_kubernetes_can_tell_it() {
        let field = |path: &str| {
            read(&format!(r#""env":[{{"name":"A","valueFrom":{{"fieldRef":{{"fieldPath":"{path}"}}}}}}]"#))
        };
        for path in FIELD_PATHS.iter().chain(&["metadata.annotations['x']", "metadata.labels['a/b.c']"]) {
            assert!(field(path).is_ok(), "{path}");
        }
        for path in [
            "",
            "spec",
            "metadata.labels",
            "metadata.labels['']",
            "metadata.labels['a']['b']",
            "spec.nodename",
        ] {
            let error = &field(path).unwrap_err()[0];
            let expected = "env[0].valueFrom.fieldRef.fieldPath: must be one of metadata.name, ";
            assert!(error.starts_with(expected), "{path}: {error}");
        }
    }
}
