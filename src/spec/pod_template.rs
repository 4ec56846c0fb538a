//! Settings of a function's pods beyond their container: their nodes, and their identity.

use std::collections::BTreeMap;

use serde::Serialize;

use super::bounds::TOLERATION_S;
use super::container::{is_object_name, object_name_in};
use super::field_errors::Findings;
use super::object::{Field, Object};
use crate::error::excerpt;

/// Most bytes that keys and values of `annotations` have together: what Kubernetes takes for an
/// object, less 4 KiB for those that it and picofaas add.
pub(crate) const ANNOTATIONS_BYTES_MAX: usize = 252 << 10;

/// Longest value of a label, and longest part of a key behind its prefix, in bytes.
const LABEL_BYTES_MAX: usize = 63;

/// The prefix of the labels and annotations that picofaas writes itself.
const OWN_PREFIX: &str = "picofaas.dev/";

/// Settings of a function's pods.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodTemplate {
    /// Labels that a node must have.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// Taints of nodes that do not keep its pods away.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tolerations: Vec<Toleration>,
    /// Annotations of the pods.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The account that its pods run as. They never get its token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account_name: Option<String>,
}

impl PodTemplate {
    /// Whether nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Taints that are tolerated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Toleration {
    /// The key of the taint; none is every key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Operator that compares the taint's value.
    pub operator: TolerationOperator,
    /// Value that it is compared with.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// The effect of the taint; none is every effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effect: Option<TaintEffect>,
    /// Time for which it is tolerated, in seconds; `None` is for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub toleration_seconds: Option<u32>,
}

/// Comparison of the value of a taint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum TolerationOperator {
    /// Any value will do.
    Exists,
    /// It must be this one.
    Equal,
}

/// Effect of a taint on pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum TaintEffect {
    /// Keeps new ones away.
    NoSchedule,
    /// Keeps new ones away where there is another node.
    PreferNoSchedule,
    /// Removes them.
    NoExecute,
}

impl TolerationOperator {
    /// As it stands in a specification.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exists => "Exists",
            Self::Equal => "Equal",
        }
    }
}

impl TaintEffect {
    /// As it stands in a specification.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoSchedule => "NoSchedule",
            Self::PreferNoSchedule => "PreferNoSchedule",
            Self::NoExecute => "NoExecute",
        }
    }
}

/// Reads `podTemplate`.
pub(super) fn pod_template(spec: &Object<'_>, findings: &mut Findings) -> PodTemplate {
    const KEYS: [&str; 4] = ["nodeSelector", "tolerations", "annotations", "serviceAccountName"];
    let Some(object) = spec.get("podTemplate").and_then(|field| field.object(&KEYS, findings)) else {
        return PodTemplate::default();
    };
    PodTemplate {
        node_selector: node_selector(&object, findings),
        tolerations: tolerations(&object, findings),
        annotations: annotations(&object, findings),
        service_account_name: object
            .get("serviceAccountName")
            .and_then(|field| object_name_in(&field, "a service account", findings)),
    }
}

fn node_selector(template: &Object<'_>, findings: &mut Findings) -> BTreeMap<String, String> {
    let given = template.get("nodeSelector").and_then(|field| field.any_object(findings));
    let mut selector = BTreeMap::new();
    for (key, field) in given.iter().flat_map(Object::fields) {
        let sound = check_key(&field, key, findings);
        let Some(value) = field.text(findings) else { continue };
        if !is_label_value(value) {
            field.error(findings, label_value_message(value));
        } else if sound {
            selector.insert(key.to_owned(), value.to_owned());
        }
    }
    selector
}

fn annotations(template: &Object<'_>, findings: &mut Findings) -> BTreeMap<String, String> {
    let Some(field) = template.get("annotations") else { return BTreeMap::new() };
    let given = field.any_object(findings);
    let mut annotations = BTreeMap::new();
    let mut bytes = 0;
    for (key, field) in given.iter().flat_map(Object::fields) {
        if key.starts_with(OWN_PREFIX) {
            field.error(findings, format!("must not begin with {OWN_PREFIX}, which is reserved"));
            continue;
        }
        let sound = check_key(&field, key, findings);
        let Some(value) = field.text(findings) else { continue };
        bytes += key.len() + value.len();
        if sound {
            annotations.insert(key.to_owned(), value.to_owned());
        }
    }
    if bytes > ANNOTATIONS_BYTES_MAX {
        let message = format!("must have at most {ANNOTATIONS_BYTES_MAX} bytes in all, has {bytes}");
        field.error(findings, message);
    }
    annotations
}

