//! Single-use instances that an earlier control plane made and that had no execution when it ended, ready or not: found
//! at the start, taken over by the versions whose pods are made as they are, and deleted where nobody wants them.

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, ResourceExt};

use super::cluster::{Cluster, call};
use super::job::TOKEN;
use super::pods::JOB_NAME;
use super::template::{EXECUTION, FUNCTION, INCARNATION, MANAGED_BY, PICOFAAS, PORT, STANDBY};
use super::{failure, function_container};
use crate::backoff::ExponentialBackoff;
use crate::change_signal::ChangeSignal;
use crate::id::Token;
use crate::instance::{InstanceReport, Target};
use crate::probe;

/// First pause between two looks at a pod that does not answer yet.
const LOOK_PAUSE_MIN: Duration = Duration::from_millis(100);
/// Longest such pause.
const LOOK_PAUSE_MAX: Duration = Duration::from_secs(2);

/// The pod of a Job that waits for an execution, or that starts, and that another control plane made.
#[derive(Debug)]
pub(crate) struct IdlePod {
    pub(super) job: String,
    pub(super) pod: String,
    /// Where it listens; `None` where the function's container was not yet seen to run.
    pub(super) address: Option<SocketAddr>,
    /// The token with which it announces itself.
    token: Option<Token>,
    function: String,
    template_hash: String,
    /// Held until it is known whether it is taken over.
    _adoption: Option<Adoption>,
}

/// Pods that were found, and how many are being taken over.
#[derive(Debug, Default)]
pub(crate) struct IdlePods {
    found: RefCell<Vec<IdlePod>>,
    adoptions: Rc<Adoptions>,
}

#[derive(Debug, Default)]
struct Adoptions {
    count: Cell<usize>,
    changed: ChangeSignal,
}

/// One pod that is being taken over.
#[derive(Debug)]
struct Adoption(Rc<Adoptions>);

impl Drop for Adoption {
    fn drop(&mut self) {
        self.0.count.set(self.0.count.get() - 1);
        self.0.changed.notify();
    }
}

impl IdlePod {
    /// Reads a pod; `None` where it has an execution, or has ended.
    fn of(pod: &Pod) -> Option<Self> {
        let labels = pod.labels();
        if labels.contains_key(EXECUTION)
            || pod.metadata.deletion_timestamp.is_some()
            || failure::of_pod(pod).is_some()
        {
            return None;
        }
        Some(Self {
            job: labels.get(JOB_NAME)?.clone(),
            pod: pod.name_any(),
            address: address_of(pod),
            token: token_of(pod),
            function: labels.get(FUNCTION)?.clone(),
            template_hash: labels.get(STANDBY)?.clone(),
            _adoption: None,
        })
    }

    /// The token with which it announces itself; `None` where its pod does not say it.
    #[must_use]
    pub(crate) fn token(&self) -> Option<Token> {
        self.token
    }
}

/// Where the function's container of a pod listens, or will; `None` where it was not yet seen to run.
fn address_of(pod: &Pod) -> Option<SocketAddr> {
    let ip = || pod.status.as_ref()?.pod_ip.as_ref()?.parse::<IpAddr>().ok();
    function_container::is_running(pod).then(ip).flatten().map(|ip| SocketAddr::new(ip, PORT))
}

/// The token that the function's container of a pod was given.
fn token_of(pod: &Pod) -> Option<Token> {
    let container = function_container::in_spec(pod.spec.as_ref()?)?;
    let mut variables = container.env.iter().flatten();
    let token = variables.find(|variable| variable.name == TOKEN)?;
    Token::parse(token.value.as_ref()?)
}

impl IdlePods {
    /// Takes those of a function whose template has this hash.
    pub(super) fn take(&self, function: &str, template_hash: &str) -> Vec<IdlePod> {
        let mut found = self.found.borrow_mut();
        let is_its = |pod: &mut IdlePod| pod.function == function && pod.template_hash == template_hash;
        let taken = found.extract_if(.., is_its);
        taken
            .map(|pod| {
                self.adoptions.count.set(self.adoptions.count.get() + 1);
                IdlePod { _adoption: Some(Adoption(self.adoptions.clone())), ..pod }
            })
            .collect()
    }
}

