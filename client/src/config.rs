//! `config`: contexts are listed, shown, made and chosen.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use clap_complete::ArgValueCandidates;

use crate::client_error::ClientError;
use crate::completion;
use crate::context_file::{ClusterContext, Context, ContextFile};
use crate::output;
use crate::server_url::ServerUrl;
use crate::table::Table;
use crate::target::{TargetEnvironment, refuse_clusters};

/// Shown in place of a header's value, which may be a secret.
const HIDDEN: &str = "REDACTED";

/// Arguments of `config`.
#[derive(Args, Clone, Debug)]
pub struct ConfigArgs {
    #[command(subcommand)]
    verb: ConfigVerb,
}

/// Things done with the file of contexts.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum ConfigVerb {
    /// List all contexts, the one in force with a star
    GetContexts,
    /// Name the context in force
    CurrentContext,
    /// Choose the context in force
    UseContext(ContextName),
    /// Make a context, or change one that there is
    SetContext(SetContextArgs),
    /// Delete a context
    DeleteContext(ContextName),
    /// Show the file, without the values of headers
    View(ViewArgs),
}

/// A context that there is.
#[derive(Args, Clone, Debug)]
pub(crate) struct ContextName {
    /// Name of the context
    #[arg(add = ArgValueCandidates::new(completion::contexts))]
    name: String,
}

/// Fields of a context.
#[derive(Args, Clone, Debug)]
pub(crate) struct SetContextArgs {
    #[command(flatten)]
    context: ContextName,
    /// URL of the server
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// File of certificates (PEM) to trust instead of those that this machine trusts
    #[arg(long, value_name = "FILE")]
    certificate_authority: Option<PathBuf>,
    /// Cluster of this context of the kubeconfig, instead of a server
    #[arg(
        long,
        value_name = "NAME",
        hide = cfg!(not(feature = "cluster")),
        conflicts_with_all = ["server", "certificate_authority", "headers"]
    )]
    kube_context: Option<String>,
    /// Namespace of the cluster
    #[arg(
        short,
        long,
        value_name = "NAME",
        hide = cfg!(not(feature = "cluster")),
        conflicts_with_all = ["server", "certificate_authority", "headers"]
    )]
    namespace: Option<String>,
    /// Header of every request; may be repeated. Without a value it is taken out
    #[arg(long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
}

/// Flags of `config view`.
#[derive(Args, Clone, Debug)]
pub(crate) struct ViewArgs {
    /// Show the values of headers, too
    #[arg(long)]
    raw: bool,
}

/// Does it.
pub(crate) fn run(arguments: &ConfigArgs, program: &str) -> Result<(), ClientError> {
    let mut file = ContextFile::read(TargetEnvironment::read().context_file.as_deref())?;
    match &arguments.verb {
        ConfigVerb::GetContexts => list(&file, program),
        ConfigVerb::CurrentContext => match file.chosen(None)? {
            Some(context) => output::write(format!("{}\n", context.name)),
            None => Err(none_in_force(program)),
        },
        ConfigVerb::UseContext(ContextName { name }) => {
            file.chosen(Some(name))?;
            file.current_context = Some(name.clone());
            file.write()?;
            output::write(format!("context {name:?} is in force\n"))
        }
        ConfigVerb::SetContext(fields) => set(&mut file, fields),
        ConfigVerb::DeleteContext(ContextName { name }) => {
            file.chosen(Some(name))?;
            file.contexts.retain(|context| context.name != *name);
            file.current_context.take_if(|current| current == name);
            file.write()?;
            output::write(format!("context {name:?} deleted\n"))
        }
        ConfigVerb::View(ViewArgs { raw }) => view(file, *raw),
    }
}

fn none_in_force(program: &str) -> ClientError {
    ClientError::Usage(format!("no context is in force: `{program} config use-context NAME` chooses one"))
}

