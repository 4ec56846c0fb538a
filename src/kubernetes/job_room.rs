//! Room for the Job of one attempt where a quota of the namespace is met: finished Jobs go for it, the oldest first.
//!
//! A quota counts what was deleted a moment later than it is deleted, and a pod until its end is written down. So who
//! made room tries again with short pauses, and who finds that others have just ended waits for a moment as well.

use std::rc::Rc;
use std::time::Duration;

use super::finished_jobs::FinishedJobs;
use crate::backoff::ExponentialBackoff;
use crate::clock::{Clock, Nanos};

/// Longest time in which a quota comes to know that something has ended or was deleted.
const QUOTA_LAG: Duration = Duration::from_secs(2);
/// Longest time for which an end of attempts that run is waited for. One that has posted its result ends within a
/// second or so, and is answered before.
const END_PATIENCE: Duration = Duration::from_secs(3);
/// The first pause before it is tried again.
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// The longest such pause.
const PAUSE_MAX: Duration = Duration::from_millis(250);

/// The kind of a quota that was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum QuotaKind {
    /// It counts Jobs or pods as objects, ended or not: those of finished Jobs are counted.
    Objects,
    /// It counts pods until they end, or their resources.
    Running,
}

impl QuotaKind {
    /// Reads the API server's message: `exceeded quota: NAME, requested: A=1,B=2, used: …, limited: …`.
    fn of(message: &str) -> Self {
        let requested = message.split_once("requested: ").map_or("", |(_, rest)| rest);
        let requested = requested.split_once(", used:").map_or(requested, |(requested, _)| requested);
        let is_object = |one: &str| matches!(one.split('=').next(), Some("count/jobs.batch" | "count/pods"));
        if requested.split(',').map(str::trim).any(is_object) { Self::Objects } else { Self::Running }
    }
}

/// Makes room for a pod of a `WARM` function, which its controller tries to make again by itself; whether there is, or
/// may come to be, room.
pub(super) fn make_for_warm_pod(finished: &Rc<FinishedJobs>, message: &str, clock: Clock) -> bool {
    if !message.contains("exceeded quota") {
        return false;
    }
    let lingering = QuotaKind::of(message) == QuotaKind::Running;
    if is_fresh(finished.freed(), clock) {
        return true;
    }
    let is_some = finished.has(lingering);
    if is_some {
        let finished = finished.clone();
        tokio::task::spawn_local(async move { finished.delete_oldest(lingering).await });
    }
    is_some
}

/// Whether a quota may not have come to know yet of something that was freed then.
fn is_fresh(freed: Option<Nanos>, clock: Clock) -> bool {
    freed.is_some_and(|freed| Duration::from_nanos(clock.now().saturating_sub(freed)) < QUOTA_LAG)
}

/// The tries of one attempt to have room.
#[derive(Debug)]
pub(super) struct JobRoom {
    finished: Rc<FinishedJobs>,
    clock: Clock,
    pauses: ExponentialBackoff,
    /// Time at which the quota was met for the first time.
    met: Option<Nanos>,
    /// Time at which room was last made for this attempt.
    made: Option<Nanos>,
}

impl JobRoom {
    /// Room for an attempt that has met no quota yet.
    #[must_use]
    pub(super) fn new(finished: Rc<FinishedJobs>, clock: Clock) -> Self {
        let pauses = ExponentialBackoff::doubling(PAUSE_MIN, PAUSE_MAX);
        Self { finished, clock, pauses, met: None, made: None }
    }

    /// Makes room after a quota was met, by its message. Returns when it is to be tried again; `false` where nothing
    /// would be better then.
    pub(super) async fn make(&mut self, message: &str) -> bool {
        let now = self.clock.now();
        let met = *self.met.get_or_insert(now);
        if is_fresh(self.made, self.clock) {
            self.pauses.pause().await;
            return true;
        }
        let lingering = QuotaKind::of(message) == QuotaKind::Running;
        if self.finished.delete_oldest(lingering).await {
            self.made = Some(self.clock.now());
            self.pauses.reset();
            return true;
        }
        if is_fresh(self.finished.freed(), self.clock) {
            self.pauses.pause().await;
            return true;
        }
        let unfinished = self.finished.unfinished();
        let patience = END_PATIENCE.saturating_sub(Duration::from_nanos(now.saturating_sub(met)));
        let one_has_ended = self
            .finished
            .changed
            .until(|| self.finished.unfinished() < unfinished || is_fresh(self.finished.freed(), self.clock));
        unfinished > 0 && tokio::time::timeout(patience, one_has_ended).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::fake_api;
    use crate::kubernetes::finished_jobs::FinishedPod;

    #[test]
    fn only_a_quota_that_counts_ended_objects_is_helped_by_deleting_them() {
        let met = |requested: &str| {
            QuotaKind::of(&format!(
                "pods \"fn-a\" is forbidden: exceeded quota: few, requested: {requested}, used: count/jobs.batch=3, limited: pods=3"
            ))
        };
        for requested in
            ["count/jobs.batch=1", "count/pods=1", "pods=1,count/pods=1", "count/jobs.batch=1,x=2"]
        {
            assert_eq!(met(requested), QuotaKind::Objects, "{requested}");
        }
        for requested in ["pods=1", "limits.memory=64Mi,pods=1", "count/secrets=1"] {
            assert_eq!(met(requested), QuotaKind::Running, "{requested}");
        }
        assert_eq!(QuotaKind::of("exceeded quota"), QuotaKind::Running);
    }

    const OBJECTS: &str =
        "exceeded quota: few, requested: count/jobs.batch=1, used: count/jobs.batch=3, limited: 3";
    const RUNNING: &str = "exceeded quota: few, requested: pods=1, used: pods=3, limited: pods=3";

    #[test]
    fn room_is_made_of_what_has_finished_and_waited_for_where_something_runs_and_else_there_is_none() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build_local(tokio::runtime::LocalOptions::default())
            .unwrap();
        runtime.block_on(async {
            let (jobs, mut calls) = fake_api::objects();
            let clock = Clock::start();
            let finished = FinishedJobs::new(jobs, clock, 10, Duration::from_secs(600));
            let room = || JobRoom::new(finished.clone(), clock);
            assert!(!room().make(OBJECTS).await, "nothing has finished, and nothing runs");

            finished.began();
            let mut waiting = room();
            let waits = tokio::task::spawn_local(async move { waiting.make(RUNNING).await });
            tokio::task::yield_now().await;
            assert!(!waits.is_finished());
            finished.ended(true);
            assert!(waits.await.unwrap(), "one has ended");

            finished.keep("old", FinishedPod::Over, std::future::ready(())).await;
            finished.keep("new", FinishedPod::Over, std::future::ready(())).await;
            let mut mine = room();
            assert!(mine.make(OBJECTS).await);
            assert_eq!(calls.recv().await.as_deref(), Some("DELETE old"));
            assert!(mine.make(OBJECTS).await, "the quota may not know yet");
            assert!(room().make(RUNNING).await, "it does not count what has ended");
            assert!(calls.try_recv().is_err(), "one goes for one");
        });
    }
}
