//! `scale`: how many instances a function keeps.

use clap::Args;
use clap_complete::ArgValueCandidates;

use crate::client_error::ClientError;
use crate::resource::{FunctionName, Resources};
use crate::server_client::ServerClient;
use crate::target::TargetArgs;
use crate::{completion, function_calls, output};

/// Flags of `scale`.
#[derive(Args, Clone, Debug)]
pub struct ScaleArgs {
    /// Function, as NAME, function NAME or function/NAME
    #[arg(required = true, num_args = 1..=2, value_name = "FUNCTION", add = ArgValueCandidates::new(completion::functions))]
    function: Vec<String>,
    /// Instances that stay even when idle
    #[arg(long, value_name = "N")]
    replicas: u32,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
}

/// Scales.
pub(crate) async fn run(arguments: &ScaleArgs, client: &mut ServerClient) -> Result<(), ClientError> {
    let name: FunctionName = match arguments.function.as_slice() {
        [name] => name.parse()?,
        words => match Resources::parse(words)? {
            Resources::Functions(names) if names.len() == 1 => names[0].clone(),
            Resources::Functions(_) | Resources::Executions(_) => {
                return Err(ClientError::Usage("only a function is scaled, and one at a time".to_owned()));
            }
        },
    };
    function_calls::scale(client, &name, arguments.replicas).await?;
    output::write(format!("function/{name} scaled\n"))
}
