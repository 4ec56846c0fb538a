//! An execution that was slow, as it is told to those who ask why.

use std::sync::Arc;

use super::execution::{Execution, Stage, Status};
use super::execution_error::ExecutionError;
use super::summary::Summary;
use super::timestamps::Timestamps;
use crate::clock::{NANOS_PER_MS, Nanos};
use crate::function_version::VersionTags;
use crate::id::ExecutionId;
use crate::instance::{InstanceKey, InstanceStart};
use crate::slowest::Slowest;
use crate::spec::{ExecutionMode, FunctionName};

/// Bytes of an error's message that a record keeps, and of a client's `X-Trace-Id`: a record is small.
pub(crate) const RECORD_TEXT_BYTES_MAX: usize = 256;

/// The slowest executions of one function, by gateway; they outlive its versions and go with the function.
pub(crate) type SlowestByGateway = Arc<[Arc<Slowest<SlowExecution>>]>;

/// Recorders without records, for so many gateways. Each is an allocation of its own: one gateway writes it.
#[must_use]
pub(crate) fn slowest_by_gateway(gateways: usize) -> SlowestByGateway {
    (0..gateways).map(|_| Arc::default()).collect()
}

/// Names of the durations of [`SlowExecution::stages`], in the order of time.
pub(crate) const SLOW_STAGES: [&str; 10] =
    ["admit", "queue", "startWait", "start", "retry", "connect", "send", "function", "answer", "reply"];

/// An execution that was slow: everything that is known of it but its input and its output.
#[derive(Clone, Debug)]
pub struct SlowExecution {
    /// Its id.
    pub id: ExecutionId,
    /// How it ended.
    pub status: Status,
    /// The mode of its function.
    pub mode: ExecutionMode,
    /// The version that ran it last, or that it was admitted to.
    pub version: Arc<VersionTags>,
    /// The trace it belongs to, cut at [`RECORD_TEXT_BYTES_MAX`].
    pub trace_id: Box<str>,
    /// Number of its last attempt.
    pub attempt: u8,
    /// Attempts granted, those that could not be sent included.
    pub dispatched: u8,
    /// An answer was the first of its instance.
    pub cold_start: bool,
    /// Its instance had been started ahead, and was ready when it came.
    pub standby: bool,
    /// Duration of the instance's start, as the instance said, in whole milliseconds; at most 49 days.
    pub init_ms: Option<u32>,
    /// The instance of the last attempt; none where none was granted, and of a `JOB`.
    pub instance: Option<InstanceKey>,
    /// How that instance came to be, where it still runs.
    pub instance_start: Option<Arc<InstanceStart>>,
    /// See [`Execution::cold`].
    pub cold: Option<Arc<InstanceStart>>,
    /// The time at which the first attempt was granted; 0: never.
    pub first_granted: Nanos,
    /// See [`Timestamps`]; of the last attempt.
    pub timestamps: Timestamps,
    /// The error that it ended with; its message is cut at [`RECORD_TEXT_BYTES_MAX`].
    pub error: Option<Box<ExecutionError>>,
}

impl Execution {
    /// Records it among the slowest of its function, where it has just ended.
    #[cold]
    pub(super) fn record_slow(&mut self, id: ExecutionId, status: Status, took: Nanos) {
        let record = || SlowExecution::of(id, self, status);
        self.awaits_reply = self.entry.slowest.record(took, self.timestamps.ended, record);
    }

    /// Adds to its record when its reply was built.
    #[cold]
    pub(super) fn record_reply(&mut self, id: ExecutionId) {
        self.awaits_reply = false;
        let replied = self.timestamps.replied;
        self.entry.slowest.amend(|slow| slow.id == id, |slow| slow.timestamps.replied = replied);
    }
}

impl SlowExecution {
    /// The record of an execution that has ended.
    fn of(id: ExecutionId, execution: &Execution, status: Status) -> Self {
        let function = &execution.entry.function;
        let mode = function.spec.execution_mode;
        let instance = execution.instance.filter(|instance| mode != ExecutionMode::Job || instance.place > 0);
        let address = instance.and_then(|instance| function.address(instance));
        let mut trace_id = Vec::with_capacity(32);
        execution.trace.write_id(&mut trace_id);
        Self {
            id,
            status,
            mode,
            version: function.tags.clone(),
            trace_id: cut(&String::from_utf8_lossy(&trace_id)).into(),
            attempt: execution.attempt,
            dispatched: execution.dispatched,
            cold_start: execution.cold_start,
            standby: execution.standby,
            init_ms: execution.init.map(|ns| u32::try_from(ns / NANOS_PER_MS).unwrap_or(u32::MAX)),
            instance,
            instance_start: address.map(|address| address.start.clone()),
            cold: execution.cold.clone(),
            first_granted: execution.first_granted,
            timestamps: execution.timestamps,
            error: execution.error.as_deref().map(|error| Box::new(cut_error(error))),
        }
    }

