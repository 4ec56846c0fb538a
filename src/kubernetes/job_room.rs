//! Room for the Job of one attempt where a quota of the namespace is met: finished Jobs go for it, the oldest first.
//!
//! A quota counts what was deleted a moment later than it is deleted, and a pod until its end is written down. So who
//! has a place tries again with pauses that grow. A place is that of one attempt: those that wait take their turns, in the
//! order in which they met a quota ([`PlaceLine`]), so that the API server is asked about as often as places come free.

use std::rc::Rc;
use std::time::Duration;

use super::finished_jobs::FinishedJobs;
use super::place_line::{PlaceLine, is_fresh};
use crate::backoff::ExponentialBackoff;
use crate::clock::{Clock, Nanos};

/// Longest time for which an end of attempts that run is waited for, from the last one on. One that has posted its
/// result ends within a second or so, and is answered before.
const END_PATIENCE: Duration = Duration::from_secs(3);
/// The first pause before it is tried again.
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// The longest such pause: a quota that is met again and again is not about to be known.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// The kind of a quota that was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum QuotaKind {
    /// It counts Jobs or pods as objects, ended or not: those of finished Jobs are counted.
    Objects,
    /// It counts pods until they end, or their resources.
    Running,
}

impl QuotaKind {
    /// Reads the API server's message: `exceeded quota: NAME, requested: A=1,B=2, used: …, limited: …`.
    pub(super) fn of(message: &str) -> Self {
        let requested = message.split_once("requested: ").map_or("", |(_, rest)| rest);
        let requested = requested.split_once(", used:").map_or(requested, |(requested, _)| requested);
        let is_object = |one: &str| matches!(one.split('=').next(), Some("count/jobs.batch" | "count/pods"));
        if requested.split(',').map(str::trim).any(is_object) { Self::Objects } else { Self::Running }
    }

    /// The line in which places below such a quota are waited for.
    fn line(self, finished: &FinishedJobs) -> &PlaceLine {
        match self {
            Self::Objects => &finished.objects,
            Self::Running => &finished.pods,
        }
    }
}

/// The pauses of one attempt, which do not begin again: it may meet quotas for as long as it has time.
fn pauses() -> ExponentialBackoff {
    ExponentialBackoff::doubling(PAUSE_MIN, PAUSE_MAX)
}

/// The tries of one attempt to have room.
#[derive(Debug)]
pub(super) struct JobRoom {
    finished: Rc<FinishedJobs>,
    clock: Clock,
    pauses: ExponentialBackoff,
    /// Its turn, and the time at which the quota was met for the first time.
    met: Option<(u64, Nanos)>,
    /// Time at which it last took a place.
    taken: Option<Nanos>,
}

impl JobRoom {
    /// Room for an attempt that has met no quota yet.
    #[must_use]
    pub(super) fn new(finished: Rc<FinishedJobs>, clock: Clock) -> Self {
        Self { finished, clock, pauses: pauses(), met: None, taken: None }
    }