fn tolerations(template: &Object<'_>, findings: &mut Findings) -> Vec<Toleration> {
    let of = "objects {key, operator, value, effect, tolerationSeconds}";
    let field = template.get("tolerations");
    let items = field.and_then(|field| field.list(of, findings)).unwrap_or_default();
    items.iter().filter_map(|item| toleration(item, findings)).collect()
}

fn toleration(item: &Field<'_>, findings: &mut Findings) -> Option<Toleration> {
    let object = item.object(&["key", "operator", "value", "effect", "tolerationSeconds"], findings)?;
    let key = object.get("key").and_then(|field| {
        // Kubernetes writes the absent one as an empty one.
        let key = field.text(findings).filter(|key| !key.is_empty())?;
        check_key(&field, key, findings).then(|| key.to_owned())
    });
    let operator = object.get("operator").map(|field| {
        let known = [TolerationOperator::Exists, TolerationOperator::Equal];
        one_of(&field, known, TolerationOperator::as_str, findings)
    });
    let value = object.get("value").map(|field| (field.text(findings).unwrap_or_default(), field));
    let effect = object.get("effect").map(|field| {
        let known = [TaintEffect::NoSchedule, TaintEffect::PreferNoSchedule, TaintEffect::NoExecute];
        one_of(&field, known, TaintEffect::as_str, findings)
    });
    let seconds = object.get("tolerationSeconds");
    let toleration_seconds = seconds.as_ref().and_then(|field| field.whole(&TOLERATION_S, findings));
    let operator = operator.unwrap_or(Some(TolerationOperator::Equal))?;
    match &value {
        Some((value, field)) if operator == TolerationOperator::Exists && !value.is_empty() => {
            field.error(findings, "must be left out with operator Exists");
        }
        Some((value, field)) if !is_label_value(value) => field.error(findings, label_value_message(value)),
        Some(_) | None => {}
    }
    if object.get("key").is_none() && operator == TolerationOperator::Equal {
        object.fault_at("key", findings, "is required unless operator is Exists");
    }
    if let Some(field) = seconds.filter(|_| effect != Some(Some(TaintEffect::NoExecute))) {
        field.error(findings, "is only for effect NoExecute");
    }
    Some(Toleration {
        key,
        operator,
        value: value.map(|(value, _)| value.to_owned()).unwrap_or_default(),
        effect: effect.flatten(),
        toleration_seconds,
    })
}

/// Reads one of a few words.
fn one_of<T: Copy, const N: usize>(
    field: &Field<'_>,
    known: [T; N],
    word: impl Fn(T) -> &'static str,
    findings: &mut Findings,
) -> Option<T> {
    let given = field.text(findings)?;
    let found = known.into_iter().find(|&one| word(one) == given);
    if found.is_none() {
        let words = known.map(&word).join(", ");
        field.error(findings, format!("must be one of {words}, is \"{}\"", excerpt(given)));
    }
    found
}

/// Checks the key of a label, an annotation or a taint: a name, behind a domain and a slash or not.
fn check_key(field: &Field<'_>, key: &str, findings: &mut Findings) -> bool {
    let (domain, name) = key.split_once('/').map_or((None, key), |(domain, name)| (Some(domain), name));
    let sound = !name.is_empty() && is_label_value(name) && domain.is_none_or(is_object_name);
    if !sound {
        let message = format!(
            "must have a key of at most {LABEL_BYTES_MAX} letters, digits, -, _ and . between letters or digits, behind <domain>/ or not, has \"{}\"",
            excerpt(key)
        );
        field.error(findings, message);
    }
    sound
}

