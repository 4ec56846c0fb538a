//! `wait`: the end of an execution is waited for, and its output written, or the answer that is kept as it came.

use std::time::Duration;

use clap::Args;
use tokio::time::timeout;

use crate::client_error::ClientError;
use crate::duration;
use crate::execution_view::ExecutionView;
use crate::output;
use crate::progress::while_waiting;
use crate::resource::ExecutionId;
use crate::server_client::{Answer, CALL_TIME_MAX, Call, ServerClient};
use crate::target::TargetArgs;

/// Seconds that one request waits. A proxy in between closes what is silent for long.
const ONE_WAIT_S: u64 = 25;

/// Flags of `wait`.
#[derive(Args, Clone, Debug)]
pub struct WaitArgs {
    /// Execution to wait for
    id: String,
    /// Longest time to wait, such as 30s or 5m; else for ever
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    timeout: Option<Duration>,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
}

/// Waits, and writes the output.
pub(crate) async fn run(arguments: &WaitArgs, client: &mut ServerClient) -> Result<(), ClientError> {
    until_ended(client, &arguments.id.parse()?, arguments.timeout).await
}

/// Waits for the end of an execution and writes its output.
///
/// # Errors
/// The execution's, if it did not succeed.
pub(crate) async fn until_ended(
    client: &mut ServerClient,
    id: &ExecutionId,
    limit: Option<Duration>,
) -> Result<(), ClientError> {
    let what = format!("waiting for execution {id}");
    let ended = while_waiting(&what, end_of(client, id));
    let answer = match limit {
        None => ended.await?,
        Some(limit) => timeout(limit, ended).await.unwrap_or_else(|_| {
            Err(ClientError::TimedOut { what: format!("the execution {id} has not ended"), limit })
        })?,
    };
    let execution: ExecutionView<'_> = client.read(&answer)?;
    let failure = execution.failure();
    if execution.web.is_some_and(|web| web.kept) {
        let call = Call::get(format!("/v1/executions/{id}/output"));
        let kept = client.call(call).await?;
        // One of the function's, such as its 404, is an answer as any other.
        if !kept.status.is_success() && kept.header("x-error-source") != Some("function") {
            return Err(client.refused(&kept));
        }
        output::write(&kept.body)?;
        return failure.map_or(Ok(()), |failed| Err(ClientError::Failed(failed)));
    }
    match (failure, execution.output) {
        (Some(failed), _) => Err(ClientError::Failed(failed)),
        (None, output) => {
            output::write(output.map_or("null", |output| output.get()))?;
            output::write("\n")
        }
    }
}

async fn end_of(client: &mut ServerClient, id: &ExecutionId) -> Result<Answer, ClientError> {
    let limit = CALL_TIME_MAX + Duration::from_secs(ONE_WAIT_S);
    loop {
        let call = Call::get(format!("/v1/executions/{id}?wait={ONE_WAIT_S}")).within(Some(limit));
        let answer = client.ask(call).await?;
        if client.read::<ExecutionView<'_>>(&answer)?.has_ended() {
            return Ok(answer);
        }
    }
}
