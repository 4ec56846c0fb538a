//! `delete`: functions are deleted, by their names or by their manifests.

use clap::Args;
use clap_complete::ArgValueCompleter;

use crate::apply::{ManifestArgs, Outcomes};
use crate::client_error::ClientError;
use crate::resource::{FunctionName, Resources};
use crate::server_client::ServerClient;
use crate::target::TargetArgs;
use crate::{completion, function_calls, output};

/// Flags of `delete`.
#[derive(Args, Clone, Debug)]
pub struct DeleteArgs {
    /// Functions, as function NAME … or function/NAME …
    #[arg(value_name = "function NAME", required_unless_present = "filename", conflicts_with = "filename", add = ArgValueCompleter::new(completion::resources))]
    resource: Vec<String>,
    #[command(flatten)]
    manifests: ManifestArgs,
    /// Succeed where there is no such function
    #[arg(long)]
    ignore_not_found: bool,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
}

impl DeleteArgs {
    fn names(&self) -> Result<Vec<FunctionName>, ClientError> {
        if !self.manifests.filename.is_empty() {
            return Ok(self.manifests.read()?.into_iter().map(|function| function.name).collect());
        }
        match Resources::parse(&self.resource)? {
            Resources::Functions(names) if !names.is_empty() => Ok(names),
            Resources::Functions(_) => {
                Err(ClientError::Usage("name the functions: `delete function NAME …`".to_owned()))
            }
            Resources::Executions(_) => {
                let message =
                    "executions are not deleted: `cancel ID` cancels one, and results go by themselves";
                Err(ClientError::Usage(message.to_owned()))
            }
        }
    }
}

/// Deletes each function in turn. One that is not there does not keep the others.
pub(crate) async fn run(
    arguments: &DeleteArgs,
    client: &mut ServerClient,
    program: &str,
) -> Result<(), ClientError> {
    let mut outcomes = Outcomes::default();
    for name in arguments.names()? {
        let deleted = match function_calls::delete(client, &name).await {
            Err(ClientError::NoFunction { .. }) if arguments.ignore_not_found => continue,
            other => other,
        };
        if outcomes.take(deleted, || name.to_string(), program)?.is_some() {
            output::write(format!("function/{name} deleted\n"))?;
        }
    }
    outcomes.end()
}
