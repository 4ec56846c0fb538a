//! One gateway's part of `GET /v1/executions`: some of its executions, newest first.

use super::execution::Stage;
use super::execution_store::ExecutionStore;
use super::history::{HistoryPosition, Lost};
use super::summary::Summary;
use crate::clock::Nanos;
use crate::spec::FunctionName;

/// Executions that a gateway looks at for one page; as many again to find where the page begins,
/// where the execution that began it has gone.
const LOOKS_MAX: usize = 2000;

/// The executions that are looked for.
#[derive(Clone, Debug)]
pub struct Search {
    /// Of this function only.
    pub function: Option<FunctionName>,
    /// At this stage only.
    pub stage: Option<Stage>,
    /// Most executions of a page.
    pub limit: usize,
    /// The position to begin at; `None`: the newest.
    pub from: Option<HistoryPosition>,
}

/// One of those that were found.
#[derive(Clone, Debug)]
pub struct Entry<T> {
    /// Its position in the history.
    pub position: HistoryPosition,
    /// The time that it is ordered by: see [`super::history::History::admitted`].
    pub at: Nanos,
    /// The execution, as it is read.
    pub item: T,
}

/// The executions that a gateway found.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// Newest first.
    pub entries: Vec<Entry<T>>,
    /// The first execution that was not looked at; `None` where that was the last.
    pub next: Option<Entry<()>>,
}

impl ExecutionStore {
    /// Looks at executions from a position on, and at [`LOOKS_MAX`] of them at most.
    ///
    /// # Errors
    /// [`Lost`], where the position has gone and its neighbours cannot be found.
    pub(crate) fn list(&self, search: &Search) -> Result<Page<Summary>, Lost> {
        let history = self.history();
        let mut at = match search.from {
            Some(position) => history.at_or_older(position, LOOKS_MAX)?,
            None => history.newest(),
        };
        let mut entries = Vec::new();
        for _ in 0..LOOKS_MAX {
            let Some(position) = at.filter(|_| entries.len() < search.limit) else { break };
            if let Some((ticket, execution)) = self.at(position.slot as usize)
                && search.stage.is_none_or(|stage| stage == execution.stage())
                && search.function.as_ref().is_none_or(|name| *name == execution.entry.function.spec.name)
            {
                let item = Summary::of(self.id(ticket, execution), execution);
                entries.push(Entry { position, at: history.admitted(position), item });
            }
            at = history.older(position);
        }
        let next = at.map(|position| Entry { position, at: history.admitted(position), item: () });
        Ok(Page { entries, next })
    }
}
