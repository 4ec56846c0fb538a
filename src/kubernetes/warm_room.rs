//! Room for the pods of one `WARM` function where a quota is met: finished Jobs go for it.
//!
//! The controller of a ReplicaSet tries again by itself, at once and then ever more seldom, and a quota counts what was
//! deleted a moment later. So the function is not told of a quota for that moment, once, where room was made for it.

use std::cell::Cell;
use std::cell::RefCell;
use std::rc::Rc;

use super::finished_jobs::FinishedJobs;
use super::job_room::QuotaKind;
use super::place_line::is_fresh;
use crate::clock::Nanos;

/// The room that was made for a ReplicaSet since its last pod was made.
#[derive(Debug)]
struct MadeRoom {
    replica_set: String,
    /// Time at which it was made first.
    first: Nanos,
    /// Time at which it was made last.
    last: Cell<Nanos>,
}

/// The room that was made for the pods of one function.
#[derive(Debug, Default)]
pub(super) struct WarmRoom(RefCell<Option<MadeRoom>>);

impl WarmRoom {
    /// Makes room after a quota was met by a ReplicaSet, by its message. Answers whether that is not to be told, because
    /// the quota may not know of the room yet.
    pub(super) fn make(
        &self,
        finished: &Rc<FinishedJobs>,
        replica_set: &str,
        message: &str,
        now: Nanos,
    ) -> bool {
        if !message.contains("exceeded quota") {
            return false;
        }
        let mut made = self.0.borrow_mut();
        let before = made.as_ref().filter(|made| made.replica_set == replica_set);
        if let Some(before) = before
            && is_fresh(Some(before.last.get()), now)
        {
            return is_fresh(Some(before.first), now);
        }
        let lingering = QuotaKind::of(message) == QuotaKind::Running;
        if !finished.has(lingering) {
            return false;
        }
        let finished = finished.clone();
        tokio::task::spawn_local(async move { finished.delete_oldest(lingering).await });
        if let Some(before) = before {
            before.last.set(now);
            return false;
        }
        *made = Some(MadeRoom { replica_set: replica_set.to_owned(), first: now, last: Cell::new(now) });
        true
    }

    /// A pod of the function was made.
    pub(super) fn pod_made(&self) {
        *self.0.borrow_mut() = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::fake_api;
    use crate::kubernetes::finished_jobs::FinishedPod;

    const OBJECTS: &str =
        "exceeded quota: few, requested: count/pods=1, used: count/pods=3, limited: count/pods=3";
    const LAG: Nanos = 2_000_000_000;

    #[test]
    fn a_quota_is_told_to_a_warm_function_unless_room_was_just_made_for_it_and_then_once_only() {
        fake_api::run(async {
            let (finished, mut calls) = fake_api::finished_jobs(10);
            let (room, other) = (WarmRoom::default(), WarmRoom::default());
            let is_hushed = |room: &WarmRoom, set: &str, now: Nanos| room.make(&finished, set, OBJECTS, now);
            // Jobs end all the time, and one is deleted by somebody else.
            finished.began();
            finished.ended(true, None);
            assert!(!is_hushed(&room, "fn-a-1", 0), "no room was made for it");

            for name in ["first", "second", "third"] {
                finished.keep(name, FinishedPod::Over, std::future::ready(())).await;
            }
            assert!(is_hushed(&room, "fn-a-1", 1));
            assert_eq!(calls.recv().await.as_deref(), Some("DELETE first"));
            assert!(is_hushed(&room, "fn-a-1", LAG), "the quota may not know of it yet");
            tokio::task::yield_now().await;
            assert!(calls.try_recv().is_err(), "one goes for one");
            assert!(!is_hushed(&room, "fn-a-1", LAG + 1), "the quota knows of it");
            assert_eq!(calls.recv().await.as_deref(), Some("DELETE second"), "it is tried all the same");
            assert!(!is_hushed(&room, "fn-a-1", LAG + 2), "that there is new room hides nothing");
            assert!(!other.make(&finished, "fn-b-1", "denied by a policy", LAG), "it is no quota");

            room.pod_made();
            assert!(is_hushed(&room, "fn-a-1", 2 * LAG), "it is about another pod");
            assert_eq!(calls.recv().await.as_deref(), Some("DELETE third"));
            assert!(!is_hushed(&other, "fn-b-1", 2 * LAG), "the room was made for another function");
        });
    }
}
