//! `enqueue`: a function is called without waiting for it, or waited for by its id.

use clap::Args;
use serde::Deserialize;

use crate::client_error::ClientError;
use crate::invoke::{Invocation, InvocationArgs};
use crate::resource::ExecutionId;
use crate::server_client::ServerClient;
use crate::target::TargetArgs;
use crate::{function_calls, output, wait};

/// Flags of `enqueue`.
#[derive(Args, Clone, Debug)]
pub struct EnqueueArgs {
    #[command(flatten)]
    invocation: InvocationArgs,
    /// Wait for the end, and write the output instead of the id
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Accepted {
    execution_id: String,
}

/// Enqueues, and writes the id of the execution, or waits for it and writes its output.
pub(crate) async fn run(arguments: &EnqueueArgs, client: &mut ServerClient) -> Result<(), ClientError> {
    let Invocation { function, call } = arguments.invocation.call("enqueue")?;
    let enqueued = client.ask(call).await;
    let answer = function_calls::explained(client, &function, enqueued).await?;
    let Accepted { execution_id } = client.read(&answer)?;
    let id: ExecutionId = execution_id.parse().map_err(|_| client.foreign(&answer))?;
    if !arguments.wait {
        return output::write(format!("{id}\n"));
    }
    output::say(&format!("execution/{id}"));
    wait::until_ended(client, &id, None).await
}
