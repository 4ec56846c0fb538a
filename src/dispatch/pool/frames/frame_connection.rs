//! An open connection: attempts begin on it and are stopped.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Waker;

use picofaas_frames::{CancelReason, GatewayConnection, Refused, Sequence, Settings};

use super::frame_state::FrameState;
use super::framed_attempt::{AttemptState, FramedAttempt};
use super::request_head;
use crate::attempt_end::AttemptEnd;
use crate::clock::Nanos;
use crate::id::ExecutionId;
use crate::store::execution::Execution;
use crate::ticket::Ticket;
use crate::web_exchange::WebRequest;

/// Attempts on one connection at once, where the instance takes as many: the most that `instanceConcurrency` may be.
const ATTEMPTS_MAX: u32 = 10_000;
/// Bytes of an answer that an instance may send before it was allowed more: as many as an output has by default. A
/// smaller window costs a large answer a round trip for each of it, every one of which waits for a turn of both ends. It
/// bounds no memory: what is read is added to the output at once, which has its own limit.
const WINDOW_BYTES: u32 = 1024 * 1024;

/// A connection that carries many attempts, as its task and those who begin attempts share it.
///
/// Nothing is written here: the task does that when its turn comes, for all that has been begun until then.
#[derive(Debug)]
pub(crate) struct FrameConnection {
    pub(super) state: RefCell<FrameState>,
    /// Wakes the connection's task.
    task: RefCell<Option<Waker>>,
    /// The task will have its turn, or has it now.
    is_awake: Cell<bool>,
    /// No attempt begins any more: the instance is not known any more.
    is_retired: Cell<bool>,
}

impl FrameConnection {
    /// A connection on which neither end has sent a frame.
    pub(crate) fn new(now: Nanos) -> Rc<Self> {
        let settings =
            Settings { attempts_max: ATTEMPTS_MAX, window_bytes: WINDOW_BYTES, ..Settings::default() };
        let frames = GatewayConnection::new(settings, now);
        Rc::new(Self {
            state: RefCell::new(FrameState::new(frames)),
            task: RefCell::new(None),
            is_awake: Cell::new(true),
            is_retired: Cell::new(false),
        })
    }

    /// Begins an attempt of an execution.
    ///
    /// # Errors
    /// The reason for which none can begin here now: it goes over HTTP/1.1 then.
    pub(crate) fn begin(
        &self,
        ticket: Ticket,
        now: Nanos,
        id: ExecutionId,
        execution: &Execution,
    ) -> Result<Sequence, Refused> {
        let mut state = self.state.borrow_mut();
        let sequence = request_head::begin(&mut state.frames, now, id, execution)?;
        state.begun(sequence, ticket, None, now);
        drop(state);
        self.wake();
        Ok(sequence)
    }

    /// Begins an attempt of an execution whose web request has a whole body, or none.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub(crate) fn begin_web(
        &self,
        ticket: Ticket,
        now: Nanos,
        id: ExecutionId,
        execution: &Execution,
        request: &Rc<WebRequest>,
    ) -> Result<Sequence, Refused> {
        let mut state = self.state.borrow_mut();
        let FrameState { frames, fields, .. } = &mut *state;
        let sequence = request_head::begin_web(frames, fields, now, id, execution, request)?;
        state.begun(sequence, ticket, Some(request.clone()), now);
        drop(state);
        self.wake();
        Ok(sequence)
    }

    /// Lets so many more bytes of an answer come.
    pub(crate) fn consume(&self, sequence: Sequence, bytes: usize) {
        let mut state = self.state.borrow_mut();
        state.frames.consume(sequence, bytes);
        let has_more = state.frames.has_outgoing();
        drop(state);
        if has_more {
            self.wake();
        }
    }

    /// Has the instance stop an attempt. Answers whether the connection's task will tell of its end; it does not where
    /// the attempt is over.
    pub(crate) fn stop(&self, sequence: Sequence, ticket: Ticket, how: AttemptEnd, now: Nanos) -> bool {
        let mut state = self.state.borrow_mut();
        let FrameState { frames, attempts, .. } = &mut *state;
        let Some(attempt) = attempts.get_mut(&sequence).filter(|attempt| attempt.ticket == ticket) else {
            return false;
        };
        match attempt.state {
            AttemptState::Waiting | AttemptState::Answering(_) | AttemptState::Streaming(_) => {}
            AttemptState::Stopped(_) | AttemptState::Stuck | AttemptState::Told => return false,
        }
        let reason = match how {
            AttemptEnd::TimedOut | AttemptEnd::Failed => CancelReason::Deadline,
            AttemptEnd::Answered | AttemptEnd::Late | AttemptEnd::Done | AttemptEnd::Unsent => {
                CancelReason::Cancelled
            }
        };
        attempt.state = AttemptState::Stopped(how);
        frames.cancel(now, sequence, reason);
        drop(state);
        self.wake();
        true
    }

    /// Lets it close as soon as nothing runs on it.
    pub(crate) fn retire(&self) {
        self.is_retired.set(true);
        self.wake();
    }

    /// Whether it was retired, and every attempt on it that is out was stopped.
    pub(super) fn is_done(&self) -> bool {
        let is_over = |attempt: &FramedAttempt| match attempt.state {
            AttemptState::Waiting | AttemptState::Answering(_) | AttemptState::Streaming(_) => false,
            AttemptState::Stopped(_) | AttemptState::Stuck | AttemptState::Told => true,
        };
        self.is_retired.get() && self.state.borrow().attempts.values().all(is_over)
    }

    fn wake(&self) {
        if !self.is_awake.replace(true)
            && let Some(task) = self.task.borrow().as_ref()
        {
            task.wake_by_ref();
        }
    }

    /// The task has its turn: what happens until [`Self::turn_ends`] does not wake it.
    pub(super) fn turn_begins(&self, task: &Waker) {
        self.is_awake.set(true);
        let mut known = self.task.borrow_mut();
        if !known.as_ref().is_some_and(|known| known.will_wake(task)) {
            *known = Some(task.clone());
        }
    }

    /// See [`Self::turn_begins`].
    pub(super) fn turn_ends(&self) {
        self.is_awake.set(false);
    }
}
