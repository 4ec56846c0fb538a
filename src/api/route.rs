//! A method and a path become a call, or an error that says what would be right.

use hyper::Method;

use super::call::{Call, PathPart};
use super::listener::ListenerKind;
use crate::error::{ApiError, ErrorCode};

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
                Method::GET | Method::HEAD => Ok(Call::ReadFunction(part)),
                Method::PUT => Ok(Call::PutFunction(part)),
                Method::DELETE => Ok(Call::DeleteFunction(part)),
                _ => self.wrong_method("GET, HEAD, PUT, DELETE"),
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
                    Method::GET | Method::HEAD => Ok(Call::ReadExecution(id)),
                    Method::DELETE => Ok(Call::CancelExecution(id)),
                    _ => self.wrong_method("GET, HEAD, DELETE"),
                }
            }
            Some((id, "output")) => self.get_or_head(Call::ReadOutput(PathPart::after(EXECUTIONS, id))),
            Some((id, "logs")) => self.get_or_head(Call::ExecutionLogs(PathPart::after(EXECUTIONS, id))),
            Some(_) => Err(self.nowhere()),
        }
    }

    /// The paths that name nothing.
    fn fixed(self) -> Result<Call, ApiError> {
        match self.path {
            "/v1/functions" => match *self.method {
                Method::GET | Method::HEAD => Ok(Call::ListFunctions),
                Method::POST => Ok(Call::CreateFunction),
                _ => self.wrong_method("GET, HEAD, POST"),
            },
            "/v1/executions" => self.get_or_head(Call::ListExecutions),
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
pub(crate) fn served_elsewhere(path: &str, kind: ListenerKind) -> ApiError {
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
        let cases: [NamedCase; 11] = [
            (Method::POST, "/v1/functions/a:invoke", Call::Invoke, "a"),
            (Method::POST, "/v1/functions/a:enqueue", Call::Enqueue, "a"),
            (Method::PUT, "/v1/functions/word-stats", Call::PutFunction, "word-stats"),
            (Method::GET, "/v1/executions/12", Call::ReadExecution, "12"),
            (Method::DELETE, "/v1/executions/12", Call::CancelExecution, "12"),
            (Method::GET, "/v1/executions/12/output", Call::ReadOutput, "12"),
            (Method::GET, "/v1/executions/12/logs", Call::ExecutionLogs, "12"),
            (Method::GET, "/v1/functions/a/logs", Call::FunctionLogs, "a"),
            (Method::PUT, "/v1/functions/a/replicas", Call::PutReplicas, "a"),
            (Method::GET, "/v1/internal/executions/12/input", Call::JobInput, "12"),
            (Method::POST, "/v1/internal/executions/12:complete", Call::CompleteJob, "12"),
        ];
        for (method, path, call, text) in cases {
            let start = path.find(&format!("/{text}")).expect("the path has it") + 1;
            let part = PathPart::after(&path[..start], text);
            assert_eq!(route(&method, path).map_err(|r| r.code), Ok(call(part)), "{path}");
            assert_eq!(part.of(path), text);
        }
        for (method, path, call) in [
            (Method::POST, "/v1/functions", Call::CreateFunction),
            (Method::POST, "/v1/internal/instances", Call::AnnounceInstance),
            (Method::GET, "/healthz", Call::Healthz),
            (Method::HEAD, "/openapi.yaml", Call::OpenApi),
            (Method::HEAD, "/v1/functions", Call::ListFunctions),
            (Method::HEAD, "/v1/executions", Call::ListExecutions),
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