fn list(file: &ContextFile, program: &str) -> Result<(), ClientError> {
    if file.contexts.is_empty() {
        output::say(&format!(
            "there are no contexts: `{program} config set-context NAME --server URL` makes one"
        ));
        return Ok(());
    }
    let mut table = Table::new(&["CURRENT", "NAME", "SERVER", "CERTIFICATE-AUTHORITY", "HEADERS"]);
    for context in &file.contexts {
        let Context { name, server, cluster, certificate_authority, headers, .. } = context;
        let is_current = file.current_context.as_ref() == Some(name);
        let authority = certificate_authority.as_ref().map(|path| path.display().to_string());
        let place = match (server, cluster) {
            (Some(server), _) => server.clone(),
            (None, Some(cluster)) => format!("cluster {}", cluster.kube_context),
            (None, None) => String::new(),
        };
        table.row(vec![
            if is_current { "*" } else { "" }.into(),
            name.as_str().into(),
            place.into(),
            authority.unwrap_or_default().into(),
            headers.keys().cloned().collect::<Vec<_>>().join(",").into(),
        ]);
    }
    output::write(table.render(false))
}

fn set(file: &mut ContextFile, fields: &SetContextArgs) -> Result<(), ClientError> {
    let name = &fields.context.name;
    let is_new = !file.contexts.iter().any(|context| context.name == *name);
    if name.is_empty() {
        return Err(ClientError::Usage("the name of a context must not be empty".to_owned()));
    }
    let context = file.entry(name);
    set_cluster(context, fields)?;
    if context.server.is_none() && context.cluster.is_none() && fields.server.is_none() {
        return Err(ClientError::Usage(format!(
            "{name:?} is a new context: say where it is with --server URL"
        )));
    }
    if let Some(server) = &fields.server {
        let url: ServerUrl =
            server.parse().map_err(|message| ClientError::Usage(format!("--server {message}")))?;
        context.server = Some(url.to_string());
        context.cluster = None;
    }
    if let Some(path) = &fields.certificate_authority {
        let absolute = std::path::absolute(path);
        let file = |source| ClientError::File { path: path.clone(), verb: "read", source };
        context.certificate_authority = Some(absolute.map_err(file)?);
    }
    for header in &fields.headers {
        let wrong = || {
            // It may be a secret that is not shown.
            ClientError::Usage(
                "--header must be `NAME: VALUE`, with characters that a header may have".to_owned(),
            )
        };
        let (key, value) = header.split_once(':').ok_or_else(wrong)?;
        let value = value.trim();
        let is_valid = hyper::header::HeaderName::try_from(key).is_ok()
            && hyper::header::HeaderValue::try_from(value).is_ok();
        if !is_valid {
            return Err(wrong());
        }
        // Names of headers are the same in any case.
        context.headers.retain(|known, _| !known.eq_ignore_ascii_case(key));
        if !value.is_empty() {
            context.headers.insert(key.to_owned(), value.to_owned());
        }
    }
    file.write()?;
    output::write(format!("context {name:?} {}\n", if is_new { "created" } else { "modified" }))
}

/// Makes the context one of a cluster, where that is asked for.
fn set_cluster(context: &mut Context, fields: &SetContextArgs) -> Result<(), ClientError> {
    refuse_clusters(&[
        ("--kube-context", fields.kube_context.is_some()),
        ("--namespace", fields.namespace.is_some()),
    ])?;
    let before = context.cluster.take();
    let kube_context = fields.kube_context.clone().or(before.as_ref().map(|it| it.kube_context.clone()));
    let namespace = fields.namespace.clone().or(before.and_then(|it| it.namespace));
    if let Some(kube_context) = kube_context {
        context.cluster = Some(ClusterContext { kube_context, namespace });
        context.server = None;
        context.certificate_authority = None;
        context.headers.clear();
    } else if namespace.is_some() {
        return Err(ClientError::Usage(
            "--namespace is for clusters: name one with --kube-context".to_owned(),
        ));
    }
    Ok(())
}

fn view(mut file: ContextFile, is_raw: bool) -> Result<(), ClientError> {
    if !is_raw {
        let values = file.contexts.iter_mut().flat_map(|context| context.headers.values_mut());
        values.for_each(|value| HIDDEN.clone_into(value));
    }
    let yaml = serde_saphyr::to_string(&file)
        .map_err(|error| ClientError::Usage(format!("the contexts cannot be shown: {error}")))?;
    output::write(yaml)
}
