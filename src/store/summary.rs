//! An execution as it is read, but for its output.

use std::sync::Arc;

use super::execution::{Execution, Stage};
use super::execution_error::ExecutionError;
use super::timestamps::Timestamps;
use super::web::WebRecord;
use crate::clock::Nanos;
use crate::cold_phases::ColdPhases;
use crate::id::ExecutionId;
use crate::instance::InstanceStart;
use crate::spec::FunctionName;

/// The part of an execution that other threads may hold.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Its id.
    pub id: ExecutionId,
    /// Name of its function.
    pub function: FunctionName,
    /// See [`Stage`].
    pub stage: Stage,
    /// Attempts begun.
    pub attempt: u8,
    /// The answer was the first of its instance.
    pub cold_start: bool,
    /// See [`Execution::cold`].
    pub cold: Option<Arc<InstanceStart>>,
    /// Its instance had been started ahead, and was ready when it came.
    pub standby: bool,
    /// The time at which the first attempt was granted; 0: not yet.
    pub first_granted: Nanos,
    /// See [`Timestamps`].
    pub timestamps: Timestamps,
    /// The error that it ended with, or its last attempt did.
    pub error: Option<Box<ExecutionError>>,
    /// Its HTTP exchange, where its function answers requests as they are.
    pub web: Option<WebRecord>,
}

impl Summary {
    /// The summary of an execution as it stands.
    #[must_use]
    pub fn of(id: ExecutionId, execution: &Execution) -> Self {
        Self {
            id,
            function: execution.entry.function.spec.name.clone(),
            stage: execution.stage(),
            attempt: execution.attempt,
            cold_start: execution.cold_start,
            cold: execution.cold.clone(),
            standby: execution.standby,
            first_granted: execution.first_granted,
            timestamps: execution.timestamps,
            error: execution.error.clone(),
            web: execution.web.as_deref().map(WebRecord::of),
        }
    }
    /// The phases of the start of the instance that it waited for.
    #[must_use]
    pub(crate) fn cold_phases(&self) -> Option<ColdPhases> {
        self.cold.as_deref()?.cold_phases(self.timestamps.enqueued, self.timestamps.granted)
    }
}
