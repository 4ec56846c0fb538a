//! One pod of a `WARM` function, as far as it is known: a state machine.
//!
//! It has two inputs: the pod itself, which announces that it listens, and the watch, which is late and knows
//! of ends. So a pod serves as soon as either says so, and an end that the watch tells of may be that of a
//! container whose successor has announced itself already: then the pod is asked ([`PodChange::Down`]), and
//! serves again when it answers.

use std::net::SocketAddr;

use super::function_container::ContainerReadiness;
use super::observed_pod::{ObservedPod, PodProblem};
use super::pod_start::PodStart;
use crate::exit::Exit;

/// The state of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PodState {
    /// It has not listened yet.
    Starting,
    /// It takes attempts.
    Serving,
    /// It has served, or may serve, and nothing is known for sure: it serves again when it answers a probe.
    Unknown,
    /// It is being deleted or has ended, and is granted nothing more.
    Terminating,
}

/// The effect of an announcement, an observation or a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PodChange {
    /// Nothing that matters.
    Nothing,
    /// It serves from now on.
    Up,
    /// It served and does so still, but its container is another one: what was connected is not.
    /// The end of the one before is told where it is known.
    Restarted(Option<Exit>),
    /// It served and does not any more; with how its container ended, where it did. One that is not terminating
    /// is to be probed.
    Down(Option<Exit>),
    /// It cannot start, or not yet; what is known of that has changed, or how its container ended.
    ProblemChanged(Option<Exit>),
}

/// One pod.
#[derive(Debug)]
pub(super) struct TrackedPod {
    /// Hash of the template that it was made of.
    pub template_hash: String,
    /// Address at which it listens.
    pub address: Option<SocketAddr>,
    /// Its state.
    pub state: PodState,
    /// It is idle and is to be the next to go; until it does it can be taken back.
    pub scale_down_candidate: bool,
    /// Its annotation says that it is a scale-down candidate.
    pub annotated: bool,
    /// The problem that keeps it from serving, or that ended it.
    pub problem: Option<PodProblem>,
    /// It served, runs on, and does not answer: it may be long until it does.
    pub stuck: bool,
    /// Its start, as far as it is known.
    pub start: PodStart,
    /// A task asks it whether it answers, for as long as it serves on its own word.
    pub probed: bool,
    /// ContainerReadiness, running and restarts as the watch showed them last; `None` before it has shown the pod.
    seen: Option<(ContainerReadiness, bool, i32)>,
}

impl TrackedPod {
    /// A pod of which only the template is known.
    #[must_use]
    pub(super) fn new(template_hash: String) -> Self {
        Self {
            template_hash,
            address: None,
            state: PodState::Starting,
            scale_down_candidate: false,
            annotated: false,
            problem: None,
            stuck: false,
            start: PodStart::default(),
            probed: false,
            seen: None,
        }
    }

    /// Whether the watch has shown it.
    #[must_use]
    pub(super) fn is_seen(&self) -> bool {
        self.seen.is_some()
    }

    /// Takes its announcement that it listens. A pod that serves already announces a new container.
    pub(super) fn announced(&mut self, address: SocketAddr) -> PodChange {
        if self.seen.is_none() || self.address.is_none() {
            self.address = Some(address);
        }
        match self.state {
            PodState::Terminating => PodChange::Nothing,
            PodState::Starting | PodState::Unknown => self.up(),
            PodState::Serving => PodChange::Restarted(None),
        }
    }

    /// Whether its container runs and it has not announced itself: not to this process, or not at all. It is
    /// probed then, once; the readiness probe tells a second later.
    pub(super) fn may_serve(&mut self) -> bool {
        let may_serve = self.state == PodState::Starting
            && self.address.is_some()
            && self.seen.is_some_and(|(_, running, _)| running);
        if may_serve {
            self.state = PodState::Unknown;
        }
        may_serve
    }

    /// Takes a successful probe.
    pub(super) fn answered(&mut self) -> PodChange {
        match self.state {
            PodState::Unknown => self.up(),
            PodState::Starting | PodState::Serving | PodState::Terminating => PodChange::Nothing,
        }
    }

    /// Whether it serves on its own word, so that it is probed: its node has not found it ready yet, or would not tell
    /// that it is not any more.
    #[must_use]
    pub(super) fn needs_probe(&self) -> bool {
        self.state == PodState::Serving
            && self.seen.is_none_or(|(readiness, ..)| readiness != ContainerReadiness::Ready)
    }

