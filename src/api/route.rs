//! A method and a path become a call, or an error that says what would be right.

use hyper::Method;

use crate::error::{ApiError, ErrorCode};

/// The call that a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call<'a> {
    /// `POST /v1/functions/{name}:invoke`
    Invoke(&'a str),
    /// `POST /v1/functions/{name}:enqueue`
    Enqueue(&'a str),
    /// `GET /v1/executions/{id}`
    ReadExecution(&'a str),
    /// `DELETE /v1/executions/{id}`
    CancelExecution(&'a str),
    /// `GET /v1/executions`
    ListExecutions,
    /// `GET /v1/executions/{id}/logs`
    ExecutionLogs(&'a str),
    /// `GET /v1/internal/executions/{id}/input`, on the runtime listener only
    JobInput(&'a str),
    /// `POST /v1/internal/executions/{id}:complete`, on the runtime listener only
    CompleteJob(&'a str),
    /// `POST /v1/internal/instances`, on the runtime listener only
    AnnounceInstance,
    /// `GET /v1/functions`
    ListFunctions,
    /// `GET /v1/functions/{name}`
    ReadFunction(&'a str),
    /// `GET /v1/functions/{name}/logs`
    FunctionLogs(&'a str),
    /// `POST /v1/functions`
    CreateFunction,
    /// `PUT /v1/functions/{name}`
    PutFunction(&'a str),
    /// `DELETE /v1/functions/{name}`
    DeleteFunction(&'a str),
    /// `PUT /v1/functions/{name}/replicas`
    PutReplicas(&'a str),
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

impl Call<'_> {
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

/// Finds the call.
///
/// # Errors
/// `NOT_FOUND` for a path that there is not, `METHOD_NOT_ALLOWED` for a method that it has not.
#[expect(clippy::too_many_lines, reason = "a table of paths")]
pub fn route<'a>(method: &Method, path: &'a str) -> Result<Call<'a>, ApiError> {
    let wrong_method = |allowed: &'static str| {
        let message = format!("{method} is not allowed on {path}; allowed: {allowed}");
        Err(ApiError::new(ErrorCode::MethodNotAllowed, message).allowing(allowed))
    };
    let get = |call| {
        if method == Method::GET || method == Method::HEAD { Ok(call) } else { wrong_method("GET, HEAD") }
    };
    if let Some(rest) = path.strip_prefix("/v1/functions/") {
        if let Some((name, verb)) = rest.split_once(':') {
            let call = match verb {
                "invoke" => Call::Invoke(name),
                "enqueue" => Call::Enqueue(name),
                _ => {
                    return Err(ApiError::new(
                        ErrorCode::NotFound,
                        format!("there is no call {verb:?} of a function; there are :invoke and :enqueue"),
                    ));
                }
            };
            return if method == Method::POST { Ok(call) } else { wrong_method("POST") };
        }
        return match rest.split_once('/') {
            None if rest.is_empty() => Err(nowhere(path)),
            None => match *method {
                Method::GET => Ok(Call::ReadFunction(rest)),
                Method::PUT => Ok(Call::PutFunction(rest)),
                Method::DELETE => Ok(Call::DeleteFunction(rest)),
                _ => wrong_method("GET, PUT, DELETE"),
            },
            Some((name, "replicas")) => {
                if method == Method::PUT {
                    Ok(Call::PutReplicas(name))
                } else {
                    wrong_method("PUT")
                }
            }
            Some((name, "logs")) if !name.is_empty() => get(Call::FunctionLogs(name)),
            Some(_) => Err(nowhere(path)),
        };
    }
    if let Some(rest) = path.strip_prefix("/v1/internal/executions/") {
        return if let Some(id) = rest.strip_suffix("/input") {
            if method == Method::GET { Ok(Call::JobInput(id)) } else { wrong_method("GET") }
        } else if let Some(id) = rest.strip_suffix(":complete") {
            if method == Method::POST { Ok(Call::CompleteJob(id)) } else { wrong_method("POST") }
        } else {
            Err(nowhere(path))
        };
    }
    if let Some(id) = path.strip_prefix("/v1/executions/") {
        if let Some((id, rest)) = id.split_once('/') {
            return if rest == "logs" { get(Call::ExecutionLogs(id)) } else { Err(nowhere(path)) };
        }
        return match *method {
            Method::GET => Ok(Call::ReadExecution(id)),
            Method::DELETE => Ok(Call::CancelExecution(id)),
            _ => wrong_method("GET, DELETE"),
        };
    }
    match path {
        "/v1/functions" => match *method {
            Method::GET => Ok(Call::ListFunctions),
            Method::POST => Ok(Call::CreateFunction),
            _ => wrong_method("GET, POST"),
        },
        "/v1/executions" => match *method {
            Method::GET => Ok(Call::ListExecutions),
            _ => wrong_method("GET"),
        },
        "/v1/internal/instances" => match *method {
            Method::POST => Ok(Call::AnnounceInstance),
            _ => wrong_method("POST"),
        },
        "/healthz" => get(Call::Healthz),
        "/readyz" => get(Call::Readyz),
        "/metrics" => get(Call::Metrics),
        "/openapi.yaml" => get(Call::OpenApi),
        "/" => get(Call::Page),
        "/debug/state" => get(Call::DebugState),
        _ => Err(nowhere(path)),
    }
}

fn nowhere(path: &str) -> ApiError {
    ApiError::new(
        ErrorCode::NotFound,
        format!(
            "there is nothing at {path}; functions are at /v1/functions, executions at /v1/executions, the whole API in /openapi.yaml"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_leads_to_its_call() {
        let cases = [
            (Method::POST, "/v1/functions/a:invoke", Call::Invoke("a")),
            (Method::POST, "/v1/functions/a:enqueue", Call::Enqueue("a")),
            (Method::GET, "/v1/executions/12", Call::ReadExecution("12")),
            (Method::DELETE, "/v1/executions/12", Call::CancelExecution("12")),
            (Method::GET, "/v1/executions/12/logs", Call::ExecutionLogs("12")),
            (Method::GET, "/v1/functions/a/logs", Call::FunctionLogs("a")),
            (Method::POST, "/v1/functions", Call::CreateFunction),
            (Method::PUT, "/v1/functions/a/replicas", Call::PutReplicas("a")),
            (Method::GET, "/v1/internal/executions/12/input", Call::JobInput("12")),
            (Method::POST, "/v1/internal/executions/12:complete", Call::CompleteJob("12")),
            (Method::POST, "/v1/internal/instances", Call::AnnounceInstance),
            (Method::GET, "/healthz", Call::Healthz),
            (Method::HEAD, "/openapi.yaml", Call::OpenApi),
        ];
        for (method, path, call) in cases {
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
