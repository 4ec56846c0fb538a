//! A local process that serves on a socket: its start until it answers its health check, and the reasons of its end.

use std::io;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::LocalContext;
use super::process::{Process, StartOptions};
use crate::backoff::ExponentialBackoff;
use crate::clock::Nanos;
use crate::error::ErrorCode;
use crate::exit::{Exit, describe};
use crate::id::ExecutionId;
use crate::instance::{InstanceProblem, InstanceReport};
use crate::messages::control_message::JobEnd;
use crate::probe;
use crate::spec::FunctionSpec;

/// The first pause between two health checks of a process that starts, as nothing tells that it listens. They grow
/// slowly, so that a fast one is seen at once and a slow one is not bothered.
const PROBE_PAUSE_MIN: Duration = Duration::from_millis(1);
/// The longest pause between two such checks.
const PROBE_PAUSE_MAX: Duration = Duration::from_millis(50);

/// A process that has answered its health check.
#[derive(Debug)]
pub(crate) struct ServingProcess {
    pub(crate) process: Process,
    /// Its own account of itself, of when it answered.
    pub(crate) report: InstanceReport,
    /// Time at which it was there.
    pub(crate) created: Nanos,
    /// Time at which it answered.
    pub(crate) ready: Nanos,
    /// The connection over which it did, where that takes a request.
    pub(crate) connection: Option<UnixStream>,
}

/// Starts a process that listens on the socket of `options`, and waits until it answers its health check.
///
/// # Errors
/// It could not be started, or it ended or took too long before it answered.
pub(crate) async fn start(
    context: &LocalContext,
    spec: &FunctionSpec,
    options: StartOptions,
) -> Result<ServingProcess, InstanceProblem> {
    let socket = options.socket.clone().unwrap_or_default();
    let mut process = Process::start(spec, options, &context.host)
        .map_err(|error| InstanceProblem::new(error.to_string()))?;
    let clock = context.host.clock;
    let created = clock.now();
    let patience = Duration::from_millis(context.start_timeout_ms);
    let answers = async {
        let mut pauses = ExponentialBackoff::by_quarters(PROBE_PAUSE_MIN, PROBE_PAUSE_MAX);
        loop {
            if let Ok(answered) = probe::health_and_connection(&socket).await {
                return answered;
            }
            pauses.pause().await;
        }
    };
    let early = tokio::select! {
        (report, connection) = answers => {
            return Ok(ServingProcess { process, report, created, ready: clock.now(), connection });
        }
        status = process.ended() => Some(status),
        () = tokio::time::sleep(patience) => None,
    };
    let Some(status) = early else {
        process.stop(Duration::from_millis(100)).await;
        let reason =
            format!("it did not answer GET /health within {} ms (--start-timeout-ms)", patience.as_millis());
        return Err(explain(&reason, &process, spec));
    };
    Err(explain_end(status, "before it answered GET /health", &process, spec).await)
}

/// A reason, with what may be told of what the process wrote.
#[must_use]
pub(crate) fn explain(reason: &str, process: &Process, spec: &FunctionSpec) -> InstanceProblem {
    process.tail.explain(reason, &format!("/v1/functions/{}/logs", spec.name))
}

/// How a process of a function ended, and what it wrote.
pub(crate) async fn explain_end(
    status: io::Result<Exit>,
    when: &str,
    process: &Process,
    spec: &FunctionSpec,
) -> InstanceProblem {
    // Its last output is read by a task that may not have run yet.
    tokio::task::yield_now().await;
    let how = status.map_or_else(|error| error.to_string(), describe);
    explain(&format!("{how} {when}"), process, spec)
}

/// How the process of one attempt ended, and what it wrote.
pub(crate) async fn end_of_attempt(
    status: io::Result<Exit>,
    when: &str,
    process: &Process,
    execution: ExecutionId,
) -> JobEnd {
    // See `explain_end`.
    tokio::task::yield_now().await;
    let exited_with_0 = matches!(status, Ok(Exit::Code(0)));
    let code = match status {
        Ok(Exit::OutOfMemory { .. }) => ErrorCode::OutOfMemory,
        Ok(Exit::Code(_) | Exit::Signal(_)) | Err(_) => ErrorCode::InstanceCrashed,
    };
    let how = status.map_or_else(|error| error.to_string(), describe);
    let log = format!("/v1/executions/{execution}/logs");
    let reason = process.tail.explain(&format!("{how} {when}"), &log).to_string();
    JobEnd { code, reason, exited_with_0 }
}
