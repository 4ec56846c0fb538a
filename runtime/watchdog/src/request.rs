//! A request on its way to a worker and back.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use picofaas_runtime::{Context, HandlerError, OutputBytes, RawBody};
use serde_json::value::RawValue;

use crate::frame::{self, FrameForm};
use crate::reply_frame::Reply;
use crate::request_frame;
use crate::wake_slot::WakeSlot;
use crate::worker::Worker;

/// A request, kept whole so that one that was not begun can go to another worker.
pub(crate) struct Request {
    body: RawBody,
    /// The input and the metadata in the body, once it was read.
    members: OnceCell<(Box<RawValue>, BTreeMap<String, String>)>,
    pub(crate) context: Context,
    state: RefCell<RequestState>,
    outcome: WakeSlot<Result<OutputBytes, HandlerError>>,
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
    pub(crate) fn new(body: RawBody, context: Context) -> Rc<Self> {
        let state = RefCell::new(RequestState::Queued);
        Rc::new(Self { body, members: OnceCell::new(), context, state, outcome: WakeSlot::default() })
    }

    /// Reads what a worker of this form does not read itself.
    ///
    /// # Errors
    /// The answer to a body that is not what it should be.
    pub(crate) fn prepare(&self, form: FrameForm) -> Result<(), HandlerError> {
        match form {
            FrameForm::Objects => self.members().map(|_| ()),
            FrameForm::Heads => Ok(()),
        }
    }

    /// Appends the frame of a request that was prepared for this form, with the time that is left now.
    pub(crate) fn write(&self, form: FrameForm, out: &mut Vec<u8>, sequence: u32) {
        frame::write_frame(out, sequence, |out| match (form, self.members.get()) {
            (FrameForm::Objects, Some((input, metadata))) => {
                request_frame::write_object(out, input, metadata, &self.context);
            }
            (FrameForm::Objects, None) => unreachable!("it was prepared"),
            (FrameForm::Heads, _) => {
                request_frame::write_head_and_body(out, &self.context, self.body.bytes());
            }
        });
    }

    /// Has it answered with a reply.
    pub(crate) fn take_reply(&self, reply: Reply) {
        self.finish(match reply {
            Reply::Output(output) => Ok(output),
            Reply::Error(error) => Err(error),
            // The runtime's own words, with the place, where it would have refused it as well.
            Reply::Rejection(error) => Err(self.members().err().unwrap_or(error)),
        });
    }

    fn members(&self) -> Result<&(Box<RawValue>, BTreeMap<String, String>), HandlerError> {
        if let Some(members) = self.members.get() {
            return Ok(members);
        }
        let members = self.body.read()?;
        Ok(self.members.get_or_init(|| members))
    }

    /// Sets the state and returns the one before.
    pub(crate) fn set_state(&self, state: RequestState) -> RequestState {
        self.state.replace(state)
    }

    /// Has it answered.
    pub(crate) fn finish(&self, outcome: Result<OutputBytes, HandlerError>) {
        self.set_state(RequestState::Done);
        self.outcome.put(outcome);
    }

    /// Waits for the answer.
    pub(crate) async fn outcome(&self) -> Result<OutputBytes, HandlerError> {
        self.outcome.wait().await
    }

    /// Whether its time is over.
    pub(crate) fn is_late(&self) -> bool {
        self.context.time_left().is_some_and(|left| left.is_zero())
    }
}
