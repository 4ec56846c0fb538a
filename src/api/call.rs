//! The calls of the API, and who may make each.

use super::query::{OF_LIST, OF_LOGS, OF_READ};
use crate::error::{ApiError, ErrorCode};

/// The call that a request asks for. It is found once and goes with the request wherever that is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// `POST /v1/functions/{name}:invoke`
    Invoke(PathPart),
    /// `POST /v1/functions/{name}:enqueue`
    Enqueue(PathPart),
    /// `GET /v1/executions/{id}`
    ReadExecution(PathPart),
    /// `GET /v1/executions/{id}/output`
    ReadOutput(PathPart),
    /// `DELETE /v1/executions/{id}`
    CancelExecution(PathPart),
    /// `GET /v1/executions`
    /// With `?slowest=`, those that the gateways have recorded
    ListExecutions,
    /// `GET /v1/executions/{id}/logs`
    ExecutionLogs(PathPart),
    /// `GET /v1/internal/executions/{id}/input`, on the runtime listener only
    JobInput(PathPart),
    /// `POST /v1/internal/executions/{id}:complete`, on the runtime listener only
    CompleteJob(PathPart),
    /// `POST /v1/internal/instances`, on the runtime listener only
    AnnounceInstance,
    /// `GET /v1/functions`
    ListFunctions,
    /// `GET /v1/functions/{name}`
    ReadFunction(PathPart),
    /// `GET /v1/functions/{name}/logs`
    FunctionLogs(PathPart),
    /// `POST /v1/functions`
    CreateFunction,
    /// `PUT /v1/functions/{name}`
    PutFunction(PathPart),
    /// `DELETE /v1/functions/{name}`
    DeleteFunction(PathPart),
    /// `PUT /v1/functions/{name}/replicas`
    PutReplicas(PathPart),
    /// `GET /healthz`
    Healthz,
    /// `GET /readyz`, on the management listener only
    Readyz,
    /// `GET /metrics`, on the management listener only
    Metrics,
    /// `GET /openapi.yaml`
    OpenApi,
    /// `GET /`, on the management listener only
    Page,
    /// `GET /debug/state`, on the management listener only
    DebugState,
}

impl Call {
    /// The error where clients may not operate ([`Listener::may_operate`](super::listener::Listener::may_operate)):
    /// changing the registry, and what shows the ids of everybody's executions, by which they are read and
    /// cancelled, is for operators. Who has the id of one execution may read its lines.
    #[must_use]
    pub fn closed_to_clients(&self) -> Option<ApiError> {
        let (code, message) = match self {
            Call::CreateFunction | Call::PutFunction(_) | Call::DeleteFunction(_) | Call::PutReplicas(_) => (
                ErrorCode::WritesDisabled,
                "functions are changed on the management listener, or here with --allow-writes",
            ),
            Call::ListExecutions => (
                ErrorCode::ListingDisabled,
                "executions are listed on the management listener, or here with --allow-writes",
            ),
            Call::FunctionLogs(_) => (
                ErrorCode::LogsDisabled,
                "the lines of a function are read on the management listener (--management-listen), or here with --allow-writes; those of one execution are at /v1/executions/{id}/logs",
            ),
            Call::Invoke(_)
            | Call::Enqueue(_)
            | Call::ReadExecution(_)
            | Call::ReadOutput(_)
            | Call::CancelExecution(_)
            | Call::ExecutionLogs(_)
            | Call::JobInput(_)
            | Call::CompleteJob(_)
            | Call::AnnounceInstance
            | Call::ListFunctions
            | Call::ReadFunction(_)
            | Call::Healthz
            | Call::Readyz
            | Call::Metrics
            | Call::OpenApi
            | Call::Page
            | Call::DebugState => return None,
        };
        Some(ApiError::new(code, message))
    }

