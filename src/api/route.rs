//! A method and a path become a call, or an error that says what would be right.

use hyper::Method;

use super::listener::ListenerKind;
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
    /// `DELETE /v1/executions/{id}`
    CancelExecution(PathPart),
    /// `GET /v1/executions`
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

    /// Whether a web page may make it, where pages may call at all: it invokes or reads.
    #[must_use]
    pub fn is_for_pages(&self) -> bool {
        match self {
            Call::Invoke(_)
            | Call::Enqueue(_)
            | Call::ReadExecution(_)
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
    fn after(prefix: &str, text: &str) -> Self {
        Self { start: prefix.len(), end: prefix.len() + text.len() }
    }

    /// Its text in the path that the call was found by.
    #[must_use]
    pub fn of(self, path: &str) -> &str {
        debug_assert!(path.get(self.start..self.end).is_some(), "{path:?} is the path of another call");
        path.get(self.start..self.end).unwrap_or_default()
    }
}

const FUNCTIONS: &str = "/v1/functions/";
const EXECUTIONS: &str = "/v1/executions/";
const JOBS: &str = "/v1/internal/executions/";

/// Finds the call.
///
/// # Errors
/// `NOT_FOUND` for a path that there is not, `METHOD_NOT_ALLOWED` for a method that it has not.
pub fn route(method: &Method, path: &str) -> Result<Call, ApiError> {
    let line = RequestLine { method, path };
    if let Some(rest) = path.strip_prefix(FUNCTIONS) {
        line.function(rest)
    } else if let Some(rest) = path.strip_prefix(JOBS) {
        line.job(rest)
    } else if let Some(rest) = path.strip_prefix(EXECUTIONS) {
        line.execution(rest)
    } else {
        line.fixed()
    }
}

/// Method and path of a request.
#[derive(Clone, Copy, Debug)]
struct RequestLine<'a> {
    method: &'a Method,
    path: &'a str,
}

impl RequestLine<'_> {
    /// Below `/v1/functions/`.
    fn function(self, rest: &str) -> Result<Call, ApiError> {
        if let Some((name, verb)) = rest.split_once(':') {
            let name = PathPart::after(FUNCTIONS, name);
            return match verb {
                "invoke" => self.post(Call::Invoke(name)),
                "enqueue" => self.post(Call::Enqueue(name)),
                _ => Err(ApiError::new(
                    ErrorCode::NotFound,
                    format!("there is no call {verb:?} of a function; there are :invoke and :enqueue"),
                )),
            };
        }
        let (name, below) = rest.split_once('/').map_or((rest, None), |(name, below)| (name, Some(below)));
        let part = PathPart::after(FUNCTIONS, name);
        match below {
            None if name.is_empty() => Err(self.nowhere()),
            None => match *self.method {
                Method::GET => Ok(Call::ReadFunction(part)),
                Method::PUT => Ok(Call::PutFunction(part)),
                Method::DELETE => Ok(Call::DeleteFunction(part)),
                _ => self.wrong_method("GET, PUT, DELETE"),
            },
            Some("replicas") => match *self.method {
                Method::PUT => Ok(Call::PutReplicas(part)),
                _ => self.wrong_method("PUT"),
            },
            Some("logs") if !name.is_empty() => self.get_or_head(Call::FunctionLogs(part)),
            Some(_) => Err(self.nowhere()),
        }
    }

    /// Below `/v1/internal/executions/`.
    fn job(self, rest: &str) -> Result<Call, ApiError> {
        if let Some(id) = rest.strip_suffix("/input") {
            self.get(Call::JobInput(PathPart::after(JOBS, id)))
        } else if let Some(id) = rest.strip_suffix(":complete") {
            self.post(Call::CompleteJob(PathPart::after(JOBS, id)))
        } else {
            Err(self.nowhere())
        }
    }

    /// Below `/v1/executions/`.
    fn execution(self, rest: &str) -> Result<Call, ApiError> {
        match rest.split_once('/') {
            None => {
                let id = PathPart::after(EXECUTIONS, rest);
                match *self.method {
                    Method::GET => Ok(Call::ReadExecution(id)),
                    Method::DELETE => Ok(Call::CancelExecution(id)),
                    _ => self.wrong_method("GET, DELETE"),
                }
            }
            Some((id, "logs")) => self.get_or_head(Call::ExecutionLogs(PathPart::after(EXECUTIONS, id))),
            Some(_) => Err(self.nowhere()),
        }
    }

    /// The paths that name nothing.
    fn fixed(self) -> Result<Call, ApiError> {
        match self.path {
            "/v1/functions" => match *self.method {
                Method::GET => Ok(Call::ListFunctions),
                Method::POST => Ok(Call::CreateFunction),
                _ => self.wrong_method("GET, POST"),
            },
            "/v1/executions" => self.get(Call::ListExecutions),
            "/v1/internal/instances" => self.post(Call::AnnounceInstance),
            "/healthz" => self.get_or_head(Call::Healthz),
            "/readyz" => self.get_or_head(Call::Readyz),
            "/metrics" => self.get_or_head(Call::Metrics),
            "/openapi.yaml" => self.get_or_head(Call::OpenApi),
            "/" => self.get_or_head(Call::Page),
            "/debug/state" => self.get_or_head(Call::DebugState),
            _ => Err(self.nowhere()),
        }
    }

    fn post(self, call: Call) -> Result<Call, ApiError> {
        if self.method == Method::POST { Ok(call) } else { self.wrong_method("POST") }
    }

    fn get(self, call: Call) -> Result<Call, ApiError> {
        if self.method == Method::GET { Ok(call) } else { self.wrong_method("GET") }
    }

    fn get_or_head(self, call: Call) -> Result<Call, ApiError> {
        let is_read = self.method == Method::GET || self.method == Method::HEAD;
        if is_read { Ok(call) } else { self.wrong_method("GET, HEAD") }
    }

    #[cold]
    fn wrong_method(self, allowed: &'static str) -> Result<Call, ApiError> {
        let message = format!("{} is not allowed on {}; allowed: {allowed}", self.method, self.path);
        Err(ApiError::new(ErrorCode::MethodNotAllowed, message).allowing(allowed))
    }

    #[cold]
    fn nowhere(self) -> ApiError {
        ApiError::new(
            ErrorCode::NotFound,
            format!(
                "there is nothing at {}; functions are at /v1/functions, executions at /v1/executions, the whole API in /openapi.yaml",
                self.path
            ),
        )
    }
}

