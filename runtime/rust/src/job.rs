//! One invocation and the end: fetch the input, run the handler, post the result.

use std::future::{Future, pending};
use std::pin::pin;
use std::process::ExitCode;

use tokio::runtime::{Builder, LocalOptions};
use tokio::time::Instant;

use crate::assignment::Assignment;
use crate::caller::Ids;
use crate::clock;
use crate::completion::Completion;
use crate::context::InvocationHead;
use crate::control_plane::{ControlError, ControlPlane, ControlResponse};
use crate::deadlines::Deadlines;
use crate::failure::Failure;
use crate::handler::Handler;
use crate::handler_error::HandlerError;
use crate::invocation;
use crate::limits::COMPLETE_GRACE;
use crate::log;
use crate::panics;
use crate::server::StartError;
use crate::settings::SizeLimits;
use crate::standby::Standby;
use crate::stop::StopSignals;

/// The exit code of a process that was stopped before its handler had ended, as a shell has it for SIGTERM.
const STOPPED: u8 = 143;

/// The result of an invocation, and its deadline.
struct JobResult {
    ids: Ids,
    completion: Completion,
    deadline: Option<Instant>,
}

/// Runs one invocation.
pub(crate) fn run<H, Args>(
    handler: &H,
    assignment: Assignment,
    sizes: SizeLimits,
    began: Instant,
) -> Result<ExitCode, StartError>
where
    H: Handler<Args>,
{
    let ids = Ids::of_execution(&assignment.execution_id);
    let control_plane = ControlPlane::request_input(assignment);
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
        .map_err(StartError::Runtime)?;
    let code = runtime.block_on(async {
        let code = attempt(handler, ids, control_plane, sizes, began).await;
        handler.stop().await;
        code
    });
    // Work that the handler left on another thread does not keep the process from ending.
    runtime.shutdown_background();
    Ok(code)
}

async fn attempt<H, Args>(
    handler: &H,
    ids: Ids,
    mut control_plane: ControlPlane,
    sizes: SizeLimits,
    began: Instant,
) -> ExitCode
where
    H: Handler<Args>,
{
    let init_ms = clock::ms_since(began);
    let work = async {
        let mut start = pin!(handler.start());
        let mut started = None;
        let mut fetch = pin!(control_plane.fetch_input(&ids, sizes.body_max));
        let input = loop {
            tokio::select! {
                biased;
                input = &mut fetch => break input?,
                ended = &mut start, if started.is_none() => started = Some(ended),
            }
        };
        // A start that has not ended yet is bounded by the deadline.
        let started = async {
            match started {
                Some(ended) => ended,
                None => start.await,
            }
        };
        Ok::<_, ControlError>(invoke(handler, &ids, input, started, sizes.output_max).await)
    };
    let ended = tokio::select! {
        biased;
        ended = work => ended,
        signal = stopped(&ids) => {
            log::with_ids(&ids, "error", &format!("stopped by {signal} before the handler had ended"));
            return ExitCode::from(STOPPED);
        }
    };
    let (ids, posted) = match ended {
        Ok(JobResult { ids, completion, deadline }) => {
            let now = clock::now();
            let until = deadline.map_or(now, |deadline| deadline.max(now)) + COMPLETE_GRACE;
            // Signals no longer end the process, so this is finished.
            let posted = control_plane.complete(&ids, &completion, init_ms, until).await;
            (ids, posted)
        }
        Err(error) => (ids, Err(error)),
    };
    match posted {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is_settled() => {
            log::with_ids(&ids, "warning", &format!("nobody waits for this attempt any more: {error}"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            log::with_ids(&ids, "error", &error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// Runs the invocation as `POST /invoke` does, with a body that is there.
async fn invoke<H, Args>(
    handler: &H,
    ids: &Ids,
    input: ControlResponse,
    started: impl Future<Output = Result<(), HandlerError>>,
    output_max: usize,
) -> JobResult
where
    H: Handler<Args>,
{
    panics::install_hook();
    let ControlResponse { headers, body, arrived, .. } = input;
    let ids = ids.with_trace_of(&headers);
    let mut deadline = None;
    let result = match InvocationHead::read(headers, arrived) {
        Ok(head) => {
            deadline = head.deadline;
            let body = async {
                started.await.map_err(Failure::Handler)?;
                body
            };
            let deadlines = Deadlines::start();
            let standby = Standby::new(false);
            let begin = || standby.begin(standby.next_key());
            invocation::run(handler, &deadlines, output_max, head, body, begin, arrived).await
        }
        Err(failure) => Err(failure),
    };
    let completion = match result {
        Ok(output) => Completion::success(output),
        Err(failure) => {
            let message = failure.to_string();
            log::failure(&ids, &failure, &message);
            Completion::failure(&failure, &message)
        }
    };
    JobResult { ids, completion, deadline }
}

/// Waits for a signal. To ask for signals takes time, which passes here while the input is
/// on its way; until then a signal ends the process as it ends any other.
async fn stopped(ids: &Ids) -> &'static str {
    match StopSignals::new() {
        Ok(mut stop) => stop.wait().await,
        Err(error) => {
            log::with_ids(ids, "warning", &format!("SIGTERM will end the process at once: {error}"));
            pending().await
        }
    }
}