    /// Makes room after a quota was met, by its message, when it is its turn. Returns when it is to be tried again;
    /// `false` where nothing would be better then.
    pub(super) async fn make(&mut self, message: &str) -> bool {
        let now = self.clock.now();
        // The place that it has may not be known yet.
        if is_fresh(self.taken, now) {
            self.pauses.pause().await;
            return true;
        }
        let (number, met) = *self.met.get_or_insert_with(|| (self.finished.draw(), now));
        let kind = QuotaKind::of(message);
        self.finished.want_idle();
        let line = kind.line(&self.finished);
        let standing = line.join(number);
        loop {
            if standing.is_first() {
                let lingering = kind == QuotaKind::Running;
                if self.finished.delete_oldest(lingering).await || line.take(self.clock.now()) {
                    self.taken = Some(self.clock.now());
                    return true;
                }
                if self.finished.unfinished() == 0 && !is_fresh(line.stirred(), self.clock.now()) {
                    return false;
                }
            }
            // An attempt behind others waits while places come free.
            let since = Duration::from_nanos(
                self.clock.now().saturating_sub(line.stirred().map_or(met, |stirred| stirred.max(met))),
            );
            let left = END_PATIENCE.saturating_sub(since);
            if left.is_zero() {
                return false;
            }
            // Over or not, it is looked again.
            let _ = tokio::time::timeout(left, standing.woken()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::mpsc;
    use crate::kubernetes::fake_api;
    use crate::kubernetes::finished_jobs::FinishedPod;
    use crate::kubernetes::place_line::QUOTA_LAG;

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
        fake_api::run(async {
            let (finished, mut calls) = fake_api::finished_jobs(10);
            let clock = Clock::start();
            let room = || JobRoom::new(finished.clone(), clock);
            assert!(!room().make(OBJECTS).await, "nothing has finished, and nothing runs");

            finished.began();
            let mut waiting = room();
            let waits = tokio::task::spawn_local(async move { waiting.make(RUNNING).await });
            tokio::task::yield_now().await;
            assert!(!waits.is_finished());
            finished.ended(true, Some(FinishedPod::Over));
            assert!(waits.await.unwrap(), "one has ended");

            finished.keep("old", FinishedPod::Over, std::future::ready(())).await;
            finished.keep("new", FinishedPod::Over, std::future::ready(())).await;
            let mut mine = room();
            assert!(mine.make(OBJECTS).await);
            assert_eq!(calls.recv().await.as_deref(), Some("DELETE old"));
            assert!(mine.make(OBJECTS).await, "the quota may not know yet");
            assert!(calls.try_recv().is_err(), "one goes for one");
            let mut other = room();
            let waits = tokio::time::timeout(Duration::ZERO, other.make(RUNNING)).await;
            assert!(waits.is_err() && calls.try_recv().is_err(), "it does not count what has ended");
        });
    }

    #[test]
    fn attempts_that_wait_for_room_are_let_go_in_turn_and_one_for_each_place() {
        fake_api::run(async {
            let clock = Clock::start();
            for (message, kept) in [(RUNNING, None), (OBJECTS, Some("old"))] {
                let (finished, mut calls) = fake_api::finished_jobs(10);
                (0..4).for_each(|_| finished.began());
                let (gone, mut let_go) = mpsc::channel(8);
                let waiting: Vec<_> = (0..4)
                    .map(|at| {
                        let mut room = JobRoom::new(finished.clone(), clock);
                        let gone = gone.clone();
                        tokio::task::spawn_local(async move {
                            if room.make(message).await {
                                gone.try_send(at).unwrap();
                                // Others would be let go by now, too.
                                std::future::pending::<()>().await;
                            }
                        })
                    })
                    .collect();
                tokio::task::yield_now().await;
                assert!(let_go.try_recv().is_err(), "nothing has come free");
                for expected in [0, 1] {
                    match kept {
                        None => finished.ended(true, Some(FinishedPod::Over)),
                        Some(name) => {
                            finished.keep(name, FinishedPod::Over, std::future::ready(())).await;
                            assert_eq!(calls.recv().await.as_deref(), Some("DELETE old"));
                        }
                    }
                    assert_eq!(let_go.recv().await, Some(expected));
                    tokio::task::yield_now().await;
                    assert!(let_go.try_recv().is_err(), "two were let go by one place");
                }
                // An attempt that goes leaves the turn to the next.
                waiting[2].abort();
                finished.ended(true, None);
                assert_eq!(let_go.recv().await, Some(3));
            }
        });
    }

    #[test]
    fn the_pauses_of_an_attempt_that_meets_a_quota_again_and_again_grow_to_seconds() {
        let pauses: Vec<Duration> = pauses().take(12).collect();
        assert!(pauses[0] <= Duration::from_millis(10) && pauses.is_sorted(), "{pauses:?}");
        assert!(pauses[11] >= Duration::from_secs(4), "{pauses:?}");
        let within_lag = pauses.iter().scan(Duration::ZERO, |sum, pause| {
            *sum += *pause;
            Some(*sum)
        });
        assert!(within_lag.filter(|sum| *sum < QUOTA_LAG).count() < 10, "{pauses:?}");
    }
}
