//! An execution as it is read, but for its output.

use std::fmt::Write as _;

use super::execution::{Execution, Stage};
use crate::api::response::{ExecutionError, STAGES, Timestamps, push_error, push_output};
use crate::clock::{Clock, Nanos};
use crate::id::ExecutionId;
use crate::spec::FunctionName;

/// The part of an execution that other threads may hold.
#[derive(Clone, Debug)]
pub struct Summary {
    id: ExecutionId,
    function: FunctionName,
    stage: Stage,
    attempt: u8,
    cold_start: bool,
    first_granted: Nanos,
    timestamps: Timestamps,
    error: Option<Box<ExecutionError>>,
}

impl Summary {
    /// The summary of an execution as it stands.
    #[must_use]
    pub fn of(id: ExecutionId, execution: &Execution) -> Self {
        Self {
            id,
            function: execution.entry.function.spec.name.clone(),
            stage: execution.stage,
            attempt: execution.attempt,
            cold_start: execution.cold_start,
            first_granted: execution.first_granted,
            timestamps: execution.timestamps,
            error: execution.error.clone(),
        }
    }

    /// Writes it as a JSON object; with an output, which is empty where there is none, or without
    /// the field.
    pub fn push_json(&self, body: &mut Vec<u8>, clock: &Clock, output: Option<&[u8]>) {
        let time = |at: Nanos| if at == 0 { serde_json::Value::Null } else { clock.rfc3339(at).into() };
        let mut head = serde_json::json!({
            "executionId": self.id.to_string(),
            "function": self.function.as_str(),
            "status": self.stage.as_str(),
            "attempt": self.attempt,
            "createdAt": time(self.timestamps.admitted),
            "startedAt": time(self.first_granted),
            "finishedAt": time(self.timestamps.ended),
            "coldStart": self.cold_start,
        })
        .to_string();
        head.pop();
        body.extend_from_slice(head.as_bytes());
        if let Some(output) = output {
            body.extend_from_slice(b",\"output\":");
            push_output(body, output);
        }
        body.extend_from_slice(b",\"error\":");
        push_error(body, self.error.as_deref());
        body.extend_from_slice(b",\"timings\":");
        if matches!(self.stage, Stage::Ended(_)) {
            let mut text = String::with_capacity(128);
            for (name, ns) in STAGES.iter().zip(self.timestamps.durations()) {
                let _ = write!(text, "{}\"{name}\":{ns}", if text.is_empty() { '{' } else { ',' });
            }
            text.push('}');
            body.extend_from_slice(text.as_bytes());
        } else {
            body.extend_from_slice(b"null");
        }
        body.push(b'}');
    }
}