    /// It as an execution is listed.
    #[must_use]
    pub(crate) fn summary(&self, function: FunctionName) -> Summary {
        Summary {
            id: self.id,
            function,
            stage: Stage::Ended(self.status),
            attempt: self.attempt,
            cold_start: self.cold_start,
            cold: self.cold.clone(),
            standby: self.standby,
            first_granted: self.first_granted,
            timestamps: self.timestamps,
            error: self.error.clone(),
            web: None,
        }
    }

    /// The duration of each of [`SLOW_STAGES`] (ns). Their sum is the whole time: a stage that was not reached
    /// took nothing, and the one before it lasted until the end.
    ///
    /// The wait before its last grant is told apart by the start of the instance that it then got: until that
    /// instance began to start, until it was ready, and the rest. A process of a `JOB` starts
    /// after the grant, and has started when it fetches its input.
    #[must_use]
    pub(crate) fn stages(&self) -> [Nanos; SLOW_STAGES.len()] {
        let Timestamps {
            admitted,
            enqueued,
            granted,
            connected,
            written,
            first_byte,
            answered,
            ended,
            replied,
        } = self.timestamps;
        let end = replied.max(ended);
        let or = |time: Nanos, other: Nanos| if time > 0 { time } else { other };
        let edges = [
            enqueued,
            self.first_granted,
            granted,
            or(connected, written),
            written,
            or(first_byte, answered),
            answered,
            end,
        ];
        let mut floor = admitted;
        let [admit, mut queue, mut retry, mut connect, send, function, answer, reply] = edges.map(|edge| {
            let edge = or(edge, ended).max(floor);
            edge - std::mem::replace(&mut floor, edge)
        });
        let (mut start_wait, mut start) = (0, 0);
        if self.mode == ExecutionMode::Job {
            (connect, start) = (0, connect);
        } else if let Some(instance) = &self.instance_start {
            let is_first = self.dispatched <= 1;
            let (from, to) =
                if is_first { (enqueued, self.first_granted) } else { (self.first_granted, granted) };
            let within = |since: Nanos, until: Nanos| until.min(to).saturating_sub(since.max(from));
            start_wait = within(instance.wanted, instance.began);
            start = within(instance.began, instance.ready);
            let waited = if is_first { &mut queue } else { &mut retry };
            *waited = waited.saturating_sub(start_wait + start);
        }
        [admit, queue, start_wait, start, retry, connect, send, function, answer, reply]
    }
}

/// The beginning of a text, at most [`RECORD_TEXT_BYTES_MAX`].
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(RECORD_TEXT_BYTES_MAX)]
}

