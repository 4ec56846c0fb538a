//! One pod of a `WARM` function, as far as it is known.
//!
//! Two tell of it: the pod itself, which announces that it listens, and the watch, which is late and knows
//! of death. So a pod serves as soon as either says so, and an end that the watch tells of may be that of a
//! container whose successor has announced itself already: then the pod is asked ([`Change::Down`]), and
//! serves again when it answers.

use std::net::SocketAddr;

use super::sighting::{Sighting, Trouble};
use crate::backend::exit::Exit;

/// Where a pod stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It has not listened yet.
    Coming,
    /// It takes attempts.
    Serving,
    /// It has served, or may do so, and nothing is known for sure: it serves when it answers.
    Lost,
    /// It is on its way out, and is given nothing more.
    Leaving,
}

/// What a message changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Nothing that matters.
    Nothing,
    /// It serves from now on.
    Up,
    /// It served and does so still, but its container is another one: what was connected is not.
    /// How the one before ended is told where it is known.
    Renewed(Option<Exit>),
    /// It served and does not any more; with how its container ended, where it did. One that is not leaving
    /// is to be asked whether it does serve.
    Down(Option<Exit>),
    /// It cannot start, or not yet; what is known of that has changed, or how its container ended.
    Troubled(Option<Exit>),
}

/// One pod.
#[derive(Debug)]
pub struct Member {
    /// What it was made of.
    pub revision: String,
    /// Where it listens.
    pub address: Option<SocketAddr>,
    /// Where it stands.
    pub standing: Standing,
    /// It was idle and was asked to go; until it does it can be taken back.
    pub excused: bool,
    /// Its annotation says that it is excused.
    pub marked: bool,
    /// What keeps it from serving, or ended it.
    pub trouble: Option<Trouble>,
    /// It served, runs on, and does not answer: it may be long until it does.
    pub stuck: bool,
    /// What the watch showed last; nothing before it has shown it at all.
    seen: Option<(bool, bool, i32)>,
}

impl Member {
    /// One of which nothing is known yet but what it was made of.
    #[must_use]
    pub fn new(revision: String) -> Self {
        Self {
            revision,
            address: None,
            standing: Standing::Coming,
            excused: false,
            marked: false,
            trouble: None,
            stuck: false,
            seen: None,
        }
    }

    /// Whether the watch has shown it.
    #[must_use]
    pub fn is_seen(&self) -> bool {
        self.seen.is_some()
    }

    /// It says that it listens. One that serves already says so when its container is a new one.
    pub fn announced(&mut self, address: SocketAddr) -> Change {
        if self.seen.is_none() || self.address.is_none() {
            self.address = Some(address);
        }
        match self.standing {
            Standing::Leaving => Change::Nothing,
            Standing::Coming | Standing::Lost => self.up(),
            Standing::Serving => Change::Renewed(None),
        }
    }

    /// Its container runs and it has not announced itself: not to this process, or not at all. It is to be
    /// asked then, once, whether it serves; the readiness probe says so a second later.
    pub fn may_serve(&mut self) -> bool {
        let may_serve = self.standing == Standing::Coming
            && self.address.is_some()
            && self.seen.is_some_and(|(_, running, _)| running);
        if may_serve {
            self.standing = Standing::Lost;
        }
        may_serve
    }

    /// It was asked for its health and answered.
    pub fn answered(&mut self) -> Change {
        match self.standing {
            Standing::Lost => self.up(),
            Standing::Coming | Standing::Serving | Standing::Leaving => Change::Nothing,
        }
    }

    /// Whether it serves on its own word: its node has not found it ready yet.
    #[must_use]
    pub fn is_to_be_asked(&self) -> bool {
        self.standing == Standing::Serving && self.seen.is_none_or(|(ready, ..)| !ready)
    }

    /// It was asked for its health again and again, and did not answer.
    pub fn unanswered(&mut self) -> Change {
        if !self.is_to_be_asked() {
            return Change::Nothing;
        }
        self.standing = Standing::Lost;
        self.stuck = true;
        Change::Down(None)
    }