fn is_label_value(text: &str) -> bool {
    let made_of = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    let ends = |byte: Option<&u8>| byte.is_none_or(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    made_of && text.len() <= LABEL_BYTES_MAX && ends(bytes.first()) && ends(bytes.last())
}

fn label_value_message(text: &str) -> String {
    format!(
        "must be at most {LABEL_BYTES_MAX} letters, digits, -, _ and . between letters or digits, is \"{}\"",
        excerpt(text)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::parse_function;
    use crate::spec::read_fields as read;

    #[test]
    fn everything_said_of_pods_arrives_and_reading_the_answer_gives_an_equal_specification() {
        let spec = read(
            r#""secrets":["db","tls.v1"],"podTemplate":{
                "nodeSelector":{"kubernetes.io/arch":"arm64","disk":""},
                "tolerations":[
                    {"operator":"Exists"},
                    {"key":"gpu","value":"a100","effect":"NoExecute","tolerationSeconds":60}],
                "annotations":{"a.b/c":"any text: {}"},
                "serviceAccountName":"reader"}"#,
        )
        .unwrap();
        assert_eq!(spec.secrets, ["db", "tls.v1"]);
        let template = &spec.pod_template;
        assert_eq!(template.node_selector["kubernetes.io/arch"], "arm64");
        assert_eq!(template.annotations["a.b/c"], "any text: {}");
        assert_eq!(template.service_account_name.as_deref(), Some("reader"));
        assert_eq!(
            template.tolerations[1],
            Toleration {
                key: Some("gpu".into()),
                operator: TolerationOperator::Equal,
                value: "a100".into(),
                effect: Some(TaintEffect::NoExecute),
                toleration_seconds: Some(60),
            }
        );
        let answer = serde_json::to_string(&spec).unwrap();
        assert_eq!(parse_function(answer.as_bytes()), Ok(spec), "{answer}");
        let form = r#""tolerations":[{"operator":"Exists"},{"key":"gpu","operator":"Equal","value":"a100","effect":"NoExecute","tolerationSeconds":60}]"#;
        assert!(answer.contains(form), "{answer}");
        assert_eq!(read(r#""podTemplate":{"tolerations":[]}"#), read(r#""args":[]"#), "nothing is said");
    }

    #[test]
    fn what_kubernetes_would_refuse_of_a_pod_is_refused_with_its_field() {
        let of_label = "must be at most 63 letters, digits, -, _ and . between letters or digits, is";
        let key = "must have a key of at most 63 letters, digits, -, _ and . between letters or digits, behind <domain>/ or not, has";
        let long = "x".repeat(64);
        for (fields, errors) in [
            (
                r#""secrets":["db","Db","db"]"#.to_owned(),
                vec![
                    r#"secrets[1]: must be the name of a secret: lower-case letters, digits, - and ., is "Db""#.to_owned(),
                    "secrets[2]: names db a second time".to_owned(),
                ],
            ),
            (
                r#""podTemplate":{"nodeSelectors":{}}"#.to_owned(),
                vec!["podTemplate.nodeSelectors: is not a known field; did you mean nodeSelector?".to_owned()],
            ),
            (
                format!(r#""podTemplate":{{"nodeSelector":{{"a":"{long}","B/c":"","d":7}}}}"#),
                vec![
                    format!(r#"podTemplate.nodeSelector.a: {of_label} "{long}""#),
                    format!(r#"podTemplate.nodeSelector.B/c: {key} "B/c""#),
                    "podTemplate.nodeSelector.d: must be a string (put it in quotes), is a whole number".to_owned(),
                ],
            ),
            (
                r#""podTemplate":{"annotations":{"picofaas.dev/x":"","-":""},"serviceAccountName":"A"}"#.to_owned(),
                vec![
                    "podTemplate.annotations.picofaas.dev/x: must not begin with picofaas.dev/, which is reserved".to_owned(),
                    format!(r#"podTemplate.annotations.-: {key} "-""#),
                    r#"podTemplate.serviceAccountName: must be the name of a service account: lower-case letters, digits, - and ., is "A""#.to_owned(),
                ],
            ),
            (
                r#""podTemplate":{"tolerations":[{},{"key":"k","operator":"In"},{"operator":"Exists","value":"v"},{"key":"k","effect":"None"},{"key":"k","value":"a b"},{"key":"k","effect":"NoSchedule","tolerationSeconds":1}]}"#.to_owned(),
                vec![
                    "podTemplate.tolerations[0].key: is required unless operator is Exists".to_owned(),
                    r#"podTemplate.tolerations[1].operator: must be one of Exists, Equal, is "In""#.to_owned(),
                    "podTemplate.tolerations[2].value: must be left out with operator Exists".to_owned(),
                    r#"podTemplate.tolerations[3].effect: must be one of NoSchedule, PreferNoSchedule, NoExecute, is "None""#.to_owned(),
                    format!(r#"podTemplate.tolerations[4].value: {of_label} "a b""#),
                    "podTemplate.tolerations[5].tolerationSeconds: is only for effect NoExecute".to_owned(),
                ],
            ),
        ] {
            assert_eq!(read(&fields), Err(errors), "{fields}");
        }
    }

    #[test]
    fn annotations_stay_within_what_an_object_takes() {
        let fields = |bytes: usize| {
            read(&format!(r#""podTemplate":{{"annotations":{{"k":"{}"}}}}"#, "x".repeat(bytes - 1)))
        };
        assert!(fields(ANNOTATIONS_BYTES_MAX).is_ok());
        let error = format!(
            "podTemplate.annotations: must have at most {ANNOTATIONS_BYTES_MAX} bytes in all, has {}",
            ANNOTATIONS_BYTES_MAX + 1
        );
        assert_eq!(fields(ANNOTATIONS_BYTES_MAX + 1), Err(vec![error]));
    }
}