impl Cluster {
    /// Finds the pods that wait for an execution and that an earlier control plane made. Where the API server cannot be
    /// asked, none is taken over.
    pub(crate) async fn find_idle_pods(&self) {
        let pods: Api<Pod> = self.api();
        let selector = format!("{MANAGED_BY}={PICOFAAS},{STANDBY},{INCARNATION}!={}", self.incarnation);
        match call(pods.list(&ListParams::default().labels(&selector))).await {
            Ok(list) => {
                *self.idle_pods.found.borrow_mut() = list.items.iter().filter_map(IdlePod::of).collect();
            }
            Err(failure) => {
                tracing::warn!("standby instances of the control plane before are not taken over: {failure}");
            }
        }
    }

    /// Returns once such a pod answers. It may have announced itself to the control plane before, and does so once only.
    ///
    /// # Errors
    /// It has ended, or is gone.
    pub(super) async fn until_idle_pod_answers(
        &self,
        pod: &str,
        address: Option<SocketAddr>,
    ) -> Result<(SocketAddr, InstanceReport), String> {
        let pods: Api<Pod> = self.api();
        // The Role has pods listed, and not read one by one.
        let only = ListParams::default().fields(&format!("metadata.name={pod}"));
        let look = async || match call(pods.list(&only)).await {
            Ok(list) => Sight::of(list.items.first()),
            Err(_) => Sight::Hidden,
        };
        until_answered(address, look).await
    }

    /// Deletes the Jobs of an earlier control plane that wait for an execution, but for those that were taken over.
    pub(crate) async fn delete_idle_jobs(&self) {
        let adoptions = &self.idle_pods.adoptions;
        adoptions.changed.until(|| adoptions.count.get() == 0).await;
        self.idle_pods.found.borrow_mut().clear();
        let jobs: Api<Job> = self.api();
        let selector = format!("{MANAGED_BY}={PICOFAAS},{STANDBY},{INCARNATION}!={}", self.incarnation);
        let others = ListParams::default().labels(&selector);
        if let Err(failure) = call(jobs.delete_collection(&DeleteParams::background(), &others)).await {
            tracing::warn!(
                "standby instances of the control plane before are not deleted, and end an hour after they were made: {failure}"
            );
        }
    }
}

/// A pod that is taken over, as it is looked at again.
#[derive(Debug, PartialEq, Eq)]
enum Sight {
    /// The API server did not tell.
    Hidden,
    /// It does not run, as far as its node has told, which is up to a second late.
    Starts,
    /// It runs, and listens there or will.
    Runs(SocketAddr),
    /// It has ended, or is being deleted, or there is none.
    Over(String),
}

impl Sight {
    fn of(pod: Option<&Pod>) -> Self {
        let Some(pod) = pod.filter(|pod| pod.metadata.deletion_timestamp.is_none()) else {
            return Self::Over("its pod was deleted".to_owned());
        };
        match failure::of_pod(pod) {
            Some(end) => Self::Over(end.reason),
            None => address_of(pod).map_or(Self::Starts, Self::Runs),
        }
    }
}

