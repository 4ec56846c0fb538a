//! An execution as the API answers it, and the forms in which it is shown.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::clock::{ns_between, seconds_since};
use crate::duration::{age, of_ns};
use crate::failed_execution::{Blame, FailedExecution};
use crate::output::Colour;
use crate::table::{Cell, Table};
use crate::trace_bars::COLD_PREFIX;

/// The fields that are shown. A server may have more.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ExecutionView<'a> {
    /// Its id.
    pub execution_id: String,
    /// Name of the function.
    pub function: String,
    /// Such as `queued` or `success`.
    pub status: String,
    /// Attempts that were begun.
    pub attempt: u32,
    /// When it was admitted.
    pub created_at: String,
    /// When it was first dispatched.
    pub started_at: Option<String>,
    /// When it ended.
    pub finished_at: Option<String>,
    /// Whether the answer was the first of its instance.
    pub cold_start: bool,
    /// Output of the function, where it was asked for by its id.
    #[serde(borrow, default)]
    pub output: Option<&'a RawValue>,
    /// Why it did not succeed.
    pub error: Option<ExecutionErrorView>,
    /// Its HTTP exchange, where its function answers requests itself.
    #[serde(default)]
    pub web: Option<WebView>,
    /// Where the time went, once it has ended.
    pub timings: Option<TimingsView>,
    /// Parts of the wait for the start of its instance, where it waited for one.
    #[serde(default)]
    pub cold: Option<ColdView>,
}

/// An HTTP exchange.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct WebView {
    /// The answer is kept, and can be read as it came.
    #[serde(default)]
    pub kept: bool,
}

/// Nanoseconds of each phase of a cold start that is known.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct ColdView {
    asked: Option<u64>,
    created: Option<u64>,
    scheduled: Option<u64>,
    container: Option<u64>,
    runtime: Option<u64>,
    handler: Option<u64>,
    announced: Option<u64>,
}

impl ColdView {
    /// Each phase that is known by its name in `Server-Timing`, in order.
    fn phases(self) -> impl Iterator<Item = (String, u64)> {
        let Self { asked, created, scheduled, container, runtime, handler, announced } = self;
        let all = [
            ("asked", asked),
            ("created", created),
            ("scheduled", scheduled),
            ("container", container),
            ("runtime", runtime),
            ("handler", handler),
            ("announced", announced),
        ];
        all.into_iter().filter_map(|(name, ns)| Some((format!("{COLD_PREFIX}{name}"), ns?)))
    }
}

/// An error.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ExecutionErrorView {
    /// The function's own, or one of the server.
    pub code: String,
    /// For people.
    pub message: String,
}

/// Nanoseconds of each stage.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct TimingsView {
    /// Until the ticket is on its ring.
    pub admit: u64,
    /// Until the last grant.
    pub queue: u64,
    /// Until the request was written.
    pub dispatch: u64,
    /// Until the answer was read.
    pub function: u64,
    /// Until the reply was built.
    pub reply: u64,
}

impl TimingsView {
    /// Each stage by its name, in order.
    fn stages(self) -> Vec<(String, u64)> {
        let Self { admit, queue, dispatch, function, reply } = self;
        [("admit", admit), ("queue", queue), ("dispatch", dispatch), ("function", function), ("reply", reply)]
            .map(|(name, ns)| (name.to_owned(), ns))
            .into()
    }

    fn total(self) -> u64 {
        self.stages().iter().map(|(_, ns)| ns).sum()
    }
}

impl ExecutionView<'_> {
    /// Each stage by its name, in order, and behind them the phases of a cold start. `None` while it has not ended.
    pub(crate) fn stages(&self) -> Option<Vec<(String, u64)>> {
        let mut stages = self.timings?.stages();
        stages.extend(self.cold.into_iter().flat_map(ColdView::phases));
        Some(stages)
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&self) -> bool {
        !matches!(self.status.as_str(), "queued" | "running")
    }

    /// Colour of its status.
    pub(crate) fn colour(&self) -> Colour {
        match self.status.as_str() {
            "success" => Colour::Green,
            "error" | "timeout" => Colour::Red,
            _ => Colour::Yellow,
        }
    }

    /// How long it took, or `-` while it has not ended.
    pub(crate) fn duration(&self) -> String {
        let by_times = || ns_between(&self.created_at, self.finished_at.as_deref()?);
        self.timings.map(TimingsView::total).or_else(by_times).map_or_else(|| "-".to_owned(), of_ns)
    }

    /// How long ago it was admitted.
    pub(crate) fn age(&self) -> String {
        seconds_since(&self.created_at).map_or_else(|| "-".to_owned(), age)
    }

    /// The failure of one that has ended and did not succeed.
    pub(crate) fn failure(&self) -> Option<FailedExecution> {
        if !self.has_ended() || self.status == "success" {
            return None;
        }
        let none =
            || ExecutionErrorView { code: self.status.clone(), message: "no reason is told".to_owned() };
        let ExecutionErrorView { code, message } = self.error.clone().unwrap_or_else(none);
        Some(FailedExecution {
            blame: Blame::of_end(&self.status, &code),
            function: self.function.clone(),
            id: self.execution_id.clone(),
            code,
            message,
        })
    }
}

/// The table of executions.
pub(crate) fn table(executions: &[ExecutionView<'_>], is_wide: bool) -> Table {
    let mut headings = vec!["ID", "FUNCTION", "STATUS", "ATTEMPTS", "DURATION", "AGE"];
    if is_wide {
        headings.extend(["COLD", "ERROR"]);
    }
    let mut table = Table::new(&headings);
    for execution in executions {
        let mut row: Vec<Cell> = vec![
            execution.execution_id.as_str().into(),
            execution.function.as_str().into(),
            Cell::coloured(execution.status.as_str(), Some(execution.colour())),
            execution.attempt.to_string().into(),
            execution.duration().into(),
            execution.age().into(),
        ];
        if is_wide {
            row.push(if execution.cold_start { "yes" } else { "no" }.into());
            let error = execution.error.as_ref();
            row.push(error.map_or_else(String::new, |it| format!("{}: {}", it.code, it.message)).into());
        }
        table.row(row);
    }
    table
}