/// An error whose message is not long.
fn cut_error(error: &ExecutionError) -> ExecutionError {
    if error.message.len() <= RECORD_TEXT_BYTES_MAX {
        return error.clone();
    }
    let message = format!("{} …", cut(&error.message)).into();
    ExecutionError { code: error.code.clone(), message, http: error.http, source: error.source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;
    use crate::ticket::Ticket;

    fn slow(mode: ExecutionMode) -> SlowExecution {
        SlowExecution {
            id: ExecutionId { incarnation: 1, ticket: Ticket::new(0, 1, 1), nonce: 1 },
            status: Status::Success,
            mode,
            version: Arc::default(),
            trace_id: "t".into(),
            attempt: 1,
            dispatched: 1,
            cold_start: false,
            standby: false,
            init_ms: None,
            instance: None,
            instance_start: None,
            cold: None,
            first_granted: 130,
            timestamps: Timestamps {
                admitted: 100,
                enqueued: 110,
                granted: 130,
                connected: 134,
                written: 139,
                first_byte: 200,
                answered: 207,
                ended: 208,
                replied: 211,
            },
            error: None,
        }
    }

    /// The stages that took time, with their names.
    fn stages(slow: &SlowExecution) -> Vec<(&'static str, Nanos)> {
        let all = slow.stages();
        let Timestamps { admitted, ended, replied, .. } = slow.timestamps;
        assert_eq!(
            all.iter().sum::<Nanos>(),
            replied.max(ended) - admitted,
            "they are not the whole: {all:?}"
        );
        SLOW_STAGES.into_iter().zip(all).filter(|(_, ns)| *ns > 0).collect()
    }

    #[test]
    fn each_stage_is_the_time_between_two_verbs_and_all_are_the_whole_time() {
        let slow = slow(ExecutionMode::Pool);
        let parts =
            [("admit", 10), ("queue", 20), ("connect", 4), ("send", 5), ("function", 61), ("answer", 7)];
        assert_eq!(stages(&slow), [&parts[..], &[("reply", 4)]].concat());
    }

    #[test]
    fn an_answer_that_came_at_once_and_a_reply_that_is_not_yet_given_take_nothing() {
        let mut slow = slow(ExecutionMode::Pool);
        (slow.timestamps.first_byte, slow.timestamps.replied) = (0, 0);
        let parts =
            [("admit", 10), ("queue", 20), ("connect", 4), ("send", 5), ("function", 68), ("reply", 1)];
        assert_eq!(stages(&slow), parts);
    }

    #[test]
    fn a_stage_that_was_not_reached_took_nothing_and_the_one_before_it_lasted_until_the_end() {
        let mut slow = slow(ExecutionMode::Warm);
        let reached = |to: usize, slow: &mut SlowExecution| {
            let Timestamps { granted, connected, written, first_byte, answered, .. } = &mut slow.timestamps;
            let times = [granted, connected, written, first_byte, answered];
            times.into_iter().skip(to).for_each(|time| *time = 0);
            stages(slow).into_iter().map(|(name, _)| name).collect::<Vec<_>>()
        };
        assert_eq!(reached(3, &mut slow), ["admit", "queue", "connect", "send", "function", "reply"]);
        assert_eq!(reached(2, &mut slow), ["admit", "queue", "connect", "send", "reply"]);
        assert_eq!(reached(1, &mut slow), ["admit", "queue", "connect", "reply"]);
        slow.first_granted = 0;
        assert_eq!(reached(0, &mut slow), ["admit", "queue", "reply"]);
    }

    #[test]
    fn the_wait_for_an_instance_is_told_apart_by_when_it_started_and_was_ready() {
        let mut slow = slow(ExecutionMode::Warm);
        let mut told = |wanted, began, ready| {
            let start = InstanceStart { name: "1".into(), wanted, began, ready, ..InstanceStart::default() };
            slow.instance_start = Some(Arc::new(start));
            stages(&slow)[1..4].to_vec()
        };
        assert_eq!(told(111, 114, 129), [("queue", 2), ("startWait", 3), ("start", 15)]);
        // It was starting already when the execution came.
        assert_eq!(told(90, 95, 125)[..2], [("queue", 5), ("start", 15)]);
        // It was there before.
        assert_eq!(told(1, 2, 3)[..2], [("queue", 20), ("connect", 4)]);
        // A second attempt waited for it.
        slow.dispatched = 2;
        slow.first_granted = 115;
        let start = InstanceStart { wanted: 118, began: 119, ready: 128, ..InstanceStart::default() };
        slow.instance_start = Some(Arc::new(start));
        assert_eq!(stages(&slow)[1..5], [("queue", 5), ("startWait", 1), ("start", 9), ("retry", 5)]);
    }

    #[test]
    fn the_process_of_a_job_has_started_when_it_fetches_its_input() {
        let mut slow = slow(ExecutionMode::Job);
        (slow.timestamps.connected, slow.timestamps.first_byte) = (0, 0);
        let parts = [("admit", 10), ("queue", 20), ("start", 9), ("function", 68), ("reply", 4)];
        assert_eq!(stages(&slow), parts);
    }

    #[test]
    fn a_record_is_small_whatever_an_error_says() {
        let long = ExecutionError::new(ErrorCode::HandlerError, "ä".repeat(10_000));
        assert_eq!(cut_error(&long).message, format!("{} …", "ä".repeat(RECORD_TEXT_BYTES_MAX / 2)));
        let short = ExecutionError::new(ErrorCode::HandlerError, "a".repeat(RECORD_TEXT_BYTES_MAX));
        assert_eq!(cut_error(&short), short);
        // With what it is kept by; docs/observability.md tells it.
        assert_eq!(size_of::<(Nanos, Nanos, SlowExecution)>(), 200);
    }
}
