//! Messages of the gateways to control.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::HeaderValue;
use hyper::{Method, Response, StatusCode};

use super::gateway_message::RoutedRequest;
use crate::api::response::body::Body;
use crate::channel::{AnswerReceiver, AnswerSender};
use crate::clock::Nanos;
use crate::error::{ApiError, ErrorCode};
use crate::function_version::FunctionVersion;
use crate::id::{ExecutionId, Token};
use crate::instance::{InstanceKey, InstanceReport};

/// Gateway → control.
#[derive(Debug)]
pub enum ControlMessage {
    /// A request that came in on a gateway's listener and is control's to answer.
    Serve { request: Box<RoutedRequest>, answer: AnswerSender<Response<Body>> },
    /// An attempt needs a process of its own.
    StartJob(Box<JobStart>),
    /// An instance that was started ahead was given an execution.
    TakeStandby(Box<StandbyTake>),
    /// An attempt failed, and another one begins.
    Retry(Box<Retry>),
    /// A client was answered, and a person looks on.
    Answered(Box<AnsweredRequest>),
    /// So many more were answered, in a second that had too many to tell of each.
    AnsweredMore(u64),
    /// An instance listens, and says so itself. Refused, it says it again.
    Announce { announcement: Box<Announcement>, answer: AnswerSender<Result<(), ApiError>> },
}

/// Announcement of an instance that listens.
#[derive(Debug, Clone)]
pub struct Announcement {
    /// Its secret, which proves who it is.
    pub token: Token,
    /// Its name, a DNS subdomain: that of its pod.
    pub instance: String,
    /// Address on which it listens.
    pub address: SocketAddr,
    /// Its own account of itself.
    pub report: InstanceReport,
}

/// Beginning of an attempt after one that failed.
#[derive(Debug)]
pub struct Retry {
    /// The version of the function.
    pub function: Arc<FunctionVersion>,
    /// The execution.
    pub execution: ExecutionId,
    /// Number of the attempt that begins, from 2.
    pub attempt: u8,
    /// Code of the failure before.
    pub code: Cow<'static, str>,
    /// The same in words.
    pub message: Cow<'static, str>,
}

/// Request of a client, once it is answered.
#[derive(Debug)]
pub struct AnsweredRequest {
    /// Its method.
    pub method: Method,
    /// Its path, without the query.
    pub path: String,
    /// Status of the answer.
    pub status: StatusCode,
    /// Source of the error, where the answer is one.
    pub error_source: Option<HeaderValue>,
    /// Whether the answer was the first of its instance.
    pub is_cold_start: bool,
    /// Time from the head of the request to that of the answer.
    pub took: Duration,
}

impl fmt::Display for AnsweredRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, path, status, error_source, is_cold_start, took } = self;
        write!(f, "{method} ")?;
        for c in path.chars() {
            // A terminal would obey it: a path may have those beyond ASCII as they are.
            if c.is_control() { write!(f, "{}", c.escape_default())? } else { f.write_char(c)? }
        }
        write!(f, " {}", status.as_u16())?;
        if let Some(source) = error_source.as_ref().and_then(|source| source.to_str().ok()) {
            write!(f, " ({source})")?;
        }
        let cold = if *is_cold_start { ", cold start" } else { "" };
        write!(f, " in {:.1} ms{cold}", took.as_secs_f64() * 1e3)
    }
}

/// Attempt that a process of a `JOB` is started for.
#[derive(Debug)]
pub struct JobStart {
    /// The version of the function.
    pub function: Arc<FunctionVersion>,
    /// The execution that it is to run.
    pub execution: ExecutionId,
    /// Number of the attempt, from 1.
    pub attempt: u8,
    /// The trace it belongs to.
    pub trace_id: String,
    /// Its secret, which proves who it is.
    pub token: Token,
    /// Time that the attempt may take, all in all.
    pub time_left: Duration,
    /// Answered, or the asker gone: the process is killed.
    pub killed: AnswerReceiver<Kill>,
    /// Answered when the process is gone.
    pub ended: AnswerSender<JobEnd>,
}

/// Execution that a single-use instance was given.
#[derive(Debug)]
pub struct StandbyTake {
    /// The instance.
    pub instance: InstanceKey,
    /// The execution.
    pub execution: ExecutionId,
    /// Time at which it was granted (ns of the process's clock).
    pub granted: Nanos,
    /// Time that the attempt may take.
    pub time_left: Duration,
    /// Answered, or the asker gone: the instance is to end.
    pub killed: AnswerReceiver<Kill>,
    /// Answered when the instance is gone.
    pub ended: AnswerSender<JobEnd>,
}

/// Reason why the process of a `JOB` is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kill {
    /// It has answered, and may end by itself.
    Answered,
    /// Nobody wants its result.
    Unwanted,
    /// It has posted its result, and was not heard to end in `--stop-timeout-ms`.
    Posted,
}

/// End of the process of a `JOB`, or the reason why there was none.
#[derive(Debug)]
pub struct JobEnd {
    /// Meaning for an attempt without a result.
    pub code: ErrorCode,
    /// The same in words.
    pub reason: String,
    /// Whether it says that it has posted its result.
    pub exited_with_0: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_told_without_control_characters_that_a_terminal_would_obey() {
        let answered = AnsweredRequest {
            method: Method::GET,
            path: "/\u{9b}31mfoo/grüße".to_owned(),
            status: StatusCode::NOT_FOUND,
            error_source: Some(HeaderValue::from_static("gateway")),
            is_cold_start: false,
            took: Duration::from_micros(150),
        };
        assert_eq!(answered.to_string(), "GET /\\u{9b}31mfoo/grüße 404 (gateway) in 0.1 ms");
    }
}
