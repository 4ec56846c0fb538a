//! Garbage collection: Jobs of earlier processes, and orphans, which are Deployments without a function.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use kube::Api;
use kube::api::{DeleteParams, ListParams};

use super::FunctionObjects;
use crate::kubernetes::object_error::{ObjectError, ask};
use crate::kubernetes::template::{FUNCTION, INCARNATION, MANAGED_BY, PICOFAAS, STANDBY, name_of};
use crate::kubernetes::watch::PAGE;

/// Pause after a call that failed.
const PAUSE: Duration = Duration::from_secs(2);

impl FunctionObjects {
    /// Deletes the Jobs of earlier incarnations but those that wait for an execution, which may be taken over. Nobody waits for them any more, and what they would post is
    /// for executions that are lost.
    pub(super) async fn delete_old_jobs(&self) {
        let jobs: Api<Job> = self.cluster.api();
        let selector = format!(
            "{MANAGED_BY}={PICOFAAS},{INCARNATION},{INCARNATION}!={},!{STANDBY}",
            self.cluster.incarnation
        );
        let old = ListParams::default().labels(&selector);
        let mut said = false;
        loop {
            match ask(jobs.delete_collection(&DeleteParams::background(), &old)).await {
                Ok(_) | Err(ObjectError::NotFound) => return,
                Err(error) => {
                    warn_once(&mut said, "Jobs of earlier boots are not deleted yet", error);
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Finds Deployments of ours whose function does not exist.
    pub(super) async fn find_orphans(&self) {
        let deployments: Api<Deployment> = self.cluster.api();
        let mut page =
            ListParams::default().labels(&format!("{MANAGED_BY}={PICOFAAS},{FUNCTION}")).limit(PAGE);
        let mut said = false;
        loop {
            let list = match ask(deployments.list_metadata(&page)).await {
                Ok(list) => list,
                Err(error) => {
                    warn_once(&mut said, "Deployments are not listed yet", error);
                    tokio::time::sleep(PAUSE).await;
                    // Where it has forgotten what it was giving.
                    page.continue_token = None;
                    continue;
                }
            };
            let known = self.known.borrow();
            for deployment in list.items {
                let labels = deployment.metadata.labels.unwrap_or_default();
                if let Some(function) = labels.get(FUNCTION).filter(|function| !known.contains_key(*function))
                {
                    self.orphans.borrow_mut().insert(function.clone());
                }
            }
            page.continue_token = list.metadata.continue_.filter(|token| !token.is_empty());
            if page.continue_token.is_none() {
                return;
            }
        }
    }

    /// Deletes the Deployments of functions of which nothing is left: what ran has finished.
    pub(super) async fn delete_orphans(&self) {
        let names: Vec<String> = self.orphans.borrow().iter().cloned().collect();
        let deployments: Api<Deployment> = self.cluster.api();
        for name in names {
            let _change = self.change_lock.lock().await;
            let is_left = self.registry.versions().has_function(&name);
            if is_left || !self.orphans.borrow().contains(&name) {
                continue;
            }
            match ask(deployments.delete(&name_of(&name), &DeleteParams::background())).await {
                Ok(_) | Err(ObjectError::NotFound) => drop(self.orphans.borrow_mut().remove(&name)),
                Err(error) => {
                    tracing::debug!(
                        function = name,
                        "its Deployment stays: {}",
                        error.into_api_error().message
                    );
                    return;
                }
            }
        }
    }
}

/// Warns once of a call that is tried again and again.
fn warn_once(said: &mut bool, what: &str, error: ObjectError) {
    if !std::mem::replace(said, true) {
        tracing::warn!("{what}; it is tried again: {}", error.into_api_error().message);
    }
}
