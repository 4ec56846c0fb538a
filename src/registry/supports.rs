//! Fields of a function that this control plane cannot support.

use crate::error::FieldError;
use crate::spec::{ExecutionMode, FunctionSpec};

/// The platform that runs functions, beside endpoints that run already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Platform {
    /// This machine, which runs `local.command`.
    Local,
    /// A cluster, which runs `image`.
    Kubernetes,
}

/// Lists every field of a function that this platform does not support, or lacks.
#[must_use]
pub(super) fn unsupported_fields(spec: &FunctionSpec, platform: Platform) -> Vec<FieldError> {
    let starts = match spec.execution_mode {
        ExecutionMode::Job | ExecutionMode::Warm => true,
        ExecutionMode::Pool => false,
    };
    let error = |field: String, message: &str| FieldError { field, message: message.to_owned() };
    let mut errors = Vec::new();
    match platform {
        Platform::Local => {
            if starts && spec.local.as_ref().is_none_or(|local| local.command.is_empty()) {
                errors.push(error(
                    "local.command".to_owned(),
                    "is required: there is no cluster here that could run `image`, so say what to run on this machine",
                ));
            }
        }
        Platform::Kubernetes => {
            if starts && spec.image.is_none() {
                errors.push(error(
                    "image".to_owned(),
                    "is required: functions run in a cluster here, which has no use for `local`",
                ));
            }
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::parse_function;

    fn fields(text: &str, platform: Platform) -> Vec<String> {
        let spec = parse_function(text.as_bytes()).unwrap();
        unsupported_fields(&spec, platform).into_iter().map(|error| error.field).collect()
    }

    #[test]
    fn what_is_only_for_kubernetes_is_not_in_the_way_here_and_the_other_way_round() {
        let text = r#"{"name":"f","image":"i","env":[{"name":"A","value":"1"},
            {"name":"B","valueFrom":{"fieldRef":{"fieldPath":"spec.nodeName"}}}],
            "envFrom":[{"secretRef":{"name":"s"}}],"secrets":["s"],
            "podTemplate":{"serviceAccountName":"a"}}"#;
        assert_eq!(fields(text, Platform::Local), ["local.command"]);
        assert!(fields(text, Platform::Kubernetes).is_empty());
        let with_command = r#"{"name":"f","local":{"command":["x"]},"envFrom":[],"podTemplate":{}}"#;
        assert!(fields(with_command, Platform::Local).is_empty());
        assert_eq!(fields(with_command, Platform::Kubernetes), ["image"]);
        let pool = r#"{"name":"f","executionMode":"POOL","endpointUrl":"http://h","secrets":["s"]}"#;
        assert!(fields(pool, Platform::Local).is_empty());
        assert!(fields(pool, Platform::Kubernetes).is_empty());
    }
}
