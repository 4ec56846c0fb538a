//! Rights of the control plane, and which of them it lacks.

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::Value;

use super::access::Access;
use super::calls::{KubeError, in_time, permission};
use super::cluster::configuration;
use crate::config::ServeArgs;

/// The manifest that grants them all, and nothing else.
const ROLE: &str = include_str!("../../k8s/20-rbac.yaml");

/// One right.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Right {
    verb: String,
    group: String,
    /// With the subresource after a slash, as a Role names it.
    resource: String,
}

/// Asks the API server that `serve` would call for each right that `serve` would need, in the namespace of its
/// functions. Nothing is changed.
pub(crate) async fn ask(flags: &ServeArgs) -> Access {
    let (config, namespace) = match configuration(flags).await {
        Ok(found) => found,
        // The errors between the two say the same again.
        Err(error) => return no_cluster(format!("{error} ({})", error.root_cause())),
    };
    match Client::try_from(config) {
        Ok(client) => ask_for(rights(ROLE), &client, namespace).await,
        Err(error) => no_cluster(error.to_string()),
    }
}

fn no_cluster(reason: String) -> Access {
    let remedy = "Say which cluster: --kubeconfig, KUBECONFIG, or the pod's service account.";
    Access::NoCluster { reason, remedy }
}

async fn ask_for(rights: Vec<Right>, client: &Client, namespace: String) -> Access {
    let reviews = Api::<SelfSubjectAccessReview>::all(client.clone());
    let mut missing = Vec::new();
    for right in &rights {
        let review = right.review(&namespace);
        match in_time(reviews.create(&PostParams::default(), &review)).await {
            Ok(answer) if answer.status.as_ref().is_some_and(|status| status.allowed) => {}
            Ok(_) => missing.push(format!("{} {}", right.verb, right.resource)),
            Err(error) => return Access::Unanswered { namespace, reason: reason(error) },
        }
    }
    Access::Answered { namespace, rights: rights.len(), missing }
}

fn reason(error: KubeError) -> String {
    match error {
        KubeError::Answered(status) => permission(&status.message).unwrap_or(status.message),
        KubeError::Away(reason) => reason,
    }
}

impl Right {
    fn review(&self, namespace: &str) -> SelfSubjectAccessReview {
        let (resource, subresource) = match self.resource.split_once('/') {
            Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
            None => (self.resource.as_str(), None),
        };
        let attributes = ResourceAttributes {
            namespace: Some(namespace.to_owned()),
            verb: Some(self.verb.clone()),
            group: Some(self.group.clone()),
            resource: Some(resource.to_owned()),
            subresource,
            ..ResourceAttributes::default()
        };
        SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(attributes),
                ..SelfSubjectAccessReviewSpec::default()
            },
            ..SelfSubjectAccessReview::default()
        }
    }
}

/// The rights of the Roles among the objects of a manifest, in its order.
fn rights(manifest: &str) -> Vec<Right> {
    let objects: Vec<Value> =
        serde_saphyr::from_multiple(manifest).expect("the manifest is compiled in, and a test reads it");
    let texts = |list: &Value| -> Vec<String> {
        let items = list.as_array().into_iter().flatten();
        items.filter_map(|item| item.as_str().map(ToOwned::to_owned)).collect()
    };
    let mut rights = Vec::new();
    for rule in objects.iter().flat_map(|object| object["rules"].as_array().into_iter().flatten()) {
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                rights.extend(texts(&rule["verbs"]).into_iter().map(|verb| Right {
                    verb,
                    group: group.clone(),
                    resource: resource.clone(),
                }));
            }
        }
    }
    rights
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::fake_api;

    #[test]
    fn the_rights_are_those_of_the_manifest_each_with_its_group() {
        let rights = rights(ROLE);
        let of = |verb: &str, group: &str, resource: &str| Right {
            verb: verb.to_owned(),
            group: group.to_owned(),
            resource: resource.to_owned(),
        };
        for wanted in [
            of("watch", "picofaas.dev", "functions"),
            of("patch", "picofaas.dev", "functions/status"),
            of("patch", "apps", "deployments/scale"),
            of("deletecollection", "batch", "jobs"),
            of("get", "", "pods/log"),
            of("update", "coordination.k8s.io", "leases"),
        ] {
            assert_eq!(rights.iter().filter(|right| **right == wanted).count(), 1, "{wanted:?}");
        }
        let verbs = |line: &str| line.trim().strip_prefix("verbs: [").map(|list| list.split(',').count());
        assert_eq!(rights.len(), ROLE.lines().filter_map(verbs).sum::<usize>());
    }

    #[tokio::test]
    async fn the_api_server_is_asked_for_each_right_and_the_one_that_it_does_not_grant_is_named() {
        let (client, calls) = fake_api::client_without("patch", "functions", Some("status"));
        let all = rights(ROLE);
        let (count, namespace) = (all.len(), "test".to_owned());
        let Access::Answered { rights, missing, namespace } = ask_for(all, &client, namespace).await else {
            panic!("it answers");
        };
        assert_eq!((rights, namespace.as_str()), (count, "test"));
        assert_eq!(missing, ["patch functions/status"]);
        assert_eq!(calls.len(), count);
    }
}
