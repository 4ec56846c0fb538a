//! `top`: rates and times of functions, again and again on a terminal.

use std::io::IsTerminal;
use std::time::Duration;

use clap::Args;
use clap_complete::ArgValueCandidates;
use hyper::StatusCode;
use tokio::time::{Instant, sleep_until};

use crate::client_error::ClientError;
use crate::completion;
use crate::duration::{self, of_ns};
use crate::function_calls::{self, FunctionPage};
use crate::function_view::{FunctionView, shown_count};
use crate::metrics::{FunctionReading, MetricsReading};
use crate::output::{self, Colour};
use crate::resource::FunctionName;
use crate::server_client::{Call, ServerClient};
use crate::table::{Cell, Table};
use crate::target::{DEFAULT_OPERATORS, Target, TargetArgs};

const HEADINGS: [&str; 8] = ["FUNCTION", "RATE/S", "FAILED/S", "IN-FLIGHT", "QUEUED", "READY", "P50", "P99"];

/// Flags of `top`.
#[derive(Args, Clone, Debug)]
pub struct TopArgs {
    /// Only these functions
    #[arg(value_name = "FUNCTION", add = ArgValueCandidates::new(completion::functions))]
    functions: Vec<String>,
    /// Time that rates are taken over, and between two tables on a terminal
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration::parse)]
    interval: Duration,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
}

/// A reading and when it was made.
struct TimedReading {
    at: Instant,
    reading: MetricsReading,
}

/// Writes the table: once, or on a terminal until it is interrupted.
pub(crate) async fn run(arguments: &TopArgs, target: &Target) -> Result<(), ClientError> {
    let wanted: Vec<FunctionName> =
        arguments.functions.iter().map(|name| name.parse()).collect::<Result<_, _>>()?;
    let mut client = ServerClient::new(target);
    for name in &wanted {
        function_calls::read(&mut client, name).await?;
    }
    let is_live = std::io::stdout().is_terminal();
    let Some((mut operators, mut before)) = metrics_of(target).await? else {
        output::say(&format!(
            "{} has no metrics, so that rates and times are missing: name the listener of operators with --server, \
             as in {DEFAULT_OPERATORS}",
            client.server()
        ));
        return without_metrics(&mut client, &wanted, is_live, arguments.interval).await;
    };
    loop {
        sleep_until(before.at + arguments.interval).await;
        let Some(now) = read(&mut operators).await? else { return Ok(()) };
        show(&table(&wanted, &before, &now), is_live)?;
        if !is_live {
            return Ok(());
        }
        before = now;
    }
}

/// A client of the listener that has metrics, and its first reading; `None` where nobody knows one.
async fn metrics_of(target: &Target) -> Result<Option<(ServerClient, TimedReading)>, ClientError> {
    let mut client = ServerClient::new(target);
    if let Some(reading) = read(&mut client).await? {
        return Ok(Some((client, reading)));
    }
    let Some(operators) = target.default_operators() else { return Ok(None) };
    let mut client = ServerClient::new(&operators);
    match read(&mut client).await {
        Ok(reading) => Ok(reading.map(|reading| (client, reading))),
        // It may listen elsewhere, or not at all.
        Err(ClientError::NoServer { .. }) => Ok(None),
        Err(other) => Err(other),
    }
}

/// `None` where the listener has no metrics.
async fn read(client: &mut ServerClient) -> Result<Option<TimedReading>, ClientError> {
    let answer = client.call(Call::get("/metrics")).await?;
    let at = Instant::now();
    if answer.status == StatusCode::NOT_FOUND {
        return Ok(None);
    }
    if !answer.status.is_success() {
        return Err(client.refused(&answer));
    }
    let reading = MetricsReading::parse(&String::from_utf8_lossy(&answer.body));
    Ok(Some(TimedReading { at, reading: reading.ok_or_else(|| client.foreign(&answer))? }))
}

fn table(wanted: &[FunctionName], before: &TimedReading, now: &TimedReading) -> Table {
    let seconds = now.at.saturating_duration_since(before.at).as_secs_f64();
    let mut table = Table::new(&HEADINGS);
    for (name, function) in &now.reading.functions {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted.as_str() == name) {
            table.row(row(name, function, before.reading.functions.get(name), seconds));
        }
    }
    table
}

fn row(name: &str, now: &FunctionReading, before: Option<&FunctionReading>, seconds: f64) -> Vec<Cell> {
    let none = FunctionReading::default();
    let since = before.unwrap_or(&none);
    // A process that was started again begins with zeros.
    let rate = |now: f64, before: f64| format!("{:.1}", (now - before).max(0.0) / seconds);
    let time = |share| now.latency_s(before, share).map_or_else(|| "-".to_owned(), shown);
    let failing = now.failed > since.failed;
    vec![
        name.into(),
        rate(now.ended, since.ended).into(),
        Cell::coloured(rate(now.failed, since.failed), failing.then_some(Colour::Red)),
        now.in_flight.to_string().into(),
        now.queued.to_string().into(),
        format!("{}/{}", now.ready, now.replicas).into(),
        time(0.5).into(),
        time(0.99).into(),
    ]
}

fn shown(seconds: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a time is not negative, and the largest bound is 300 s"
    )]
    let ns = (seconds * 1e9) as u64;
    of_ns(ns)
}

/// The same of what the functions themselves say.
async fn without_metrics(
    client: &mut ServerClient,
    wanted: &[FunctionName],
    is_live: bool,
    interval: Duration,
) -> Result<(), ClientError> {
    loop {
        let at = Instant::now();
        let answer = function_calls::list(client).await?;
        let page: FunctionPage<FunctionView> = client.read(&answer)?;
        let mut table = Table::new(&HEADINGS);
        for FunctionView { name, status, .. } in &page.functions {
            if wanted.is_empty() || wanted.iter().any(|wanted| wanted.as_str() == name) {
                table.row(vec![
                    name.as_str().into(),
                    "-".into(),
                    "-".into(),
                    shown_count(status.in_flight).into(),
                    shown_count(status.queued).into(),
                    format!("{}/{}", status.ready, status.replicas).into(),
                    "-".into(),
                    "-".into(),
                ]);
            }
        }
        show(&table, is_live)?;
        if !is_live {
            return Ok(());
        }
        sleep_until(at + interval).await;
    }
}

fn show(table: &Table, is_live: bool) -> Result<(), ClientError> {
    let lines = table.render(output::is_coloured(&std::io::stdout()));
    // From the upper left corner over what was there.
    if is_live { output::write(format!("\u{1b}[H\u{1b}[J{lines}")) } else { output::write(lines) }
}
