//! `invoke`: a function is called, and its output alone goes to standard output.

use std::time::Duration;

use clap::Args;
use clap_complete::ArgValueCandidates;
use hyper::Method;
use hyper::header::{HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::client_error::ClientError;
use crate::execution_view::ExecutionErrorView;
use crate::failed_execution::{Blame, FailedExecution};
use crate::input::InputArgs;
use crate::output;
use crate::progress::while_waiting;
use crate::resource::FunctionName;
use crate::server_client::{Answer, Call, ServerClient};
use crate::target::TargetArgs;
use crate::{completion, duration, function_calls, trace_bars};

/// The longest that a server lets an `:invoke` take.
const INVOKE_TIME_MAX: Duration = Duration::from_secs(300);

/// Time for the answer to come, beyond the time of the invocation itself.
const ANSWER_TIME: Duration = Duration::from_secs(5);

const TIMEOUT: HeaderName = HeaderName::from_static("x-timeout-ms");
const KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Flags of `invoke`.
#[derive(Args, Clone, Debug)]
pub struct InvokeArgs {
    #[command(flatten)]
    invocation: InvocationArgs,
    /// Show on standard error where the time went
    #[arg(long)]
    trace: bool,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
}

/// A function, its input and its conditions.
#[derive(Args, Clone, Debug)]
pub(crate) struct InvocationArgs {
    /// Function to call
    #[arg(add = ArgValueCandidates::new(completion::functions))]
    function: String,
    #[command(flatten)]
    input: InputArgs,
    /// Longest time, such as 500ms, 30s or 5m; else the function's own
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    timeout: Option<Duration>,
    /// Key that stands for this invocation: the same key again is not another one
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
}

/// A function's name and the call that invokes or enqueues it.
pub(crate) struct Invocation {
    /// Name of the function.
    pub function: FunctionName,
    /// The call.
    pub call: Call,
}

impl InvocationArgs {
    /// The call, whose path ends with a verb.
    ///
    /// # Errors
    /// A name, an input or a key that is none.
    pub(crate) fn call(&self, verb: &str) -> Result<Invocation, ClientError> {
        let function: FunctionName = self.function.parse()?;
        let path = format!("{}:{verb}", function_calls::path(&function));
        let mut call = Call::new(Method::POST, path).json(self.input.body()?);
        if let Some(timeout) = self.timeout {
            let ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
            call = call.header(TIMEOUT, HeaderValue::from(ms));
        }
        if let Some(key) = &self.idempotency_key {
            let value = HeaderValue::try_from(key)
                .map_err(|_| ClientError::Usage("--idempotency-key must be visible characters".to_owned()))?;
            call = call.header(KEY, value);
        }
        Ok(Invocation { function, call })
    }
}

/// Invokes, and writes the output.
pub(crate) async fn run(arguments: &InvokeArgs, client: &mut ServerClient) -> Result<(), ClientError> {
    let Invocation { function, call } = arguments.invocation.call("invoke")?;
    let limit = arguments.invocation.timeout.unwrap_or(INVOKE_TIME_MAX).saturating_add(ANSWER_TIME);
    let invoked = client.call(call.within(Some(limit)));
    let answer = while_waiting(&format!("waiting for {function}"), invoked).await?;
    if arguments.trace {
        output::say(trace(&answer).trim_end());
    }
    if answer.status.is_success() {
        return write_output(client, &answer);
    }
    let failed = failure(client, &function, &answer);
    function_calls::explained(client, &function, Err(failed)).await
}

/// Writes the output as it came, and a line break.
fn write_output(client: &ServerClient, answer: &Answer) -> Result<(), ClientError> {
    #[derive(Deserialize)]
    struct Success<'a> {
        #[serde(borrow)]
        output: &'a RawValue,
    }
    let Success { output } = client.read(answer)?;
    output::write(output.get())?;
    output::write("\n")
}

/// The end of an execution, or a refusal.
fn failure(client: &ServerClient, function: &FunctionName, answer: &Answer) -> ClientError {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Failure {
        execution_id: String,
        error: ExecutionErrorView,
    }
    let Ok(Failure { execution_id, error }) = serde_json::from_slice(&answer.body) else {
        return client.refused(answer);
    };
    ClientError::Failed(FailedExecution {
        function: function.as_str().to_owned(),
        id: execution_id,
        blame: Blame::of_answer(answer.status.as_u16(), answer.header("x-error-source")),
        code: error.code,
        message: error.message,
    })
}

/// The receipt of an answer, drawn.
fn trace(answer: &Answer) -> String {
    let stages = trace_bars::parse(answer.header("server-timing").unwrap_or_default());
    let mut lines = if stages.is_empty() {
        "the answer has no Server-Timing, so nothing is known of its stages\n".to_owned()
    } else {
        trace_bars::draw(&stages)
    };
    if let Some(id) = answer.header("x-execution-id") {
        let attempts = match answer.header("x-attempts") {
            None => String::new(),
            Some("1") => ", 1 attempt".to_owned(),
            Some(attempts) => format!(", {attempts} attempts"),
        };
        let cold = if answer.header("x-cold-start").is_some() { ", cold start" } else { "" };
        let replayed = if answer.header("idempotency-replayed").is_some() { ", answered before" } else { "" };
        lines.push_str(&format!("execution {id}{attempts}{cold}{replayed}\n"));
    }
    crate::printable::printable(&lines).into_owned()
}
