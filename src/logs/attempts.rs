//! The lines of `JOB` functions in pods: read anew for who asks.
//!
//! The pod of an attempt stays for a while after its end, and has all of its lines, also where the list of
//! the function's lines was cut and where the execution has left its store. So one who reads an
//! execution is answered from its pods, and from what is kept of those that are gone.

use std::rc::Rc;

use hyper::Response;

use super::function_log::{FunctionLog, LogLine};
use super::handlers::LogHandlers;
use super::output::{Line, Lines, OwnExecution, Writer};
use super::query::LogQuery;
use super::reader::{Reader, Whose};
use super::source::{FollowGuard, LogSelector, PodLogRead};
use super::store::LogStore;
use crate::api::response::body::Body;
use crate::error::ApiError;
use crate::id::ExecutionId;
use crate::spec::ExecutionMode;

/// Pods of one execution that are read for one answer, the latest: more attempts than a function may have.
const PODS_READ_MAX: usize = 16;

impl LogHandlers {
    /// Sees to it that what running attempts have written is kept: once, or for as long as the answer is.
    pub(super) async fn brought_up_to_date(
        &self,
        mode: ExecutionMode,
        function: &str,
        execution: Option<ExecutionId>,
        query: &LogQuery,
    ) -> Option<FollowGuard> {
        let source = self.source.clone().filter(|_| mode == ExecutionMode::Job)?;
        let wanted = LogSelector { function: function.into(), execution };
        if query.follow {
            return Some(source.follow(wanted));
        }
        source.refresh(wanted).await;
        None
    }

    /// The lines of an execution that has left its store, as far as its pods, or what is kept, have them.
    pub(super) async fn lines_without_record(
        &self,
        error: ApiError,
        id: &str,
        query: LogQuery,
    ) -> Result<Response<Body>, ApiError> {
        let (Some(id), Some(source)) = (ExecutionId::parse(id), &self.source) else {
            return Err(error);
        };
        let query = LogQuery { follow: false, ..query };
        let known = source.function_of(id);
        if let Some(log) = self.lines_of_pods(id, known.as_deref()).await {
            return Reader::new(self.store.clone(), log, Whose::Execution(id), query).answer(None);
        }
        let log = known.and_then(|function| self.store.get(&function)).ok_or(error)?;
        Reader::new(self.store.clone(), log, Whose::Execution(id), query).answer(None)
    }

    /// The lines of an execution in a log of their own: those of its pods that are there, behind those
    /// that are kept of pods that are not. `None` where it has no pod, or none could be read.
    pub(super) async fn lines_of_pods(
        &self,
        id: ExecutionId,
        function: Option<&str>,
    ) -> Option<Rc<FunctionLog>> {
        let source = self.source.as_ref()?;
        let pods = source.pods_of(id).await?;
        let pods = &pods[pods.len().saturating_sub(PODS_READ_MAX)..];
        let first = pods.first()?;
        let function = function.unwrap_or(&first.function);
        let own = LogStore::new(self.store.clock, self.store.limits());
        let lines = own.keeping_only();
        if let Some(kept) = self.store.get(function) {
            let elsewhere = |line: &LogLine| !pods.iter().any(|pod| *pod.name == *line.instance);
            copy(&kept, &lines, |line| line.execution == Some(id) && elsewhere(line));
        }
        for pod in pods {
            if source.read_pod(pod, id, &lines).await == PodLogRead::Unread
                && let Some(kept) = self.store.get(&pod.function)
            {
                copy(&kept, &lines, |line| line.execution == Some(id) && *line.instance == *pod.name);
            }
        }
        Some(own.log_of(&function.into()))
    }
}

/// Writes some of the lines of a log.
fn copy(log: &FunctionLog, lines: &Lines, is_wanted: impl Fn(&LogLine) -> bool) {
    log.read(log.first(), |kept| {
        if is_wanted(kept) {
            let writer = Writer {
                function: log.name.clone(),
                instance: kept.instance.clone(),
                stream: kept.stream,
                execution: OwnExecution::of(kept.execution),
            };
            let written = Some(std::time::Duration::from_nanos(kept.unix_ns));
            lines.write(&Line { writer: &writer, execution: kept.execution, text: &kept.text, written });
        }
        true
    });
}
