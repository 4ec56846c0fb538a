//! `describe`: all that is known of a function or an execution, for people.

use clap::Args;
use clap_complete::ArgValueCompleter;

use crate::client_error::ClientError;
use crate::completion;
use crate::execution_pages::{self, ExecutionFilter};
use crate::execution_view::{self, ExecutionView};
use crate::function_calls;
use crate::function_view::{FunctionView, shown_count};
use crate::get::read_execution;
use crate::ordered_value::OrderedValue;
use crate::output::{self, Colour};
use crate::printable::{excerpt, printable};
use crate::resource::{ExecutionId, FunctionName, Resources};
use crate::server_client::ServerClient;
use crate::target::TargetArgs;
use crate::trace_bars;

/// Executions that are shown of a function.
const EXECUTIONS: u32 = 5;

/// Characters of an output that are shown.
const OUTPUT_CHARS: usize = 400;

/// Column of the values.
const COLUMN: usize = 14;

/// Fields of a function that have lines of their own, or none.
const SHOWN_APART: [&str; 3] = ["name", "executionMode", "status"];

/// Flags of `describe`.
#[derive(Args, Clone, Debug)]
pub struct DescribeArgs {
    /// function NAME … or execution ID …
    #[arg(required = true, value_name = "function|execution NAME", add = ArgValueCompleter::new(completion::resources))]
    resource: Vec<String>,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
}

/// Describes each in turn.
pub(crate) async fn run(arguments: &DescribeArgs, client: &mut ServerClient) -> Result<(), ClientError> {
    let in_colours = output::is_coloured(&std::io::stdout());
    let mut texts = Vec::new();
    match Resources::parse(&arguments.resource)? {
        Resources::Functions(names) => {
            for name in &names {
                texts.push(function(client, name, in_colours).await?);
            }
        }
        Resources::Executions(ids) => {
            for id in &ids {
                texts.push(execution(client, id, in_colours).await?);
            }
        }
    }
    if texts.is_empty() {
        let message = "name one: `describe function NAME` or `describe execution ID`";
        return Err(ClientError::Usage(message.to_owned()));
    }
    output::write(texts.join("\n\n"))
}

async fn function(
    client: &mut ServerClient,
    name: &FunctionName,
    in_colours: bool,
) -> Result<String, ClientError> {
    let answer = function_calls::read(client, name).await?;
    let view: FunctionView = client.read(&answer)?;
    let fields: OrderedValue = client.read(&answer)?;
    let mut page = DescriptionPage { text: String::new(), in_colours };
    page.line("Name", &view.name);
    page.line("Mode", &view.execution_mode);
    let (standing, colour) = view.standing();
    page.coloured("Status", standing, colour);
    let status = &view.status;
    page.line("Instances", &format!("{} ready of {}", status.ready, status.replicas));
    if let Some(replicas) = &view.replicas {
        page.line("", &format!("{} to {} are kept", replicas.min, replicas.max));
    }
    if let Some(standby) = &status.standby {
        page.line("Standby", &format!("{} ready of {}", standby.ready, standby.target));
    }
    if let Some(bounds) = &view.standby {
        page.line("", &format!("{} to {} are started ahead", bounds.min, bounds.max));
    }
    page.line("Queue", &format!("{} of {} places", shown_count(status.queued), view.queue_size));
    page.line("In flight", &format!("{} of {}", shown_count(status.in_flight), view.concurrency));
    if let Some(tag) = answer.header("etag") {
        page.line("Version", tag.trim_matches('"'));
    }
    page.heading("Conditions");
    for condition in &status.conditions {
        let message =
            if condition.message.is_empty() { String::new() } else { format!(": {}", condition.message) };
        page.indented(&format!("{} {} ({}){message}", condition.r#type, condition.status, condition.reason));
    }
    page.heading("Spec");
    if let OrderedValue::Object(fields) = fields {
        let spec = fields.into_iter().filter(|(key, _)| !SHOWN_APART.contains(&key.as_str())).collect();
        let yaml = serde_saphyr::to_string(&OrderedValue::Object(spec)).unwrap_or_default();
        yaml.lines().for_each(|line| page.indented(line));
    }
    page.heading("Executions");
    match execution_pages::read(client, &ExecutionFilter::newest_of(name, EXECUTIONS)).await {
        Ok(pages) => {
            let mut views: Vec<ExecutionView<'_>> = Vec::new();
            for answer in &pages {
                for text in execution_pages::items(client, answer)? {
                    views.extend(serde_json::from_str::<ExecutionView<'_>>(text.get()));
                }
            }
            if views.is_empty() {
                page.indented("none are kept");
            } else {
                let table = execution_view::table(&views, false).render(in_colours);
                table.lines().for_each(|line| page.indented_as_is(line));
            }
        }
        // A listener that others reach does not list them.
        Err(ClientError::Refused(refusal)) => page.indented(&refusal.error.message),
        Err(other) => return Err(other),
    }
    Ok(page.text)
}

async fn execution(
    client: &mut ServerClient,
    id: &ExecutionId,
    in_colours: bool,
) -> Result<String, ClientError> {
    let answer = read_execution(client, id).await?;
    let view: ExecutionView<'_> = client.read(&answer)?;
    let mut page = DescriptionPage { text: String::new(), in_colours };
    page.line("Id", &view.execution_id);
    page.line("Function", &view.function);
    page.coloured("Status", &view.status, view.colour());
    page.line("Attempts", &view.attempt.to_string());
    page.line("Cold start", if view.cold_start { "yes" } else { "no" });
    page.line("Created", &view.created_at);
    page.line("Started", view.started_at.as_deref().unwrap_or("not yet"));
    page.line("Finished", view.finished_at.as_deref().unwrap_or("not yet"));
    if let Some(stages) = view.stages() {
        page.heading("Stages");
        trace_bars::draw(&stages).lines().for_each(|line| page.indented(line));
    }
    if let Some(error) = &view.error {
        page.line("Error", &format!("{}: {}", error.code, error.message));
    } else if let Some(output) = view.output {
        page.line("Output", &excerpt(output.get(), OUTPUT_CHARS));
    }
    Ok(page.text)
}

/// Lines of `Key:  value`, and lists below a heading.
struct DescriptionPage {
    text: String,
    in_colours: bool,
}

impl DescriptionPage {
    fn line(&mut self, key: &str, value: &str) {
        let key = if key.is_empty() { String::new() } else { format!("{key}:") };
        let line = format!("{key:COLUMN$}{}", printable(value));
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    fn coloured(&mut self, key: &str, value: &str, colour: Colour) {
        let shown = printable(value);
        let shown = if self.in_colours { colour.paint(&shown) } else { shown.into_owned() };
        self.text.push_str(&format!("{:COLUMN$}{shown}\n", format!("{key}:")));
    }

    fn heading(&mut self, heading: &str) {
        self.text.push_str(&format!("{heading}:\n"));
    }

    fn indented(&mut self, line: &str) {
        self.indented_as_is(&printable(line));
    }

    fn indented_as_is(&mut self, line: &str) {
        self.text.push_str(&format!("  {line}\n"));
    }
}
