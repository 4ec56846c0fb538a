//! The Deployment of a `WARM` function, and the template hash that tells its pods apart.
//!
//! A version of a function that needs no other pods than the version before has the same template hash, and
//! keeps them. The hash leaves out what may differ between pods that serve alike: the token, and the time-out
//! that every request brings along anyway.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::api::core::v1::{
    HTTPGetAction, Lifecycle, LifecycleHandler, PodTemplateSpec, Probe, SleepAction,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::template::{PORT, variable};
use super::{function_container, template};
use crate::fnv::Fnv1a;
use crate::id::Token;
use crate::spec::FunctionSpec;

/// The label of a pod with the hash of its template, which says which version it belongs to. Its name is older than
/// the hash's name here; another one would replace every pod at the next upgrade.
pub(super) const TEMPLATE_HASH: &str = "picofaas.dev/revision";
/// The annotation by which a pod asks to be the first to go when there are to be fewer.
pub(super) const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";
/// The variable with the token that a pod proves itself with.
const TOKEN: &str = "PICOFAAS_TOKEN";
/// A variable that is not part of the hash: a pod that serves goes by the deadline of each request.
const TIMEOUT: &str = "TIMEOUT_MS";

/// Time for which a pod that is being deleted goes on serving before it is told to stop, in seconds: until then
/// its deletion is known here, and it is granted nothing more.
const PRE_STOP_S: i64 = 2;
/// Time that a pod has beyond that and its longest attempt, in seconds.
const GRACE_MARGIN_S: i64 = 5;
/// Grace periods of a pod, in seconds: the first of these that is long enough, so that a small change
/// of a time-out is no other template. The last one bounds it: an attempt may take a day, the drain of a
/// node not. A function that answers web requests has the last one: an answer that streams has no deadline.
const GRACES_S: [i64; 4] = [60, 120, 300, 600];
/// Grace period of a pod that does not answer any more, before its container is started again, in
/// seconds. Those that wait for it are tried elsewhere then.
const STUCK_GRACE_S: i64 = 5;
/// A rolling update that gets no further is said to have failed after this, in seconds. It is tried on.
const PROGRESS_S: i32 = 120;
/// Old ReplicaSets that are kept. Nobody rolls back by them: the registry is the truth.
const HISTORY: i32 = 1;

/// The pod template that a function's Deployment is to have.
#[derive(Debug, Clone)]
pub(super) struct DesiredTemplate {
    /// Hash of the template, as in the label of its pods.
    pub hash: String,
    /// JSON: some kilobytes less than as structs, for each of a thousand functions, and read once a roll-out.
    json: Box<[u8]>,
}

impl DesiredTemplate {
    /// The template of a function whose pods reach the runtime listener at `runtime_url` and may take `start_s`
    /// seconds to start.
    #[must_use]
    pub(super) fn new(spec: &FunctionSpec, runtime_url: &str, start_s: u64) -> Self {
        let mut env = template::environment(spec, spec.execution_mode);
        env.push(variable("PICOFAAS_RUNTIME_URL", runtime_url));
        let mut template = template::pods(spec, env);
        if let Some(pod) = &mut template.spec {
            pod.termination_grace_period_seconds = Some(grace_s(spec));
            if let Some(container) = pod.containers.first_mut() {
                container.lifecycle = Some(Lifecycle {
                    pre_stop: Some(LifecycleHandler {
                        sleep: Some(SleepAction { seconds: PRE_STOP_S }),
                        ..LifecycleHandler::default()
                    }),
                    ..Lifecycle::default()
                });
                // A start may take its time; afterwards a look once a second says whether it serves, and
                // one that has been stuck for a while is restarted.
                let start = i32::try_from(start_s.max(1)).unwrap_or(i32::MAX);
                container.startup_probe = Some(may_be_stuck(probe(1, start)));
                container.readiness_probe = Some(probe(1, 2));
                container.liveness_probe = Some(may_be_stuck(probe(5, 3)));
            }
        }
        let hash = hash(&template);
        let mut metadata = template.metadata.take().unwrap_or_default();
        let labels = metadata.labels.get_or_insert_default();
        labels.extend(template::labels(spec.name.as_str()));
        labels.insert(TEMPLATE_HASH.to_owned(), hash.clone());
        template.metadata = Some(metadata);
        let template = serde_json::to_vec(&template).expect("a template has string keys only");
        Self { hash, json: template.into() }
    }

