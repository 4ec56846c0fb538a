//! The state of a reserve of single-use instances, as people are told of it.

use crate::instance::InstanceProblem;

/// The state of the reserve of one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StandbyState {
    /// Instances that wait for an execution.
    pub(crate) ready: u32,
    /// Instances that are being started.
    pub(crate) starting: u32,
    /// Instances that are to be ready.
    pub(crate) target: u32,
    /// Why there are not as many as are to be.
    pub(crate) problem: Option<StandbyProblem>,
}

/// Why there are not as many instances ready as are to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StandbyProblem {
    /// The last one could not be started, or ended before it was used. Calls have an instance started for each.
    Failed(InstanceProblem),
    /// There are as many ahead as there may be, over all functions (`--max-standby`).
    Limited {
        /// As many.
        standby_max: u32,
    },
    /// There are no nodes with room for more of them.
    NoRoom(String),
}

impl StandbyState {
    /// The reason of its condition: one word.
    #[must_use]
    pub(crate) fn reason(&self) -> &'static str {
        match &self.problem {
            Some(StandbyProblem::Failed(_)) => "StandbyFailed",
            Some(StandbyProblem::Limited { .. } | StandbyProblem::NoRoom(_)) => "StandbyLimited",
            None if self.ready >= self.target => "ReserveReady",
            None => "ReserveFills",
        }
    }

    /// The reason and the message of its condition, where there is a problem. How many are ready is not in it: that
    /// changes with each call.
    #[must_use]
    pub(crate) fn problem_told(&self) -> Option<(&'static str, String)> {
        Some((self.reason(), self.message(true)?))
    }

    /// Tells of a problem, with the lines that an instance wrote or without.
    #[must_use]
    pub(crate) fn message(&self, with_lines: bool) -> Option<String> {
        match self.problem.as_ref()? {
            StandbyProblem::Failed(problem) => Some(format!(
                "no instance could be started ahead, so each call has one started for it: {}. A program that reads EXECUTION_ID as it starts gets no standby instance: use a runtime, or leave standby out",
                problem.told(with_lines)
            )),
            StandbyProblem::NoRoom(why) => {
                Some(format!("there are fewer standby instances than are to be: {why}"))
            }
            StandbyProblem::Limited { standby_max } => Some(format!(
                "there are {standby_max} standby instances over all functions, and may be no more (--max-standby)"
            )),
        }
    }
}
