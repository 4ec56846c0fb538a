//! Messages of the gateways to control.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::Response;

use super::gateway_message::RoutedRequest;
use crate::api::response::body::Body;
use crate::channel::{AnswerReceiver, AnswerSender};
use crate::error::{ApiError, ErrorCode};
use crate::function_version::FunctionVersion;
use crate::id::{ExecutionId, Token};

/// Gateway → control.
#[derive(Debug)]
pub enum ControlMessage {
    /// A request that came in on a gateway's listener and is control's to answer.
    Serve { request: Box<RoutedRequest>, answer: AnswerSender<Response<Body>> },
    /// An attempt needs a process of its own.
    StartJob(Box<JobStart>),
    /// An attempt failed, and another one begins.
    Retry(Box<Retry>),
    /// An instance listens, and says so itself. Refused, it says it again.
    Announce { announcement: Box<Announcement>, answer: AnswerSender<Result<(), ApiError>> },
}

/// Announcement of an instance that listens.
#[derive(Debug)]
pub struct Announcement {
    /// Its secret, which proves who it is.
    pub token: Token,
    /// Its name, a DNS subdomain: that of its pod.
    pub instance: String,
    /// Address on which it listens.
    pub address: SocketAddr,
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

/// Reason why the process of a `JOB` is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kill {
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