    /// The parameters that its query may have.
    #[must_use]
    pub(crate) fn parameters(self) -> &'static [&'static str] {
        match self {
            Call::ReadExecution(_) | Call::ReadOutput(_) => OF_READ,
            Call::ListExecutions => OF_LIST,
            Call::FunctionLogs(_) | Call::ExecutionLogs(_) => OF_LOGS,
            Call::Invoke(_)
            | Call::Enqueue(_)
            | Call::CancelExecution(_)
            | Call::JobInput(_)
            | Call::CompleteJob(_)
            | Call::AnnounceInstance
            | Call::ListFunctions
            | Call::ReadFunction(_)
            | Call::CreateFunction
            | Call::PutFunction(_)
            | Call::DeleteFunction(_)
            | Call::PutReplicas(_)
            | Call::Healthz
            | Call::Readyz
            | Call::Metrics
            | Call::OpenApi
            | Call::Page
            | Call::DebugState => &[],
        }
    }

    /// Whether a web page may make it, where pages may call at all: it invokes or reads.
    #[must_use]
    pub fn is_for_pages(&self) -> bool {
        match self {
            Call::Invoke(_)
            | Call::Enqueue(_)
            | Call::ReadExecution(_)
            | Call::ReadOutput(_)
            | Call::ListExecutions
            | Call::ExecutionLogs(_)
            | Call::ListFunctions
            | Call::ReadFunction(_)
            | Call::FunctionLogs(_)
            | Call::Healthz
            | Call::Readyz
            | Call::Metrics
            | Call::OpenApi
            | Call::Page
            | Call::DebugState => true,
            Call::CreateFunction
            | Call::PutFunction(_)
            | Call::DeleteFunction(_)
            | Call::PutReplicas(_)
            | Call::CancelExecution(_)
            | Call::JobInput(_)
            | Call::CompleteJob(_)
            | Call::AnnounceInstance => false,
        }
    }

    /// Whether a gateway answers it, wherever it came in.
    #[must_use]
    pub fn is_gateways(&self) -> bool {
        match self {
            Call::Invoke(_)
            | Call::Enqueue(_)
            | Call::ReadExecution(_)
            | Call::ReadOutput(_)
            | Call::CancelExecution(_)
            | Call::JobInput(_)
            | Call::CompleteJob(_)
            | Call::AnnounceInstance => true,
            Call::ListExecutions
            | Call::ExecutionLogs(_)
            | Call::FunctionLogs(_)
            | Call::ListFunctions
            | Call::ReadFunction(_)
            | Call::CreateFunction
            | Call::PutFunction(_)
            | Call::DeleteFunction(_)
            | Call::PutReplicas(_)
            | Call::Page
            | Call::DebugState
            | Call::Healthz
            | Call::Readyz
            | Call::Metrics
            | Call::OpenApi => false,
        }
    }

    /// Whether only the runtime listener serves it.
    #[must_use]
    pub fn is_internal(&self) -> bool {
        matches!(self, Call::JobInput(_) | Call::CompleteJob(_) | Call::AnnounceInstance)
    }

    /// Whether only the management listener serves it.
    #[must_use]
    pub fn is_management(&self) -> bool {
        matches!(self, Call::Metrics | Call::Readyz | Call::Page | Call::DebugState)
    }
}

/// Part of the path of a request: the name of a function, or an id. It is a range, so that a call is copied and
/// sent to another thread with its request, which has the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathPart {
    start: usize,
    end: usize,
}

impl PathPart {
    /// The part of a path that begins with `prefix` and then has `text`.
    pub(super) fn after(prefix: &str, text: &str) -> Self {
        Self { start: prefix.len(), end: prefix.len() + text.len() }
    }

    /// Its text in the path that the call was found by.
    #[must_use]
    pub fn of(self, path: &str) -> &str {
        debug_assert!(path.get(self.start..self.end).is_some(), "{path:?} is the path of another call");
        path.get(self.start..self.end).unwrap_or_default()
    }
}