    /// Makes the Deployment, new.
    #[must_use]
    pub(super) fn object(
        &self,
        function: &str,
        token: Token,
        replicas: u32,
        owner: Option<OwnerReference>,
    ) -> Deployment {
        let labels = template::labels(function);
        Deployment {
            metadata: ObjectMeta {
                name: Some(template::name_of(function)),
                labels: Some(labels.clone()),
                owner_references: owner.map(|owner| vec![owner]),
                ..ObjectMeta::default()
            },
            spec: Some(DeploymentSpec {
                replicas: Some(signed(replicas)),
                selector: LabelSelector { match_labels: Some(labels), ..LabelSelector::default() },
                strategy: Some(DeploymentStrategy {
                    type_: Some("RollingUpdate".to_owned()),
                    rolling_update: Some(RollingUpdateDeployment {
                        max_surge: Some(IntOrString::Int(1)),
                        max_unavailable: Some(IntOrString::Int(0)),
                    }),
                }),
                min_ready_seconds: Some(0),
                progress_deadline_seconds: Some(PROGRESS_S),
                revision_history_limit: Some(HISTORY),
                template: self.template_with(token),
                ..DeploymentSpec::default()
            }),
            status: None,
        }
    }

    /// Updates a Deployment that is there already to this template: what is not ours of it stays.
    #[must_use]
    pub(super) fn applied_to(
        &self,
        mut found: Deployment,
        function: &str,
        token: Token,
        replicas: u32,
        owner: Option<OwnerReference>,
    ) -> Deployment {
        let new = self.object(function, token, replicas, owner);
        found.metadata.labels.get_or_insert_default().extend(new.metadata.labels.unwrap_or_default());
        if new.metadata.owner_references.is_some() {
            found.metadata.owner_references = new.metadata.owner_references;
        }
        found.metadata.managed_fields = None;
        found.status = None;
        // The selector is immutable, and the same wherever the name is.
        let selector = found.spec.map(|spec| spec.selector);
        found.spec = new.spec.map(|spec| match selector {
            Some(selector) => DeploymentSpec { selector, ..spec },
            None => spec,
        });
        found
    }

    fn template_with(&self, token: Token) -> PodTemplateSpec {
        let mut template: PodTemplateSpec =
            serde_json::from_slice(&self.json).expect("what was written here is read");
        let container = template.spec.as_mut().and_then(|pod| pod.containers.first_mut());
        if let Some(container) = container {
            container.env.get_or_insert_default().push(variable(TOKEN, token.to_string()));
        }
        template
    }
}

/// Whether a Deployment is one of ours, of this function.
#[must_use]
pub(super) fn is_ours(found: &Deployment, function: &str) -> bool {
    let labels = found.metadata.labels.as_ref();
    template::labels(function)
        .iter()
        .all(|(name, value)| labels.is_some_and(|labels| labels.get(name) == Some(value)))
}

/// The hash of a Deployment's pod template, and the token of its pods.
#[must_use]
pub(super) fn current(found: &Deployment) -> Option<(String, Token)> {
    let template = &found.spec.as_ref()?.template;
    let template_hash = template.metadata.as_ref()?.labels.as_ref()?.get(TEMPLATE_HASH)?.clone();
    Some((template_hash, token_of(template.spec.as_ref()?)?))
}

/// The token of the pods that are made so.
#[must_use]
pub(super) fn token_of(pod: &k8s_openapi::api::core::v1::PodSpec) -> Option<Token> {
    let env = function_container::in_spec(pod)?.env.as_ref()?;
    // The last one of a name counts.
    let token = env.iter().rev().find(|one| one.name == TOKEN)?;
    Token::parse(token.value.as_deref()?)
}

/// A number of pods as the API has it.
#[must_use]
pub(super) fn signed(replicas: u32) -> i32 {
    i32::try_from(replicas).unwrap_or(i32::MAX)
}

fn grace_s(spec: &FunctionSpec) -> i64 {
    let last = GRACES_S[GRACES_S.len() - 1];
    if spec.web.is_some() {
        return last;
    }
    let needed = i64::from(spec.attempt_timeout_ms.div_ceil(1000)) + PRE_STOP_S + GRACE_MARGIN_S;
    GRACES_S.into_iter().find(|grace| *grace >= needed).unwrap_or(last)
}