    /// Whether it serves and its node has found its container ready. A pod that is not is the first that its Deployment
    /// takes away when the template changes again.
    #[must_use]
    pub(super) fn is_found_ready(&self) -> bool {
        self.state == PodState::Serving
            && self.seen.is_some_and(|(readiness, ..)| readiness != ContainerReadiness::NotReady)
    }

    /// Takes failed probes, one after the other.
    pub(super) fn unanswered(&mut self) -> PodChange {
        if !self.needs_probe() {
            return PodChange::Nothing;
        }
        self.state = PodState::Unknown;
        self.stuck = true;
        PodChange::Down(None)
    }

    /// Takes what the watch shows.
    pub(super) fn observe(&mut self, observed: ObservedPod) -> PodChange {
        let before = self.seen.replace((observed.readiness, observed.running, observed.restarts));
        let moved = observed.address.is_some() && self.address.is_some() && observed.address != self.address;
        if observed.address.is_some() {
            self.address = observed.address;
        }
        if observed.terminating {
            let served = self.state == PodState::Serving;
            self.state = PodState::Terminating;
            self.problem = observed.problem;
            return if served { PodChange::Down(self.exit()) } else { PodChange::Nothing };
        }
        match self.state {
            PodState::Terminating => PodChange::Nothing,
            PodState::Serving => {
                let (readiness, running, restarts) =
                    before.unwrap_or((ContainerReadiness::NotReady, false, observed.restarts));
                let is_ready = observed.readiness != ContainerReadiness::NotReady;
                let restarted = observed.restarts > restarts;
                // It may have ended before it was ever shown to run.
                let stopped = (running && !observed.running) || observed.problem.is_some();
                let unready = readiness != ContainerReadiness::NotReady && !is_ready;
                let why = observed.problem.or(if restarted { observed.last } else { None });
                if (restarted && is_ready) || moved {
                    PodChange::Restarted(why.and_then(|problem| problem.exit))
                } else if restarted || stopped || unready {
                    self.state = PodState::Unknown;
                    self.problem = why;
                    self.stuck = !restarted && !stopped;
                    PodChange::Down(self.exit())
                } else {
                    PodChange::Nothing
                }
            }
            PodState::Starting | PodState::Unknown if self.may_be_taken_for_ready(observed.readiness) => {
                self.up()
            }
            PodState::Starting | PodState::Unknown => {
                // One that was started anew will say so soon.
                let restarted = before.is_some_and(|(_, _, restarts)| observed.restarts > restarts);
                self.stuck &= observed.running && !restarted;
                // The problem stays known while the pod tries again.
                match observed.problem {
                    Some(problem) if self.problem.as_ref() != Some(&problem) => {
                        self.problem = Some(problem);
                        PodChange::ProblemChanged(self.exit())
                    }
                    Some(_) | None => PodChange::Nothing,
                }
            }
        }
    }

    /// Whether a pod that does not serve does so by this word of its node. One that was lost is presumed to answer by
    /// none: a probe tells.
    fn may_be_taken_for_ready(&self, readiness: ContainerReadiness) -> bool {
        let is_ready = match readiness {
            ContainerReadiness::Ready => true,
            ContainerReadiness::Presumed => self.state == PodState::Starting,
            ContainerReadiness::NotReady => false,
        };
        is_ready && self.address.is_some()
    }

    /// Takes its deletion.
    pub(super) fn deleted(&mut self) -> PodChange {
        let served = self.state == PodState::Serving;
        self.state = PodState::Terminating;
        if served { PodChange::Down(None) } else { PodChange::Nothing }
    }

    /// Whether the Deployment counts it.
    #[must_use]
    pub(super) fn counts(&self) -> bool {
        self.state != PodState::Terminating
    }

    /// Whether its annotation does not say what it is.
    #[must_use]
    pub(super) fn has_stale_annotation(&self) -> bool {
        self.counts() && self.scale_down_candidate != self.annotated
    }

    fn exit(&self) -> Option<Exit> {
        self.problem.as_ref().and_then(|problem| problem.exit)
    }

    fn up(&mut self) -> PodChange {
        self.state = PodState::Serving;
        self.stuck = false;
        self.problem = None;
        PodChange::Up
    }
}

#[cfg(test)]
mod tests;
