//! Jobs of the namespace that have finished and are kept: for their log, and to be looked at.
//!
//! Kubernetes deletes each after its time (`--job-ttl-s`). Here the oldest go before that: where more than
//! `--finished-jobs-max` are kept, and where a quota is met ([`JobRoom`](super::job_room::JobRoom)). The log of each
//! was read before. A Job that runs is never deleted from here.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use kube::Api;
use kube::api::DeleteParams;

use super::cluster::call;
use super::failure::CallFailure;
use super::place_line::PlaceLine;
use crate::backoff::ExponentialBackoff;
use crate::clock::{Clock, Nanos};

/// Time for which the other containers of a pod may go on after the function's has ended, before its Job is deleted: one
/// that ships logs or metrics has its last to send.
const SIDECAR_GRACE: Duration = Duration::from_secs(10);
/// The first pause before a Job is tried to be deleted again.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// The longest such pause.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Time for which it is tried to delete a Job; after that Kubernetes deletes it in its own time.
const DELETE_PATIENCE: Duration = Duration::from_secs(120);

/// The pod of a finished Job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FinishedPod {
    /// All of its containers have ended.
    Over,
    /// The function's container has ended, and others go on.
    Lingering,
}

#[derive(Debug)]
struct FinishedJob {
    name: Rc<str>,
    finished: Nanos,
    pod: FinishedPod,
}

impl FinishedJob {
    fn fits(&self, lingering: bool) -> bool {
        !lingering || self.pod == FinishedPod::Lingering
    }
}

/// The Jobs of all functions that have finished and are kept.
#[derive(Debug)]
pub struct FinishedJobs {
    jobs: Api<Job>,
    clock: Clock,
    kept_max: usize,
    ttl: Duration,
    /// Jobs whose log was read, that which ended first before the others.
    kept: RefCell<VecDeque<FinishedJob>>,
    /// Number of attempts whose Job was made and that have not ended.
    running: Cell<usize>,
    /// Number of those that have ended and whose log is being read.
    unread: Cell<usize>,
    /// Places below quotas that count Jobs or pods as objects, ended or not.
    pub(super) objects: PlaceLine,
    /// Places below quotas that count pods until they end.
    pub(super) pods: PlaceLine,
    /// Number that the next one draws who meets a quota.
    drawn: Cell<u64>,
    /// A task deletes those that are too many.
    trimming: Cell<bool>,
    /// Attempts have met a quota, and pods that wait for an execution may go for them.
    wants_idle: Cell<bool>,
}

impl FinishedJobs {
    /// None yet, of a namespace in which at most `kept_max` are kept, each for at most `ttl`.
    #[must_use]
    pub(super) fn new(jobs: Api<Job>, clock: Clock, kept_max: usize, ttl: Duration) -> Rc<Self> {
        Rc::new(Self {
            jobs,
            clock,
            kept_max,
            ttl,
            kept: RefCell::default(),
            running: Cell::new(0),
            unread: Cell::new(0),
            objects: PlaceLine::default(),
            pods: PlaceLine::default(),
            drawn: Cell::new(0),
            trimming: Cell::new(false),
            wants_idle: Cell::new(false),
        })
    }

    /// The Job of an attempt was made.
    pub(super) fn began(&self) {
        self.running.set(self.running.get() + 1);
    }

    /// An attempt whose Job was made has ended. One that never `had_pod` frees nothing; the Job of another is kept with
    /// its pod, or is gone.
    pub(super) fn ended(&self, had_pod: bool, kept: Option<FinishedPod>) {
        self.running.set(self.running.get() - 1);
        let now = self.clock.now();
        match (had_pod, kept) {
            (false, _) => {
                self.objects.look();
                self.pods.look();
            }
            (true, None) => {
                self.objects.add(now);
                self.pods.add(now);
            }
            (true, Some(FinishedPod::Over)) => {
                self.objects.stir(now);
                self.pods.add(now);
            }
            (true, Some(FinishedPod::Lingering)) => {
                self.objects.stir(now);
                self.pods.stir(now);
            }
        }
    }

