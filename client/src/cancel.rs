//! `cancel`: an execution is cancelled.

use clap::Args;
use clap_complete::ArgValueCandidates;
use hyper::Method;

use crate::client_error::ClientError;
use crate::resource::ExecutionId;
use crate::server_client::{Call, ServerClient};
use crate::target::TargetArgs;
use crate::{completion, output};

/// Flags of `cancel`.
#[derive(Args, Clone, Debug)]
pub struct CancelArgs {
    /// Execution to cancel
    #[arg(add = ArgValueCandidates::new(completion::executions))]
    id: String,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
}

/// Cancels.
pub(crate) async fn run(arguments: &CancelArgs, client: &mut ServerClient) -> Result<(), ClientError> {
    let id: ExecutionId = arguments.id.parse()?;
    client.ask(Call::new(Method::DELETE, format!("/v1/executions/{id}"))).await?;
    output::write(format!("execution/{id} cancelled\n"))
}