    /// The watch shows it.
    pub fn sighted(&mut self, sighting: Sighting) -> Change {
        let before = self.seen.replace((sighting.ready, sighting.running, sighting.restarts));
        let moved = sighting.address.is_some() && self.address.is_some() && sighting.address != self.address;
        if sighting.address.is_some() {
            self.address = sighting.address;
        }
        if sighting.leaving {
            let served = self.standing == Standing::Serving;
            self.standing = Standing::Leaving;
            self.trouble = sighting.trouble;
            return if served { Change::Down(self.exit()) } else { Change::Nothing };
        }
        match self.standing {
            Standing::Leaving => Change::Nothing,
            Standing::Serving => {
                let (ready, running, restarts) = before.unwrap_or((false, false, sighting.restarts));
                let restarted = sighting.restarts > restarts;
                // It may have ended before it was ever shown to run.
                let stopped = (running && !sighting.running) || sighting.trouble.is_some();
                let unready = ready && !sighting.ready;
                let why = sighting.trouble.or(if restarted { sighting.last } else { None });
                if (restarted && sighting.ready) || moved {
                    Change::Renewed(why.and_then(|trouble| trouble.exit))
                } else if restarted || stopped || unready {
                    self.standing = Standing::Lost;
                    self.trouble = why;
                    self.stuck = !restarted && !stopped;
                    Change::Down(self.exit())
                } else {
                    Change::Nothing
                }
            }
            Standing::Coming | Standing::Lost if sighting.ready && self.address.is_some() => self.up(),
            Standing::Coming | Standing::Lost => {
                // One that was started anew will say so soon.
                let restarted = before.is_some_and(|(_, _, restarts)| sighting.restarts > restarts);
                self.stuck &= sighting.running && !restarted;
                // What it failed of stays known while it tries again.
                match sighting.trouble {
                    Some(trouble) if self.trouble.as_ref() != Some(&trouble) => {
                        self.trouble = Some(trouble);
                        Change::Troubled(self.exit())
                    }
                    Some(_) | None => Change::Nothing,
                }
            }
        }
    }

    /// The watch says that there is no such pod any more.
    pub fn vanished(&mut self) -> Change {
        let served = self.standing == Standing::Serving;
        self.standing = Standing::Leaving;
        if served { Change::Down(None) } else { Change::Nothing }
    }

    /// Whether it is one of those that the Deployment counts.
    #[must_use]
    pub fn counts(&self) -> bool {
        self.standing != Standing::Leaving
    }

    fn exit(&self) -> Option<Exit> {
        self.trouble.as_ref().and_then(|trouble| trouble.exit)
    }

