//! One gateway's part of `GET /v1/executions`: some of its executions, newest first.

use super::Gateway;
use super::execution::Stage;
use super::history::{Lost, Place};
use super::summary::Summary;
use crate::clock::Nanos;
use crate::registry::FunctionName;

/// How many executions a gateway looks at for one page; as many again to find where the page begins,
/// where the execution that began it has gone.
const LOOKS_MAX: usize = 2000;

/// What is looked for.
#[derive(Clone, Debug)]
pub struct Search {
    /// Of this function only.
    pub function: Option<FunctionName>,
    /// At this stage only.
    pub stage: Option<Stage>,
    /// How many at most.
    pub limit: usize,
    /// Where to begin; `None`: with the newest.
    pub from: Option<Place>,
}

/// One of those that were found.
#[derive(Clone, Debug)]
pub struct Entry<T> {
    /// Where it is.
    pub place: Place,
    /// What it is ordered by: see [`super::history::History::admitted`].
    pub at: Nanos,
    /// What it is.
    pub item: T,
}

/// What a gateway found.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// Newest first.
    pub entries: Vec<Entry<T>>,
    /// The first execution that was not looked at; `None` where that was the last.
    pub next: Option<Entry<()>>,
}

impl Gateway {
    /// Looks at executions from a place on, and at [`LOOKS_MAX`] of them at most.
    ///
    /// # Errors
    /// Where the place has gone and what was next to it cannot be found.
    pub fn list(&self, search: &Search) -> Result<Page<Summary>, Lost> {
        let store = self.store.borrow();
        let history = store.history();
        let mut at = match search.from {
            Some(place) => history.at_or_older(place, LOOKS_MAX)?,
            None => history.newest(),
        };
        let mut entries = Vec::new();
        for _ in 0..LOOKS_MAX {
            let Some(place) = at.filter(|_| entries.len() < search.limit) else { break };
            if let Some((ticket, execution)) = store.at(place.slot as usize)
                && search.stage.is_none_or(|stage| stage == execution.stage)
                && search.function.as_ref().is_none_or(|name| *name == execution.served.function.spec.name)
            {
                let item = Summary::of(self.id(ticket, execution), execution);
                entries.push(Entry { place, at: history.admitted(place), item });
            }
            at = history.older(place);
        }
        let next = at.map(|place| Entry { place, at: history.admitted(place), item: () });
        Ok(Page { entries, next })
    }
}
