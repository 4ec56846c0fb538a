//! `logs`: lines that a function wrote, or that were written for an execution.

use clap::{Args, ValueEnum};
use clap_complete::ArgValueCandidates;
use http_body_util::BodyExt;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderValue};

use crate::client_error::ClientError;
use crate::resource::FunctionOrExecution;
use crate::server_client::{Answer, Call, ServerClient, reason_of};
use crate::target::TargetArgs;
use crate::{completion, function_calls, output};

/// Flags of `logs`.
#[derive(Args, Clone, Debug)]
pub struct LogsArgs {
    /// Function or execution, as NAME, ID, function/NAME or execution/ID
    #[arg(value_name = "FUNCTION|EXECUTION", add = ArgValueCandidates::new(completion::functions))]
    of: String,
    /// Go on with what is written later
    #[arg(short, long)]
    follow: bool,
    /// Only so many of the last lines; -1 is all
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(-1..=1_000_000))]
    tail: Option<i64>,
    /// Only lines from then on: a duration until now (30s, 5m, 2h) or a time of RFC 3339
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// How lines are shown
    #[arg(short, long, value_enum, default_value_t)]
    output: LogFormat,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
}

/// How lines are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Time, stream, instance and text
    #[default]
    Text,
    /// A JSON object each
    Json,
}

/// Writes lines as they come.
pub(crate) async fn run(arguments: &LogsArgs, client: &mut ServerClient) -> Result<(), ClientError> {
    let of: FunctionOrExecution = arguments.of.parse()?;
    let path = match &of {
        FunctionOrExecution::Function(name) => function_calls::path(name),
        FunctionOrExecution::Execution(id) => format!("/v1/executions/{id}"),
    };
    let accept = match arguments.output {
        LogFormat::Text => HeaderValue::from_static("text/plain"),
        LogFormat::Json => HeaderValue::from_static("application/x-ndjson"),
    };
    let call = Call::get(format!("{path}/logs{}", query(arguments)?)).header(ACCEPT, accept);
    let opened = client.stream(call).await;
    let response = match &of {
        FunctionOrExecution::Function(name) => function_calls::explained(client, name, opened).await?,
        FunctionOrExecution::Execution(_) => opened?,
    };
    let (head, mut body) = response.into_parts();
    if head.headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html")) {
        let broken = |error: hyper::Error| ClientError::BrokenOff {
            server: client.server(),
            reason: reason_of(&error),
        };
        let body = body.collect().await.map_err(broken)?.to_bytes();
        return Err(client.foreign(&Answer { status: head.status, headers: head.headers, body }));
    }
    while let Some(frame) = body.frame().await {
        let frame = frame
            .map_err(|error| ClientError::BrokenOff { server: client.server(), reason: reason_of(&error) })?;
        if let Ok(data) = frame.into_data() {
            output::write(data)?;
        }
    }
    Ok(())
}

fn query(arguments: &LogsArgs) -> Result<String, ClientError> {
    let mut parameters = Vec::new();
    if let Some(tail) = arguments.tail.filter(|tail| *tail >= 0) {
        parameters.push(format!("tail={tail}"));
    }
    if let Some(since) = &arguments.since {
        // The server says what it may be; here only what can stand in a URL counts.
        if since.is_empty() || !since.chars().all(|c| c.is_ascii_alphanumeric() || "-+:.".contains(c)) {
            return Err(ClientError::Usage(format!(
                "--since {since:?} must be a duration such as 30s, 5m or 2h, or a time such as 2026-03-01T12:00:00Z"
            )));
        }
        parameters.push(format!("since={}", since.replace('+', "%2B")));
    }
    if arguments.follow {
        parameters.push("follow=true".to_owned());
    }
    Ok(if parameters.is_empty() { String::new() } else { format!("?{}", parameters.join("&")) })
}