    /// Draws the number of an attempt that has met a quota: its turn.
    #[must_use]
    pub(super) fn draw(&self) -> u64 {
        self.drawn.replace(self.drawn.get() + 1)
    }

    /// Keeps the Job of an attempt that has ended, once its log was read.
    pub(super) async fn keep(
        self: &Rc<Self>,
        name: &str,
        pod: FinishedPod,
        log_read: impl Future<Output = ()>,
    ) {
        let finished = self.clock.now();
        self.unread.set(self.unread.get() + 1);
        log_read.await;
        self.unread.set(self.unread.get() - 1);
        let name: Rc<str> = name.into();
        self.forget_deleted();
        {
            // One that ended before others may have its log read after theirs.
            let mut kept = self.kept.borrow_mut();
            let at = kept.partition_point(|job| job.finished <= finished);
            kept.insert(at, FinishedJob { name: name.clone(), finished, pod });
        }
        self.objects.look();
        if pod == FinishedPod::Lingering {
            self.pods.look();
        }
        self.trim();
        if pod == FinishedPod::Lingering {
            self.end_lingering(&name).await;
        }
    }

    /// An attempt has met a quota: a pod that waits for an execution may go for it.
    pub(super) fn want_idle(&self) {
        self.wants_idle.set(true);
    }

    /// Whether that was said since this was asked.
    #[must_use]
    pub(super) fn take_wants_idle(&self) -> bool {
        self.wants_idle.take()
    }

    /// Number of attempts that run, and of those whose log is being read.
    #[must_use]
    pub(super) fn unfinished(&self) -> usize {
        self.running.get() + self.unread.get()
    }

    /// Number of Jobs that are kept.
    #[must_use]
    pub(super) fn kept(&self) -> usize {
        self.kept.borrow().len()
    }

    /// Whether one is kept. Where it is to be `lingering`, one whose pod has containers that go on.
    #[must_use]
    pub(super) fn has(&self, lingering: bool) -> bool {
        self.kept.borrow().iter().any(|job| job.fits(lingering))
    }

    /// Deletes the oldest one, of those that [`has`](Self::has) looks at; `false` where there is none, or it could not
    /// be deleted. Its place is the caller's. Once begun, the deletion goes on though the future is dropped.
    pub(super) async fn delete_oldest(self: &Rc<Self>, lingering: bool) -> bool {
        self.forget_deleted();
        let oldest = {
            let mut kept = self.kept.borrow_mut();
            let at = kept.iter().position(|job| job.fits(lingering));
            at.and_then(|at| kept.remove(at))
        };
        let Some(oldest) = oldest else { return false };
        // In a task of its own: who waits for it may be gone before it is done, and the Job is nobody's then.
        let finished = self.clone();
        let deletion = tokio::task::spawn_local(async move { finished.delete(&oldest.name).await });
        // It fails only where the thread is stopping.
        deletion.await.unwrap_or(false)
    }

    /// Deletes those that are too many, one after the other.
    fn trim(self: &Rc<Self>) {
        if self.kept() <= self.kept_max || self.trimming.replace(true) {
            return;
        }
        let finished = self.clone();
        tokio::task::spawn_local(async move {
            while finished.kept() > finished.kept_max && finished.delete_oldest(false).await {
                finished.objects.add(finished.clock.now());
            }
            finished.trimming.set(false);
        });
    }

    /// Deletes a Job whose pod has containers that would run on for nobody, unless they end by themselves.
    async fn end_lingering(&self, name: &Rc<str>) {
        tokio::time::sleep(SIDECAR_GRACE).await;
        if !self.is_kept(name) {
            return;
        }
        let is_over = match call(self.jobs.get(name)).await {
            Ok(job) => job.status.is_some_and(|status| status.active.unwrap_or(0) == 0),
            Err(CallFailure::NotFound) => true,
            Err(_) => false,
        };
        if self.take_lingering(name, is_over) && self.delete(name).await {
            self.objects.add(self.clock.now());
            self.pods.add(self.clock.now());
        }
    }

