//! A request on its way to a worker and back.

use std::cell::RefCell;
use std::rc::Rc;

use picofaas_runtime::{Context, HandlerError};
use serde_json::value::RawValue;

use crate::wake_slot::WakeSlot;
use crate::worker::Worker;

/// A request, kept whole so that one that was not begun can go to another worker.
pub(crate) struct Request {
    pub(crate) input: Box<RawValue>,
    pub(crate) context: Context,
    state: RefCell<RequestState>,
    outcome: WakeSlot<Result<Box<RawValue>, HandlerError>>,
}

/// The stages of a request.
pub(crate) enum RequestState {
    /// Waiting for a worker.
    Queued,
    /// At a worker, under a sequence number.
    InFlight(Rc<Worker>, u32),
    /// Answered or cancelled.
    Done,
}

impl Request {
    pub(crate) fn new(input: Box<RawValue>, context: Context) -> Rc<Self> {
        let state = RefCell::new(RequestState::Queued);
        Rc::new(Self { input, context, state, outcome: WakeSlot::default() })
    }

    /// Sets the state and returns the one before.
    pub(crate) fn set_state(&self, state: RequestState) -> RequestState {
        self.state.replace(state)
    }

    /// Has it answered.
    pub(crate) fn finish(&self, outcome: Result<Box<RawValue>, HandlerError>) {
        self.set_state(RequestState::Done);
        self.outcome.put(outcome);
    }

    /// Waits for the answer.
    pub(crate) async fn outcome(&self) -> Result<Box<RawValue>, HandlerError> {
        self.outcome.wait().await
    }

    /// Whether its time is over.
    pub(crate) fn is_late(&self) -> bool {
        self.context.time_left().is_some_and(|left| left.is_zero())
    }
}
