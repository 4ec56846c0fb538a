//! A Function object, as the API server keeps it.

use std::borrow::Cow;

use k8s_openapi::NamespaceResourceScope;
use kube::api::ObjectMeta;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::spec::{FunctionSpec, SpecError, parse_function_named};

/// The group of our resource.
pub(crate) const GROUP: &str = "picofaas.dev";
/// Its only version.
pub(crate) const VERSION: &str = "v1";
/// Its kind.
pub(crate) const KIND: &str = "Function";

/// One function. Its specification is kept as it is: our own reader says more of what is wrong with it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct FunctionObject {
    #[serde(rename = "apiVersion", default = "api_version")]
    api_version: String,
    #[serde(default = "kind")]
    kind: String,
    /// Name, generation, annotations, …
    pub metadata: ObjectMeta,
    /// The specification.
    #[serde(default)]
    pub spec: Value,
    /// The status as it was last written.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub status: Value,
}

fn api_version() -> String {
    format!("{GROUP}/{VERSION}")
}

fn kind() -> String {
    KIND.to_owned()
}

impl kube::Resource for FunctionObject {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        KIND.into()
    }

    fn group((): &()) -> Cow<'_, str> {
        GROUP.into()
    }

    fn version((): &()) -> Cow<'_, str> {
        VERSION.into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        "functions".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl FunctionObject {
    /// A new one.
    #[must_use]
    pub(crate) fn new(name: &str, spec: Value) -> Self {
        let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
        Self { api_version: api_version(), kind: kind(), metadata, spec, status: Value::Null }
    }

    /// Its name.
    #[must_use]
    pub(crate) fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    /// Identity, by which it is told from another one of its name.
    #[must_use]
    pub(crate) fn uid(&self) -> &str {
        self.metadata.uid.as_deref().unwrap_or_default()
    }

    /// Counted by the API server with each change of the specification.
    #[must_use]
    pub(crate) fn generation(&self) -> i64 {
        self.metadata.generation.unwrap_or_default()
    }

    /// Whether it was told to go.
    #[must_use]
    pub(crate) fn is_going(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    /// Its specification, as our reader takes it.
    ///
    /// # Errors
    /// Every error.
    pub(crate) fn read(&self) -> Result<FunctionSpec, SpecError> {
        let bytes = self.spec.to_string();
        let mut spec = parse_function_named(self.name(), bytes.as_bytes())?;
        spec.annotations = self.metadata.annotations.clone().unwrap_or_default();
        Ok(spec)
    }
}

/// The specification of an object as a client wrote it: what it left out is left to the defaults of the
/// resource, which follow its other fields when those are changed.
#[must_use]
pub(crate) fn spec_of(body: &[u8], read: &FunctionSpec) -> Value {
    let Ok(Value::Object(mut fields)) = serde_json::from_slice(body) else {
        // It was read before, so it is an object; were it not, its whole form is as good.
        return serde_json::to_value(read).unwrap_or_default();
    };
    fields.remove("name");
    fields.remove("status");
    // The definition takes no numbers with a fraction here.
    if fields.contains_key("resources")
        && let Ok(resources) = serde_json::to_value(&read.resources)
    {
        fields.insert("resources".to_owned(), resources);
    }
    without_nulls(&mut fields);
    Value::Object(fields)
}

/// A null counts as left out here, and as an error there.
fn without_nulls(fields: &mut Map<String, Value>) {
    fields.retain(|_, value| !value.is_null());
    for value in fields.values_mut() {
        match value {
            Value::Object(inner) => without_nulls(inner),
            Value::Array(items) => items.iter_mut().filter_map(Value::as_object_mut).for_each(without_nulls),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::spec::parse_function;

    #[test]
    fn an_object_holds_what_the_client_wrote_in_the_form_that_the_definition_takes() {
        let body = br#"{"name":"f","image":"i","timeoutMs":null,"status":{"ready":1},
            "env":[{"name":"A","value":null}],"resources":{"limits":{"cpu":0.5}}}"#;
        let read = parse_function(body).unwrap();
        let spec = spec_of(body, &read);
        let resources = json!({"requests":{"cpu":"50m","memory":"64Mi"},"limits":{"cpu":"0.5"}});
        assert_eq!(spec, json!({"image":"i","env":[{"name":"A"}],"resources":resources}));
        let object = FunctionObject::new("f", spec);
        assert_eq!(object.read().unwrap().etag(), read.etag());
    }

    #[test]
    fn the_faults_of_an_object_are_those_of_our_reader() {
        let mut object = FunctionObject::new("f", json!({"image":"i","timeoutMs":0,"colour":1}));
        object.metadata.annotations = Some([("a".to_owned(), "b".to_owned())].into());
        let error = object.read().unwrap_err().to_string();
        assert!(error.contains("timeoutMs: must be") && error.contains("colour: is not"), "{error}");
        object.spec = json!({"name":"f","image":"i"});
        assert_eq!(object.read().unwrap().annotations["a"], "b");
    }
}