/// Asks an instance for its health until it answers, and looks at its pod before it is asked again.
async fn until_answered(
    mut address: Option<SocketAddr>,
    look: impl AsyncFn() -> Sight,
) -> Result<(SocketAddr, InstanceReport), String> {
    let mut pauses = ExponentialBackoff::doubling(LOOK_PAUSE_MIN, LOOK_PAUSE_MAX);
    loop {
        if let Some(address) = address
            && let Ok(report) = probe::health(&Target::Tcp(address)).await
        {
            return Ok((address, report));
        }
        pauses.pause().await;
        match look().await {
            Sight::Hidden => {}
            Sight::Starts => address = None,
            Sight::Runs(at) => address = Some(at),
            Sight::Over(reason) => return Err(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::thread;

    use serde_json::{Value, json};

    use super::*;

    fn pod(change: impl FnOnce(&mut Value)) -> Option<IdlePod> {
        IdlePod::of(&whole_pod(change))
    }

    fn whole_pod(change: impl FnOnce(&mut Value)) -> Pod {
        let mut pod = json!({
            "metadata": {
                "name": "fn-f-s1-x", "creationTimestamp": "2026-12-01T04:00:00Z",
                "labels": {
                    "batch.kubernetes.io/job-name": "fn-f-s1", "picofaas.dev/function": "f",
                    "picofaas.dev/standby": "abc",
                },
            },
            "spec": { "containers": [{ "name": "function", "env": [
                { "name": "PICOFAAS_TOKEN", "value": "000000000000000a000000000000000b" },
            ] }] },
            "status": { "podIP": "10.0.0.7", "containerStatuses": [
                { "name": "function", "image": "i", "imageID": "", "ready": true, "restartCount": 0,
                  "state": { "running": { "startedAt": "2026-12-01T04:00:01Z" } } },
            ] },
        });
        change(&mut pod);
        serde_json::from_value(pod).unwrap()
    }

    #[test]
    fn a_pod_that_waits_or_starts_and_has_no_execution_is_taken_over() {
        let idle = pod(|_| {}).unwrap();
        assert_eq!(idle.job, "fn-f-s1");
        assert_eq!(idle.address.map(|address| address.to_string()).as_deref(), Some("10.0.0.7:8080"));
        assert_eq!(idle.token(), Some(Token { high: 10, low: 11 }));
        // Killed in the moment after it had made them, a control plane leaves pods that nobody has seen run.
        let state =
            |state: Value| move |pod: &mut Value| pod["status"]["containerStatuses"][0]["state"] = state;
        let starts = pod(state(json!({ "waiting": { "reason": "ContainerCreating" } }))).unwrap();
        assert_eq!(starts.address, None);
        assert_eq!(pod(|pod| pod["status"] = json!({ "phase": "Pending" })).unwrap().address, None);
        assert!(pod(|pod| pod["metadata"]["labels"][EXECUTION] = "e".into()).is_none());
        assert!(pod(|pod| pod["metadata"]["deletionTimestamp"] = "2026-12-01T04:00:09Z".into()).is_none());
        assert!(pod(state(json!({ "terminated": { "exitCode": 0 } }))).is_none());
        assert!(pod(state(json!({ "waiting": { "reason": "InvalidImageName" } }))).is_none());
    }

    #[test]
    fn a_version_takes_those_that_are_made_as_its_own_and_each_once() {
        let idle = IdlePods::default();
        for hash in ["abc", "other"] {
            let found = pod(|pod| pod["metadata"]["labels"]["picofaas.dev/standby"] = hash.into());
            idle.found.borrow_mut().extend(found);
        }
        assert_eq!(idle.take("g", "abc").len(), 0);
        let taken = idle.take("f", "abc");
        assert_eq!((taken.len(), idle.adoptions.count.get()), (1, 1));
        assert_eq!(idle.take("f", "abc").len(), 0);
        drop(taken);
        assert_eq!((idle.adoptions.count.get(), idle.found.borrow().len()), (0, 1));
    }

    #[test]
    fn one_that_has_announced_itself_before_is_asked_until_it_answers() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        // The first connection is one to a container that runs and does not listen yet.
        let instance = thread::spawn(move || {
            for answer in ["", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"] {
                let (mut stream, _) = listener.accept().unwrap();
                let _ = stream.read(&mut [0; 1024]).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        let sights = RefCell::new(vec![Sight::Hidden, Sight::Runs(address), Sight::Starts]);
        let look = async || sights.borrow_mut().pop().unwrap();
        let (found, _) = in_runtime(until_answered(None, look)).unwrap();
        instance.join().unwrap();
        assert_eq!((found, sights.borrow().len()), (address, 0));
    }

    #[test]
    fn one_that_has_ended_or_is_gone_meanwhile_is_given_up() {
        let seen = |change: fn(&mut Value)| Sight::of(Some(&whole_pod(change)));
        assert_eq!(seen(|_| {}), Sight::Runs("10.0.0.7:8080".parse().unwrap()));
        assert_eq!(seen(|pod| pod["status"] = json!({ "phase": "Pending" })), Sight::Starts);
        for over in [
            Sight::of(None),
            seen(|pod| pod["metadata"]["deletionTimestamp"] = "2026-12-01T04:00:09Z".into()),
            seen(|pod| {
                pod["status"]["containerStatuses"][0]["state"] = json!({ "terminated": { "exitCode": 0 } });
            }),
        ] {
            let Sight::Over(reason) = over else { panic!("{over:?}") };
            let told = in_runtime(until_answered(None, async || Sight::Over(reason.clone())));
            assert_eq!(told.unwrap_err(), reason);
        }
    }

    fn in_runtime<T>(task: impl Future<Output = T>) -> T {
        let options = tokio::runtime::LocalOptions::default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build_local(options);
        runtime.unwrap().block_on(task)
    }
}