    fn up(&mut self) -> Change {
        self.standing = Standing::Serving;
        self.stuck = false;
        self.trouble = None;
        Change::Up
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::{Value, json};

    use super::*;
    use crate::id::Token;

    fn address() -> SocketAddr {
        "10.1.2.3:8080".parse().expect("an address")
    }

    /// A pod whose container is in `state` after `restarts`, the one before having ended in `last`.
    fn pod(ready: bool, state: &Value, restarts: i32, last: &Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": { "name": "fn-a-1", "labels": { "picofaas.dev/revision": "r1" } },
            "spec": { "containers": [{
                "name": "function",
                "env": [{ "name": "PICOFAAS_TOKEN", "value": "00000000000000010000000000000002" }],
                "resources": { "limits": { "memory": "64Mi" } },
            }] },
            "status": {
                "phase": "Running",
                "podIP": "10.1.2.3",
                "conditions": [{ "type": "Ready", "status": if ready { "True" } else { "False" } }],
                "containerStatuses": [{
                    "name": "function", "image": "i", "imageID": "", "ready": ready,
                    "restartCount": restarts, "state": state, "lastState": last,
                }],
            },
        }))
        .expect("a pod")
    }

    fn seen(pod: &Pod) -> Sighting {
        Sighting::of(pod).expect("a pod of ours")
    }

    fn running() -> Value {
        json!({ "running": { "startedAt": "2026-01-01T00:00:00Z" } })
    }

    fn killed() -> Value {
        json!({ "terminated": { "exitCode": 137, "reason": "OOMKilled" } })
    }

    const OUT_OF_MEMORY: Option<Exit> = Some(Exit::OutOfMemory { limit: 0 });

    fn new() -> Member {
        Member::new("r1".to_owned())
    }

    #[test]
    fn a_pod_serves_as_soon_as_either_says_so_and_the_other_changes_nothing() {
        let mut member = new();
        assert_eq!(member.announced(address()), Change::Up);
        assert_eq!(member.sighted(seen(&pod(false, &running(), 0, &json!({})))), Change::Nothing);
        assert_eq!(member.sighted(seen(&pod(true, &running(), 0, &json!({})))), Change::Nothing);
        assert_eq!(member.standing, Standing::Serving);

        let mut member = new();
        assert_eq!(member.sighted(seen(&pod(false, &running(), 0, &json!({})))), Change::Nothing);
        assert_eq!(member.sighted(seen(&pod(true, &running(), 0, &json!({})))), Change::Up);
        assert_eq!(member.address, Some(address()));
    }

    #[test]
    fn what_an_announcement_says_of_the_address_does_not_count_where_the_watch_has_shown_it() {
        let mut member = new();
        member.sighted(seen(&pod(false, &running(), 0, &json!({}))));
        member.announced("10.9.9.9:1".parse().expect("an address"));
        assert_eq!(member.address, Some(address()));
        let mut member = new();
        member.announced("10.9.9.9:1".parse().expect("an address"));
        let change = member.sighted(seen(&pod(false, &running(), 0, &json!({}))));
        assert_eq!((change, member.address), (Change::Renewed(None), Some(address())));
    }

    #[test]
    fn a_container_that_was_killed_is_told_with_its_reason_and_serves_again_when_it_says_so() {
        let mut member = new();
        member.announced(address());
        member.sighted(seen(&pod(true, &running(), 0, &json!({}))));
        let change = member.sighted(seen(&pod(false, &killed(), 0, &json!({}))));
        assert_eq!(change, Change::Down(OUT_OF_MEMORY));
        let trouble = member.trouble.clone().expect("a reason");
        assert!(trouble.text.contains("64Mi") && !trouble.hopeless, "{trouble:?}");
        assert_eq!(member.announced(address()), Change::Up);
        assert_eq!(member.trouble, None);
    }

    #[test]
    fn an_end_is_noticed_though_its_container_was_never_seen_to_run() {
        let mut member = new();
        member.announced(address());
        let creating = json!({ "waiting": { "reason": "ContainerCreating" } });
        assert_eq!(member.sighted(seen(&pod(false, &creating, 0, &json!({})))), Change::Nothing);
        let change = member.sighted(seen(&pod(false, &killed(), 0, &json!({}))));
        assert_eq!(change, Change::Down(OUT_OF_MEMORY));
        // Nor is how it ended lost where it was lost for another reason before.
        let mut member = new();
        member.announced(address());
        member.sighted(seen(&pod(true, &running(), 0, &json!({}))));
        assert_eq!(member.sighted(seen(&pod(false, &running(), 0, &json!({})))), Change::Down(None));
        let change = member.sighted(seen(&pod(false, &killed(), 0, &json!({}))));
        assert_eq!(change, Change::Troubled(OUT_OF_MEMORY));
    }

    #[test]
    fn an_end_that_nobody_saw_is_known_by_the_restart() {
        let mut member = new();
        member.announced(address());
        member.sighted(seen(&pod(true, &running(), 0, &json!({}))));
        let change = member.sighted(seen(&pod(false, &running(), 1, &killed())));
        assert_eq!(change, Change::Down(OUT_OF_MEMORY));
        assert_eq!(member.answered(), Change::Up);
        let change = member.sighted(seen(&pod(true, &running(), 2, &killed())));
        assert_eq!(change, Change::Renewed(OUT_OF_MEMORY));
        assert_eq!(member.standing, Standing::Serving);
    }

    #[test]
    fn a_container_that_starts_anew_says_so_before_the_watch_does() {
        let mut member = new();
        member.announced(address());
        assert_eq!(member.announced(address()), Change::Renewed(None));
    }

    #[test]
    fn a_pod_that_runs_and_has_not_said_so_is_asked_and_one_that_does_not_is_waited_for() {
        let mut member = new();
        member.sighted(seen(&pod(false, &running(), 0, &json!({}))));
        assert!(member.may_serve());
        assert_eq!(member.answered(), Change::Up);
        assert!(!member.may_serve(), "it serves already");
        let mut member = new();
        member.sighted(seen(&pod(
            false,
            &json!({ "waiting": { "reason": "PodInitializing" } }),
            0,
            &json!({}),
        )));
        assert!(!member.may_serve());
    }

    #[test]
    fn a_pod_that_is_not_ready_any_more_is_lost_until_it_answers() {
        let mut member = new();
        member.sighted(seen(&pod(true, &running(), 0, &json!({}))));
        assert_eq!(member.sighted(seen(&pod(false, &running(), 0, &json!({})))), Change::Down(None));
        assert_eq!(member.standing, Standing::Lost);
        assert!(member.stuck, "it runs and does not answer");
        assert_eq!(member.answered(), Change::Up);
        assert!(!member.stuck);
        // Started anew, it is no more stuck than any other that starts.
        member.sighted(seen(&pod(true, &running(), 0, &json!({}))));
        member.sighted(seen(&pod(false, &running(), 0, &json!({}))));
        member.sighted(seen(&pod(false, &running(), 1, &killed())));
        assert!(!member.stuck && member.standing == Standing::Lost);
    }

    #[test]
    fn a_pod_that_serves_on_its_own_word_is_lost_where_it_does_not_answer() {
        let mut member = new();
        member.announced(address());
        member.sighted(seen(&pod(false, &running(), 0, &json!({}))));
        assert!(member.is_to_be_asked());
        assert_eq!(member.unanswered(), Change::Down(None));
        assert!(member.stuck && !member.is_to_be_asked());
        let mut member = new();
        member.announced(address());
        member.sighted(seen(&pod(true, &running(), 0, &json!({}))));
        assert_eq!(member.unanswered(), Change::Nothing, "its node asks it");
    }

    #[test]
    fn a_pod_that_is_being_deleted_never_serves_again() {
        let mut member = new();
        member.announced(address());
        let mut leaving = pod(true, &running(), 0, &json!({}));
        let value = json!("2026-01-01T00:00:00Z");
        leaving.metadata.deletion_timestamp = serde_json::from_value(value).expect("a time");
        assert_eq!(member.sighted(seen(&leaving)), Change::Down(None));
        assert_eq!(member.announced(address()), Change::Nothing);
        assert_eq!(member.sighted(seen(&leaving)), Change::Nothing);
        assert!(!member.counts());
    }

    #[test]
    fn why_a_pod_does_not_start_is_kept_until_it_does() {
        let mut member = new();
        let waiting = json!({ "waiting": { "reason": "ImagePullBackOff", "message": "no such image" } });
        assert_eq!(member.sighted(seen(&pod(false, &waiting, 0, &json!({})))), Change::Troubled(None));
        assert!(member.trouble.as_ref().is_some_and(|trouble| trouble.hopeless));
        assert_eq!(member.sighted(seen(&pod(false, &waiting, 0, &json!({})))), Change::Nothing, "told twice");
        let creating = json!({ "waiting": { "reason": "ContainerCreating" } });
        member.sighted(seen(&pod(false, &creating, 0, &json!({}))));
        assert!(member.trouble.is_some());
        assert_eq!(member.announced(address()), Change::Up);
        assert_eq!(member.trouble, None);
    }

    #[test]
    fn a_container_that_crashes_before_it_listens_is_hopeless_only_when_it_does_so_again_and_again() {
        let mut member = new();
        let crashed = json!({ "terminated": { "exitCode": 3, "reason": "Error" } });
        let exit = Some(Exit::Code(3));
        assert_eq!(member.sighted(seen(&pod(false, &crashed, 0, &json!({})))), Change::Troubled(exit));
        assert!(member.trouble.as_ref().is_some_and(|trouble| !trouble.hopeless));
        let looping = json!({ "waiting": { "reason": "CrashLoopBackOff" } });
        assert_eq!(member.sighted(seen(&pod(false, &looping, 1, &crashed))), Change::Troubled(exit));
        let trouble = member.trouble.clone().expect("a reason");
        assert!(trouble.hopeless && trouble.text.contains("exit code 3"), "{trouble:?}");
    }

    #[test]
    fn what_no_deployment_of_ours_made_is_not_looked_at() {
        let mut other = pod(true, &running(), 0, &json!({}));
        other.metadata.labels = None;
        assert_eq!(Sighting::of(&other), None);
        assert_eq!(seen(&pod(true, &running(), 0, &json!({}))).token, Some(Token { high: 1, low: 2 }));
    }
}