/// The error of a path that only another listener has.
#[must_use]
pub fn served_elsewhere(path: &str, kind: ListenerKind) -> ApiError {
    let listener = match kind {
        ListenerKind::Clients => "the client listener (--listen)",
        ListenerKind::Runtimes => "the runtime listener (--runtime-listen)",
        ListenerKind::Operators => "the management listener (--management-listen)",
    };
    ApiError::new(ErrorCode::NotFound, format!("{path} is served on {listener}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Method, path, the call, and the part of the path in it.
    type NamedCase = (Method, &'static str, fn(PathPart) -> Call, &'static str);

    #[test]
    fn each_path_leads_to_its_call() {
        let cases: [NamedCase; 10] = [
            (Method::POST, "/v1/functions/a:invoke", Call::Invoke, "a"),
            (Method::POST, "/v1/functions/a:enqueue", Call::Enqueue, "a"),
            (Method::PUT, "/v1/functions/word-stats", Call::PutFunction, "word-stats"),
            (Method::GET, "/v1/executions/12", Call::ReadExecution, "12"),
            (Method::DELETE, "/v1/executions/12", Call::CancelExecution, "12"),
            (Method::GET, "/v1/executions/12/logs", Call::ExecutionLogs, "12"),
            (Method::GET, "/v1/functions/a/logs", Call::FunctionLogs, "a"),
            (Method::PUT, "/v1/functions/a/replicas", Call::PutReplicas, "a"),
            (Method::GET, "/v1/internal/executions/12/input", Call::JobInput, "12"),
            (Method::POST, "/v1/internal/executions/12:complete", Call::CompleteJob, "12"),
        ];
        for (method, path, call, text) in cases {
            let start = path.find(&format!("/{text}")).expect("the path has it") + 1;
            let part = PathPart { start, end: start + text.len() };
            assert_eq!(route(&method, path).map_err(|r| r.code), Ok(call(part)), "{path}");
            assert_eq!(part.of(path), text);
        }
        for (method, path, call) in [
            (Method::POST, "/v1/functions", Call::CreateFunction),
            (Method::POST, "/v1/internal/instances", Call::AnnounceInstance),
            (Method::GET, "/healthz", Call::Healthz),
            (Method::HEAD, "/openapi.yaml", Call::OpenApi),
        ] {
            assert_eq!(route(&method, path).map_err(|r| r.code), Ok(call), "{path}");
        }
    }

    #[test]
    fn a_wrong_path_and_a_wrong_method_are_told_apart() {
        let code = |method, path| route(&method, path).map_err(|error| error.code).expect_err("refused");
        assert_eq!(code(Method::GET, "/v1/functions/a:invoke"), ErrorCode::MethodNotAllowed);
        assert_eq!(code(Method::POST, "/v1/functions/a:invokes"), ErrorCode::NotFound);
        assert_eq!(code(Method::GET, "/v1/functions/"), ErrorCode::NotFound);
        assert_eq!(code(Method::POST, "/v1/functions/a/logs"), ErrorCode::MethodNotAllowed);
        assert_eq!(code(Method::DELETE, "/v1/executions/12/logs"), ErrorCode::MethodNotAllowed);
        assert_eq!(code(Method::GET, "/v1/executions/12/log"), ErrorCode::NotFound);
        assert_eq!(code(Method::GET, "/v1/functions/a/log"), ErrorCode::NotFound);
        assert_eq!(code(Method::GET, "/v1/internal/instances"), ErrorCode::MethodNotAllowed);
        assert_eq!(code(Method::GET, "/v1"), ErrorCode::NotFound);
        assert_eq!(code(Method::PATCH, "/v1/functions"), ErrorCode::MethodNotAllowed);
    }
}