fn probe(period_s: i32, failures: i32) -> Probe {
    /// Long enough for a busy pod on a busy node.
    const TIMEOUT_S: i32 = 2;
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some("/health".to_owned()),
            port: IntOrString::Int(i32::from(PORT)),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period_s),
        timeout_seconds: Some(TIMEOUT_S),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}

/// Shortens the grace period: a pod that fails this probe does not hear either that it is to end.
fn may_be_stuck(probe: Probe) -> Probe {
    Probe { termination_grace_period_seconds: Some(STUCK_GRACE_S), ..probe }
}

/// A hash of the template as JSON with its keys in order.
pub(super) fn hash(template: &PodTemplateSpec) -> String {
    let mut template = template.clone();
    let containers = template.spec.iter_mut().flat_map(|pod| &mut pod.containers);
    for env in containers.filter_map(|container| container.env.as_mut()) {
        env.retain(|one| one.name != TOKEN && one.name != TIMEOUT);
    }
    // By way of a value, whose keys are in order.
    let value = serde_json::to_value(&template).expect("a template has string keys only");
    let mut hash = Fnv1a::default();
    serde_json::to_writer(&mut hash, &value).expect("hashing takes every byte");
    format!("{:016x}", hash.hash())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::spec::parse_function;

    const URL: &str = "http://10.96.0.7:8082";
    const TOKEN_A: Token = Token { high: 1, low: 2 };
    const TOKEN_B: Token = Token { high: 3, low: 4 };

    fn spec(changes: &Value) -> FunctionSpec {
        let mut body = json!({
            "name": "word-stats",
            "executionMode": "WARM",
            "image": "registry.example/word-stats:1",
            "timeoutMs": 5000,
        });
        for (key, value) in changes.as_object().expect("changes") {
            body[key] = value.clone();
        }
        parse_function(body.to_string().as_bytes()).expect("a function")
    }

    fn desired(changes: &Value) -> DesiredTemplate {
        DesiredTemplate::new(&spec(changes), URL, 30)
    }

    fn json_of(desired: &DesiredTemplate, token: Token) -> Value {
        serde_json::to_value(desired.object("word-stats", token, 2, None)).expect("JSON")
    }

    #[test]
    fn a_deployment_replaces_its_pods_only_after_others_are_ready() {
        let desired = desired(&json!({}));
        let value = json_of(&desired, TOKEN_A);
        assert_eq!(value["metadata"]["name"], "fn-word-stats");
        let labels = json!({
            "app.kubernetes.io/managed-by": "picofaas",
            "picofaas.dev/function": "word-stats",
        });
        assert_eq!(value["metadata"]["labels"], labels);
        let spec = &value["spec"];
        assert_eq!(spec["replicas"], 2);
        assert_eq!(spec["selector"], json!({ "matchLabels": labels }));
        assert_eq!(
            spec["strategy"],
            json!({ "type": "RollingUpdate", "rollingUpdate": { "maxSurge": 1, "maxUnavailable": 0 } })
        );
        let pod_labels = &spec["template"]["metadata"]["labels"];
        assert_eq!(pod_labels["picofaas.dev/function"], "word-stats");
        assert_eq!(pod_labels["picofaas.dev/revision"], desired.hash.as_str());
        let pod = &spec["template"]["spec"];
        assert_eq!(pod["terminationGracePeriodSeconds"], 60);
        assert_eq!(pod["automountServiceAccountToken"], false);
        let container = &pod["containers"][0];
        assert_eq!(container["lifecycle"], json!({ "preStop": { "sleep": { "seconds": 2 } } }));
        for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
            assert_eq!(container[probe]["httpGet"], json!({ "path": "/health", "port": 8080 }), "{probe}");
        }
        assert_eq!(container["startupProbe"]["failureThreshold"], 30);
        for probe in ["startupProbe", "livenessProbe"] {
            assert_eq!(container[probe]["terminationGracePeriodSeconds"], 5, "{probe}");
        }
        let env = container["env"].as_array().expect("env");
        let value_of = |name: &str| env.iter().find(|one| one["name"] == name).map(|one| &one["value"]);
        assert_eq!(value_of("PICOFAAS_RUNTIME_URL"), Some(&json!(URL)));
        assert_eq!(value_of("PICOFAAS_TOKEN"), Some(&json!(TOKEN_A.to_string())));
        assert_eq!(value_of("EXECUTION_MODE"), Some(&json!("WARM")));
    }

    #[test]
    fn only_what_a_pod_is_made_of_is_another_template_hash() {
        let first = desired(&json!({}));
        for same in [
            json!({ "timeoutMs": 30_000 }),
            json!({ "concurrency": 9, "queueSize": 7, "maxRetries": 0 }),
            json!({ "replicas": { "min": 2, "max": 9 }, "idleTimeoutMs": 1000 }),
        ] {
            assert_eq!(desired(&same).hash, first.hash, "{same}");
        }
        let mut seen = vec![first.hash.clone()];
        for other in [
            json!({ "image": "registry.example/word-stats:2" }),
            json!({ "env": [{ "name": "A", "value": "1" }] }),
            json!({ "args": ["x"] }),
            json!({ "resources": { "limits": { "memory": "64Mi" } } }),
            // The pods of before would be killed in the middle of such an attempt.
            json!({ "timeoutMs": 100_000 }),
        ] {
            let hash = desired(&other).hash;
            assert!(!seen.contains(&hash), "{other}");
            seen.push(hash);
        }
        assert_ne!(DesiredTemplate::new(&spec(&json!({})), "http://10.96.0.8:8082", 30).hash, first.hash);
        assert_eq!(seen[0].len(), 16);
    }

    #[test]
    fn a_template_hash_is_the_same_in_every_process() {
        // A change of this number restarts the pods of every function when the control plane is upgraded.
        assert_eq!(
            json_of(&desired(&json!({})), TOKEN_A)["spec"]["template"]["metadata"]["labels"][TEMPLATE_HASH],
            "0c9f55d8355d8f32"
        );
    }

    #[test]
    fn texts_without_a_dollar_keep_the_template_hash_that_they_had_when_texts_were_not_escaped_yet() {
        let plain = json!({
            "command": ["/serve", "--verbose"], "args": ["two words", "a=b"], "env": [
                { "name": "A", "value": "pass word" },
                { "name": "S", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } },
            ],
        });
        assert_eq!(desired(&plain).hash, "81874fdf58501141");
    }

    #[test]
    fn what_a_deployment_was_made_with_is_read_back_from_it() {
        let desired = desired(&json!({}));
        let object = desired.object("word-stats", TOKEN_A, 2, None);
        assert_eq!(current(&object), Some((desired.hash, TOKEN_A)));
        assert!(is_ours(&object, "word-stats") && !is_ours(&object, "word"));
        assert!(!is_ours(&Deployment::default(), "word-stats"));
        assert_eq!(current(&Deployment::default()), None);
    }

    #[test]
    fn an_update_replaces_what_is_ours_and_keeps_what_others_wrote() {
        let before = desired(&json!({ "env": [{ "name": "A", "value": "1" }] }));
        let mut found = before.object("word-stats", TOKEN_A, 3, None);
        found.metadata.resource_version = Some("7".to_owned());
        found.metadata.annotations = Some([("team".to_owned(), "a".to_owned())].into());
        let after = desired(&json!({ "image": "registry.example/word-stats:2" }));
        let owner = OwnerReference {
            name: "word-stats".to_owned(),
            uid: "u".to_owned(),
            ..OwnerReference::default()
        };
        let object = after.applied_to(found, "word-stats", TOKEN_B, 3, Some(owner));
        assert_eq!(current(&object), Some((after.hash, TOKEN_B)));
        let value = serde_json::to_value(&object).expect("JSON");
        assert_eq!(value["metadata"]["resourceVersion"], "7");
        assert_eq!(value["metadata"]["annotations"]["team"], "a");
        assert_eq!(value["metadata"]["ownerReferences"][0]["uid"], "u");
        assert_eq!(value["spec"]["replicas"], 3);
        let container = &value["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["image"], "registry.example/word-stats:2");
        assert!(
            !container["env"].to_string().contains("\"A\""),
            "a variable that was taken out is still there"
        );
    }

    #[test]
    fn a_pod_may_take_as_long_to_end_as_an_attempt_within_a_bound() {
        for (attempt_ms, grace) in [(1, 60), (53_000, 60), (53_001, 120), (113_000, 120), (86_400_000, 600)] {
            let spec = spec(&json!({ "timeoutMs": attempt_ms }));
            assert_eq!(grace_s(&spec), grace, "{attempt_ms}");
        }
        // The end of a stream is not known.
        assert_eq!(grace_s(&spec(&json!({ "timeoutMs": 1, "web": {} }))), 600);
    }
}
