//! A request on its way to a worker and back.

use std::cell::RefCell;
use std::rc::Rc;

use picofaas_runtime::{Context, HandlerError};
use serde_json::value::RawValue;

use crate::notice::Notice;
use crate::worker::Worker;

/// A request, kept whole so that one that was not begun can go to another worker.
pub(crate) struct Errand {
    pub(crate) input: Box<RawValue>,
    pub(crate) context: Context,
    place: RefCell<Place>,
    outcome: Notice<Result<Box<RawValue>, HandlerError>>,
}

/// Where a request is.
pub(crate) enum Place {
    /// In line for a worker.
    Waiting,
    /// At a worker, under a sequence number.
    Held(Rc<Worker>, u32),
    /// Answered, or nobody waits for it any more.
    Done,
}

impl Errand {
    pub(crate) fn new(input: Box<RawValue>, context: Context) -> Rc<Self> {
        let place = RefCell::new(Place::Waiting);
        Rc::new(Self { input, context, place, outcome: Notice::default() })
    }

    /// Moves it; where it was before.
    pub(crate) fn moved(&self, place: Place) -> Place {
        self.place.replace(place)
    }

    /// Has it answered.
    pub(crate) fn finish(&self, outcome: Result<Box<RawValue>, HandlerError>) {
        self.moved(Place::Done);
        self.outcome.post(outcome);
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
