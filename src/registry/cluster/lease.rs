//! One control plane at a time: a Lease that the one at work renews.
//!
//! The Deployment's strategy is `Recreate`, so two of them meet only where somebody scales it, a node is
//! cut off, or a process is started by hand. Then the later one waits until the Lease is given back, or
//! was not renewed for [`LEASE`], by the waiter's own clock. Who finds that another has taken it ends at
//! once. An API server that is away takes the Lease from nobody: nobody can take it either.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};

use super::FunctionObjects;
use crate::clock::Nanos;
use crate::kubernetes::object_error::{ObjectError, ask};

/// The name of the Lease.
const NAME: &str = "picofaas";
/// Time for which it holds without being renewed.
const LEASE: Duration = Duration::from_secs(15);
/// Period of its renewal.
const RENEWAL: Duration = Duration::from_secs(5);
/// Period at which it is looked whether it is free. No event says that a holder has gone without giving it back.
const LOOK: Duration = Duration::from_secs(1);

/// The holder of the Lease.
enum LeaseHolder {
    Us,
    /// Another control plane, by its name.
    Other(String),
}

/// Our name as a holder: a pod that starts again has its Lease at once.
fn identity() -> String {
    std::env::var("POD_NAME").ok().filter(|name| !name.is_empty()).unwrap_or_else(|| {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        format!("{host}-{}", std::process::id())
    })
}

fn holder(lease: &Lease) -> &str {
    lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()).unwrap_or_default()
}

fn version(lease: &Lease) -> Option<String> {
    lease.metadata.resource_version.clone()
}

impl FunctionObjects {
    /// Returns when the Lease is ours.
    pub(super) async fn acquire(&self) {
        let leases: Api<Lease> = self.cluster.api();
        let us = identity();
        // As it was last seen, and since when.
        let mut seen: Option<(Option<String>, Nanos)> = None;
        // The reason of the wait, told once.
        let mut said = None;
        loop {
            let taken = match ask(leases.get(NAME)).await {
                Err(ObjectError::NotFound) => self.take(&leases, None, &us).await,
                Ok(lease) => {
                    let now = self.clock.now();
                    let since = match &seen {
                        Some((version_seen, since)) if *version_seen == version(&lease) => *since,
                        Some(_) | None => now,
                    };
                    seen = Some((version(&lease), since));
                    let is_old = u128::from(now.saturating_sub(since)) > LEASE.as_nanos();
                    if holder(&lease).is_empty() || holder(&lease) == us || is_old {
                        self.take(&leases, Some(&lease), &us).await
                    } else {
                        Ok(LeaseHolder::Other(holder(&lease).to_owned()))
                    }
                }
                Err(error) => Err(error),
            };
            match taken {
                Ok(LeaseHolder::Us) => {
                    self.holds.set(true);
                    self.waits_for.replace(None);
                    return;
                }
                Ok(LeaseHolder::Other(holder)) => {
                    self.wait_for(&mut said, format!("another control plane, {holder}, is at work here"));
                }
                // Somebody was faster: it is looked at again.
                Err(ObjectError::Conflict | ObjectError::AlreadyExists | ObjectError::NotFound) => {}
                Err(ObjectError::Other(error)) => {
                    self.wait_for(&mut said, format!("the Lease cannot be taken yet: {}", error.message));
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn wait_for(&self, said: &mut Option<String>, what: String) {
        if said.as_ref() != Some(&what) {
            tracing::warn!("the functions are not read: {what}");
            self.waits_for.replace(Some(what.clone()));
            *said = Some(what);
        }
    }

    /// Renews the Lease for ever. Ends the process where another has it: two would work against each other.
    pub(super) async fn keep_lease(&self) {
        let leases: Api<Lease> = self.cluster.api();
        let us = identity();
        let mut period = tokio::time::interval(RENEWAL);
        let mut is_failing = false;
        while self.holds.get() {
            period.tick().await;
            let kept = match ask(leases.get(NAME)).await {
                Err(ObjectError::NotFound) => self.take(&leases, None, &us).await,
                Ok(lease) if holder(&lease) == us || holder(&lease).is_empty() => {
                    self.take(&leases, Some(&lease), &us).await
                }
                Ok(lease) => Ok(LeaseHolder::Other(holder(&lease).to_owned())),
                Err(error) => Err(error),
            };
            match kept {
                Ok(LeaseHolder::Us) if std::mem::take(&mut is_failing) => {
                    tracing::info!("the Lease is renewed again");
                }
                Ok(LeaseHolder::Us) => {}
                Ok(LeaseHolder::Other(holder)) if self.holds.get() => {
                    tracing::error!(holder, "another control plane has taken over; this one ends");
                    std::process::exit(1);
                }
                // It was given back in between.
                Ok(LeaseHolder::Other(_)) => {}
                Err(ObjectError::Other(error)) if !std::mem::replace(&mut is_failing, true) => {
                    tracing::warn!("the Lease is not renewed: {}", error.message);
                }
                Err(_) => {}
            }
        }
    }

    /// Gives the Lease back, so that the next one need not wait.
    pub(crate) async fn release(&self) {
        if !self.holds.replace(false) {
            return;
        }
        let leases: Api<Lease> = self.cluster.api();
        if let Ok(lease) = ask(leases.get(NAME)).await
            && holder(&lease) == identity()
            // It runs out by itself where this does not succeed.
            && self.take(&leases, Some(&lease), "").await.is_err()
        {
            tracing::debug!("the Lease was not given back");
        }
    }

    async fn take(
        &self,
        leases: &Api<Lease>,
        before: Option<&Lease>,
        holder: &str,
    ) -> Result<LeaseHolder, ObjectError> {
        let now = MicroTime(Timestamp::now());
        let spec = LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            lease_duration_seconds: Some(LEASE.as_secs() as i32),
            renew_time: Some(now),
            ..LeaseSpec::default()
        };
        let taken = match before {
            Some(before) => {
                // With its version, so that only one of two succeeds.
                let lease = Lease { metadata: before.metadata.clone(), spec: Some(spec) };
                ask(leases.replace(NAME, &PostParams::default(), &lease)).await
            }
            None => {
                let metadata = ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() };
                ask(leases.create(&PostParams::default(), &Lease { metadata, spec: Some(spec) })).await
            }
        };
        taken.map(|_| LeaseHolder::Us)
    }
}
