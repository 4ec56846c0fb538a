//! `deploy`: from a folder with functions to functions that are served.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::apply::Outcomes;
use crate::client_error::ClientError;
#[cfg(feature = "cluster")]
use crate::cluster_deployment::ClusterDeployment;
use crate::function_calls::{self, ApplyMode, Change};
use crate::image_builder::ImageArgs;
use crate::manifest::ManifestFunction;
use crate::printable::printable;
use crate::server_client::ServerClient;
use crate::shell_word::quoted_if_needed;
use crate::target::{HttpTarget, Target, TargetArgs};
use crate::{duration, output, project_function, readiness};

/// Flags of `deploy`.
#[derive(Args, Clone, Debug)]
pub struct DeployArgs {
    /// Folder with manifests of functions, also in the folders below it, or one manifest
    #[arg(default_value = ".", value_name = "DIR", value_hint = clap::ValueHint::AnyPath)]
    dir: PathBuf,
    /// Say what would be done, and change nothing; the API server of a cluster checks the functions
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not wait until the functions are ready
    #[arg(long)]
    no_wait: bool,
    /// Show what the programs that build write, as it comes
    #[arg(long)]
    pub(crate) verbose: bool,
    /// Longest time until a function is ready, after it was built
    #[arg(long, value_name = "TIME", value_parser = duration::parse, default_value = "2m")]
    timeout: Duration,
    /// In a cluster, take over fields that others hold
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) image_args: ImageArgs,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
}

/// The place to which functions are deployed.
enum Destination {
    /// A server on this machine, or one that needs no file of it.
    Server(HttpTarget),
    #[cfg(feature = "cluster")]
    Cluster(Box<ClusterDeployment>),
}

/// Deploys each function in turn. One that fails does not keep the others.
pub(crate) async fn run(
    arguments: &DeployArgs,
    client: &mut ServerClient,
    program: &str,
) -> Result<(), ClientError> {
    let functions = project_function::read(&arguments.dir)?;
    let mut destination = match client.target().clone() {
        Target::Http(server) => Destination::to_server(server, arguments, &functions)?,
        #[cfg(feature = "cluster")]
        Target::Cluster(_) => Destination::Cluster(Box::new(ClusterDeployment::new(client).await?)),
    };
    let mut outcomes = Outcomes::default();
    for function in &functions {
        let deployed = destination.deploy(function, client, arguments, program).await;
        let what = || format!("{}: {}", function.file, function.name);
        if let Some(url) = outcomes.take(deployed, what, program)?
            && !arguments.dry_run
        {
            output::write(url + "\n")?;
        }
    }
    outcomes.end()
}

impl Destination {
    /// A server, where it has the files of what it is to run.
    fn to_server(
        server: HttpTarget,
        arguments: &DeployArgs,
        functions: &[ManifestFunction],
    ) -> Result<Self, ClientError> {
        if let Some(flag) = arguments.image_args.given() {
            let message = format!(
                "{flag} is about an image, which only a cluster runs: name one with --kube-context, or a context of one"
            );
            return Err(ClientError::Usage(message));
        }
        let needs_files = functions.iter().find(|function| function.is_local());
        if let Some(function) = needs_files.filter(|_| !server.url.is_on_this_machine()) {
            let message = format!(
                "{}: {} runs a program of this machine (local.command), and {} is elsewhere: deploy it to a server \
                 on this machine, or to a cluster with --kube-context; `apply` registers it with its image alone",
                function.file, function.name, server.url
            );
            return Err(ClientError::Usage(message));
        }
        Ok(Self::Server(server))
    }

    /// Builds, registers and waits. Answers the URL by which the function is called.
    async fn deploy(
        &mut self,
        function: &ManifestFunction,
        client: &mut ServerClient,
        arguments: &DeployArgs,
        program: &str,
    ) -> Result<String, ClientError> {
        let (spec, force) = match self {
            Self::Server(_) => {
                let spec = function.local_spec()?;
                // A server that is not there, or does not take it, is told before minutes of building.
                function_calls::check(client, &function.name, &spec).await?;
                if arguments.dry_run {
                    for command in function.build_commands()? {
                        output::say(&format!("would run: {}", command.shown()));
                    }
                    output::say(&format!("would register: {}", function.name));
                    return Ok(String::new());
                }
                function.build(arguments.verbose).await?;
                // Other files may be behind the same fields, and are read when an instance starts.
                (spec, function.is_local())
            }
            #[cfg(feature = "cluster")]
            Self::Cluster(cluster) => (cluster.prepare(function, arguments).await?, arguments.force),
        };
        let mode = ApplyMode { force, is_dry_run: arguments.dry_run };
        let change = function_calls::put(client, &function.name, &spec, mode).await?;
        let change = match change {
            Change::Created => "created",
            Change::Configured => "configured",
            Change::Unchanged => "unchanged",
        };
        let suffix = if arguments.dry_run { " (server dry run)" } else { "" };
        output::say(&format!("function/{} {change}{suffix}", function.name));
        if !arguments.no_wait && !arguments.dry_run {
            readiness::wait(client, &function.name, arguments.timeout).await?;
            output::say(&format!("{} is ready; call it:", function.name));
        }
        if !arguments.dry_run {
            output::say(&format!("    {}", invocation(function, client.target(), program)));
        }
        Ok(self.url(function))
    }

    fn url(&self, function: &ManifestFunction) -> String {
        let base = match self {
            Self::Server(server) => server.url.to_string(),
            #[cfg(feature = "cluster")]
            Self::Cluster(cluster) => cluster.base_url(),
        };
        format!("{base}/v1/functions/{}:invoke", function.name)
    }
}

/// The command that calls a function, as a shell reads it.
fn invocation(function: &ManifestFunction, target: &Target, program: &str) -> String {
    let input = function.example_input.as_deref();
    // In JSON a line only breaks between values, where a space does as well.
    let input = input.map_or_else(|| "{}".to_owned(), |input| input.replace(['\n', '\r'], " "));
    let input = quoted_if_needed(&printable(&input));
    format!("{program} invoke {} -d {input}{}", function.name, target.flags())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ordered_value::OrderedValue;

    fn function(example: Option<&str>) -> ManifestFunction {
        ManifestFunction {
            name: "f".parse().unwrap(),
            spec: OrderedValue::object([]),
            file: "f.yaml".to_owned(),
            folder: PathBuf::from("/f"),
            example_input: example.map(str::to_owned),
        }
    }

    #[test]
    fn the_command_that_is_told_goes_where_the_function_is() {
        use crate::target::TargetEnvironment;
        let flags = TargetArgs { server: Some("http://[::1]:9".to_owned()), ..TargetArgs::default() };
        let server = Target::resolve(&flags, &TargetEnvironment::default()).unwrap();
        assert_eq!(invocation(&function(None), &server, "p"), "p invoke f -d '{}' --server http://[::1]:9");
        let here = Target::resolve(&TargetArgs::default(), &TargetEnvironment::default()).unwrap();
        let example = function(Some("{\"a\":\n1}"));
        assert_eq!(invocation(&example, &here, "p"), "p invoke f -d '{\"a\": 1}'");
        let odd = function(Some("1\u{1b}[8m"));
        assert_eq!(invocation(&odd, &here, "p"), "p invoke f -d '1\\u{1b}[8m'");
    }
}