    /// Takes a Job out whose pod has containers that go on; `false` where it is not kept any more, or `is_over` by itself
    /// and stays.
    fn take_lingering(&self, name: &str, is_over: bool) -> bool {
        let mut kept = self.kept.borrow_mut();
        let Some(at) = kept.iter().position(|job| &*job.name == name) else { return false };
        if is_over {
            kept[at].pod = FinishedPod::Over;
        } else {
            kept.remove(at);
        }
        !is_over
    }

    fn is_kept(&self, name: &Rc<str>) -> bool {
        self.kept.borrow().iter().any(|job| job.name == *name)
    }

    /// Forgets those that Kubernetes has deleted, whose time is over.
    fn forget_deleted(&self) {
        let ttl = u64::try_from(self.ttl.as_nanos()).unwrap_or(u64::MAX);
        let now = self.clock.now();
        let mut kept = self.kept.borrow_mut();
        while kept
            .front()
            .is_some_and(|job| job.pod == FinishedPod::Over && now.saturating_sub(job.finished) > ttl)
        {
            kept.pop_front();
        }
    }

    /// Deletes a Job; `false` where it could not be.
    async fn delete(&self, name: &str) -> bool {
        let deleted = async {
            let mut pauses = ExponentialBackoff::doubling(PAUSE_MIN, PAUSE_MAX);
            loop {
                match call(self.jobs.delete(name, &DeleteParams::background())).await {
                    Err(CallFailure::Transient(_)) => pauses.pause().await,
                    // Gone is gone, whoever did it.
                    Ok(_) | Err(CallFailure::NotFound | CallFailure::AlreadyExists) => return None,
                    Err(CallFailure::Permanent(end)) => return Some(end.reason),
                }
            }
        };
        let why = match tokio::time::timeout(DELETE_PATIENCE, deleted).await {
            Ok(None) => {
                self.objects.stir(self.clock.now());
                return true;
            }
            Ok(Some(why)) => why,
            Err(_) => "the Kubernetes API server could not be reached".to_owned(),
        };
        tracing::warn!(job = name, "a finished Job could not be deleted, and goes in its own time: {why}");
        false
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use super::*;
    use crate::channel::oneshot;
    use crate::kubernetes::fake_api;

    #[test]
    fn of_too_many_those_go_that_ended_first_and_none_before_its_log_was_read() {
        fake_api::run(async {
            let (finished, mut calls) = fake_api::finished_jobs(2);
            let keep = |name: &'static str| finished.keep(name, FinishedPod::Over, ready(()));
            let (log_read, read) = oneshot::channel::<()>();
            let unread = finished.clone();
            tokio::task::spawn_local(async move {
                unread.keep("first", FinishedPod::Over, async { drop(read.await) }).await;
            });
            tokio::task::yield_now().await;
            assert_eq!(finished.unfinished(), 1);
            keep("second").await;
            keep("third").await;
            assert!(calls.try_recv().is_err(), "two may be kept");
            keep("fourth").await;
            assert_eq!(calls.recv().await.as_deref(), Some("DELETE second"));
            drop(log_read);
            assert_eq!(calls.recv().await.as_deref(), Some("DELETE first"), "it ended before the others");
            assert!(finished.delete_oldest(false).await && finished.delete_oldest(false).await);
            assert_eq!(calls.recv().await.as_deref(), Some("DELETE third"));
            assert_eq!(calls.recv().await.as_deref(), Some("DELETE fourth"));
            assert!(!finished.delete_oldest(false).await, "there is none");
        });
    }

    #[test]
    fn a_job_that_was_chosen_to_go_goes_though_nobody_waits_for_it_any_more() {
        fake_api::run(async {
            let (finished, mut calls) = fake_api::finished_jobs(10);
            finished.keep("old", FinishedPod::Over, ready(())).await;
            // Dropped once it has begun.
            tokio::select! {
                biased;
                _ = finished.delete_oldest(false) => panic!("an answer has come at once"),
                () = ready(()) => {}
            }
            assert_eq!(calls.recv().await.as_deref(), Some("DELETE old"));
        });
    }
}
