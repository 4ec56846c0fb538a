//! `get`: functions or executions are listed or read.

use clap::Args;
use clap_complete::ArgValueCompleter;

use crate::client_error::ClientError;
use crate::completion;
use crate::execution_pages::{self, ExecutionFilter};
use crate::execution_view::{self, ExecutionView};
use crate::function_calls::{self, FunctionPage};
use crate::function_view::{self, FunctionView};
use crate::ordered_value::OrderedValue;
use crate::output::{self, OutputFormat};
use crate::resource::{ExecutionId, FunctionName, ResourceKind, Resources};
use crate::server_client::{Answer, Call, ServerClient};
use crate::table::Table;
use crate::target::TargetArgs;

/// Flags of `get`.
#[derive(Args, Clone, Debug)]
pub struct GetArgs {
    /// functions or executions, all of them or those with these names or ids
    #[arg(required = true, value_name = "functions|executions [NAME|ID]", add = ArgValueCompleter::new(completion::resources))]
    resource: Vec<String>,
    /// How it is shown
    #[arg(short, long, value_enum, default_value_t, hide_default_value = true)]
    output: OutputFormat,
    /// No line of headings
    #[arg(long)]
    no_headers: bool,
    #[command(flatten)]
    filter: ExecutionFilter,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
}

/// Lists or reads.
pub(crate) async fn run(arguments: &GetArgs, client: &mut ServerClient) -> Result<(), ClientError> {
    match Resources::parse(&arguments.resource)? {
        Resources::Functions(names) => {
            arguments.filter.refuse_for_functions()?;
            functions(arguments, client, &names).await
        }
        Resources::Executions(ids) if ids.is_empty() => {
            let pages = execution_pages::read(client, &arguments.filter).await?;
            let mut executions = Vec::new();
            for page in &pages {
                executions.extend(execution_pages::items(client, page)?);
            }
            show_executions(arguments, client, &executions, false)
        }
        Resources::Executions(ids) => {
            arguments.filter.refuse_for_ids()?;
            let mut answers = Vec::new();
            for id in &ids {
                answers.push(read_execution(client, id).await?);
            }
            let texts = answers.iter().map(|answer| client.read(answer)).collect::<Result<Vec<_>, _>>()?;
            show_executions(arguments, client, &texts, ids.len() == 1)
        }
    }
}

/// `GET /v1/executions/{id}`.
pub(crate) async fn read_execution(
    client: &mut ServerClient,
    id: &ExecutionId,
) -> Result<Answer, ClientError> {
    client.ask(Call::get(format!("/v1/executions/{id}"))).await
}

async fn functions(
    arguments: &GetArgs,
    client: &mut ServerClient,
    names: &[FunctionName],
) -> Result<(), ClientError> {
    let mut answers = Vec::new();
    for name in names {
        answers.push(function_calls::read(client, name).await?);
    }
    let list = if names.is_empty() { Some(function_calls::list(client).await?) } else { None };
    match arguments.output {
        format @ (OutputFormat::Table | OutputFormat::Wide | OutputFormat::Name) => {
            let functions: Vec<FunctionView> = match &list {
                Some(list) => client.read::<FunctionPage<_>>(list)?.functions,
                None => answers.iter().map(|answer| client.read(answer)).collect::<Result<_, _>>()?,
            };
            if format == OutputFormat::Name {
                let names = functions.iter().map(|function| function.name.as_str());
                return write_names(ResourceKind::Function, names);
            }
            let table = function_view::table(&functions, format == OutputFormat::Wide);
            write_table(arguments, client, ResourceKind::Function, functions.is_empty(), &table)
        }
        OutputFormat::Json | OutputFormat::Yaml => {
            let mut functions: Vec<OrderedValue> = match &list {
                Some(list) => client.read::<FunctionPage<_>>(list)?.functions,
                None => answers.iter().map(|answer| client.read(answer)).collect::<Result<_, _>>()?,
            };
            let shown = match functions.pop() {
                Some(function) if functions.is_empty() && names.len() == 1 => {
                    function_view::manifest(function)
                }
                last => {
                    functions.extend(last);
                    function_view::manifest_list(functions)
                }
            };
            if arguments.output == OutputFormat::Json {
                output::write_value_as_json(&shown)
            } else {
                output::write_value_as_yaml(&shown)
            }
        }
    }
}

/// Shows executions, each being its JSON text.
fn show_executions(
    arguments: &GetArgs,
    client: &ServerClient,
    texts: &[&serde_json::value::RawValue],
    is_single: bool,
) -> Result<(), ClientError> {
    let views = || {
        texts
            .iter()
            .map(|text| serde_json::from_str::<ExecutionView<'_>>(text.get()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| ClientError::NotPicofaas {
                server: client.server(),
                what: format!("an execution is not one: {error}"),
            })
    };
    let json = || match texts {
        [text] if is_single => text.get().to_owned(),
        texts => {
            let items: Vec<&str> = texts.iter().map(|text| text.get()).collect();
            format!("{{\"executions\":[{}]}}", items.join(","))
        }
    };
    match arguments.output {
        OutputFormat::Name => {
            write_names(ResourceKind::Execution, views()?.iter().map(|it| it.execution_id.as_str()))
        }
        format @ (OutputFormat::Table | OutputFormat::Wide) => {
            let views = views()?;
            let table = execution_view::table(&views, format == OutputFormat::Wide);
            write_table(arguments, client, ResourceKind::Execution, views.is_empty(), &table)
        }
        OutputFormat::Json => output::write_json(&json()),
        OutputFormat::Yaml => {
            let value: OrderedValue = serde_json::from_str(&json()).map_err(|error| {
                ClientError::Usage(format!("cannot be shown as YAML ({error}); -o json shows it as it is"))
            })?;
            output::write_value_as_yaml(&value)
        }
    }
}

fn write_names<'a>(kind: ResourceKind, names: impl Iterator<Item = &'a str>) -> Result<(), ClientError> {
    let lines: String = names.map(|name| format!("{}/{name}\n", kind.word())).collect();
    output::write(crate::printable::printable(&lines).as_bytes())
}

/// Writes the table; where there is nothing, says so to the person and writes nothing.
fn write_table(
    arguments: &GetArgs,
    client: &ServerClient,
    kind: ResourceKind,
    is_empty: bool,
    table: &Table,
) -> Result<(), ClientError> {
    if is_empty {
        output::say(&format!("there are no {}s on {}", kind.word(), client.server()));
        return Ok(());
    }
    let lines = table.render(output::is_coloured(&std::io::stdout()));
    let rest = lines.split_once('\n').map_or("", |(_, rest)| rest);
    output::write(if arguments.no_headers { rest } else { &lines })
}
