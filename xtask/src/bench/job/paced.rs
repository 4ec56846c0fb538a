//! Calls at an even pace: a fresh process ahead of each call beside the warm process of the same function.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use serde::Serialize;
use serde_json::{Value, json};

use super::{quantile, sorted_us};
use crate::bench::report::{Spread, table};
use crate::bench::server::Server;
use crate::bench::wire::Wire;
use crate::http;
use crate::toolbox::{self, Unavailable};
use crate::wait::{Stopwatch, let_pass};

/// Calls in a second.
const RATE: u32 = 20;
/// The p50 of a standby call ÷ that of a warm one: what is aimed at.
const RATIO_MAX: f64 = 1.5;
/// Instances ahead, of which a call takes one.
const AHEAD: u32 = 4;
/// Calls before a measurement.
const WARM_UP_CALLS: u32 = 10;

/// The program of both functions of a pair.
#[derive(Debug)]
pub(super) struct PacedProgram<'a> {
    /// Its language.
    pub name: &'static str,
    /// `local` of its functions.
    pub local: Value,
    /// `env` of its functions.
    pub env: Value,
    /// Body of each call.
    pub body: &'a str,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
enum PacedSubject {
    Warm,
    Standby,
}

impl PacedSubject {
    fn function(self, program: &str) -> String {
        match self {
            Self::Warm => format!("{program}-warm"),
            Self::Standby => format!("{program}-standby"),
        }
    }
}

/// One subject in one round; times in microseconds.
#[derive(Debug, Serialize)]
pub(super) struct PacedMeasurement {
    program: &'static str,
    subject: PacedSubject,
    /// From 1.
    round: u32,
    calls: usize,
    p50_us: f64,
    p99_us: f64,
    /// Calls that found an instance ready; of the standby function alone.
    found_ready: Option<u64>,
}

impl<'a> PacedProgram<'a> {
    /// The runtime's example `echo`, or another program that gives back its input.
    pub(super) fn rust(function: &Path, body: &'a str) -> Self {
        Self { name: "rust", local: json!({ "command": [function] }), env: json!([]), body }
    }

    /// A handler in Python behind the watchdog in the program that serves. It has a virtual environment of its own, as
    /// most have: what a machine loads into every interpreter of its own is no part of a start.
    pub(super) fn python(folder: &Path, body: &'a str) -> Result<Self> {
        let folder = folder.join("python");
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("app.py"), "def handle(input):\n    return input\n")
            .with_context(|| format!("cannot write into {}", folder.display()))?;
        let local = json!({ "command": ["picofaas", "watchdog", "python"], "directory": folder });
        toolbox::python_environment(&folder.join(".venv")).map_err(|Unavailable(why)| anyhow!(why))?;
        Ok(Self { name: "python", local, env: json!([{ "name": "HANDLER", "value": "app:handle" }]), body })
    }
}

/// Measures both functions of each program in turns.
pub(super) fn measure(
    server: &Server,
    programs: &[PacedProgram<'_>],
    rounds: u32,
    seconds: u32,
) -> Result<Vec<PacedMeasurement>> {
    for program in programs {
        for subject in [PacedSubject::Warm, PacedSubject::Standby] {
            register(server, program, subject)?;
        }
    }
    let mut wire = Wire::connect(server.port)?;
    let mut measurements = Vec::new();
    for round in 1..=rounds {
        for program in programs {
            let mut subjects = [PacedSubject::Warm, PacedSubject::Standby];
            if round % 2 == 0 {
                subjects.reverse();
            }
            for subject in subjects {
                let one = measure_one(server, &mut wire, program, subject, round, seconds)?;
                println!(
                    "round {round}, {RATE} calls/s, {}: p50 {:.0} µs, p99 {:.0} µs",
                    subject.function(program.name),
                    one.p50_us,
                    one.p99_us
                );
                measurements.push(one);
            }
        }
    }
    Ok(measurements)
}

fn register(server: &Server, program: &PacedProgram<'_>, subject: PacedSubject) -> Result<()> {
    let name = subject.function(program.name);
    let mut function = json!({
        "name": name, "local": program.local, "env": program.env, "concurrency": 8, "maxRetries": 0,
    });
    match subject {
        PacedSubject::Warm => {
            function["executionMode"] = "WARM".into();
            function["replicas"] = json!({ "min": 1, "max": 1 });
        }
        PacedSubject::Standby => {
            function["executionMode"] = "JOB".into();
            function["standby"] = json!({ "min": AHEAD, "max": 2 * AHEAD });
        }
    }
    server.register(&function)
}

fn measure_one(
    server: &Server,
    wire: &mut Wire,
    program: &PacedProgram<'_>,
    subject: PacedSubject,
    round: u32,
    seconds: u32,
) -> Result<PacedMeasurement> {
    let function = subject.function(program.name);
    let request = format!("POST /v1/functions/{function}:invoke");
    let pace = Duration::from_secs(1) / RATE;
    let mut times = Vec::new();
    let mut before = 0;
    let watch = Stopwatch::start();
    for nth in 0..WARM_UP_CALLS + RATE * seconds {
        if nth == WARM_UP_CALLS {
            before = taken(server, &function)?;
        }
        let_pass((pace * nth).saturating_sub(watch.elapsed()));
        let call = Stopwatch::start();
        let (status, answer) = wire.ask(&request, program.body)?;
        let took = call.elapsed();
        ensure!(status == 200, "{function}: {status} {}", String::from_utf8_lossy(&answer));
        if nth >= WARM_UP_CALLS {
            times.push(took);
        }
    }
    let found_ready = match subject {
        PacedSubject::Warm => None,
        PacedSubject::Standby => Some(taken(server, &function)? - before),
    };
    let calls = times.len();
    let sorted = sorted_us(times.into_iter());
    let (p50_us, p99_us) = (quantile(&sorted, 50), quantile(&sorted, 99));
    Ok(PacedMeasurement { program: program.name, subject, round, calls, p50_us, p99_us, found_ready })
}

/// Calls of a function that found an instance ready, since it was registered; 0 where it has none ahead.
fn taken(server: &Server, function: &str) -> Result<u64> {
    let answer = http::request(server.management_port, "GET", "/metrics", &[], "")?;
    let text = String::from_utf8(answer.body).context("the metrics are not text")?;
    let series = format!("picofaas_function_standby_taken_total{{function=\"{function}\"}} ");
    let value = text.lines().find_map(|line| line.strip_prefix(&series));
    value.map_or(Ok(0), |value| value.parse().context("a count is no number"))
}

/// Tables of the figures and of their ratios.
pub(super) fn report(measurements: &[PacedMeasurement]) -> String {
    let mut figures = table(&["function", "p50 µs", "p99 µs", "found one ready"]);
    let mut ratios = table(&["", "p50, standby ÷ warm", "p99, standby ÷ warm"]);
    let mut programs: Vec<&str> = measurements.iter().map(|m| m.program).collect();
    programs.dedup();
    programs.sort_unstable();
    programs.dedup();
    for program in programs {
        let of = |subject: PacedSubject| -> Vec<&PacedMeasurement> {
            measurements.iter().filter(|m| m.program == program && m.subject == subject).collect()
        };
        for subject in [PacedSubject::Warm, PacedSubject::Standby] {
            let rows = of(subject);
            let spread = |figure: fn(&PacedMeasurement) -> f64| {
                format!("{:.0}", Spread::of(rows.iter().map(|m| figure(m)).collect()))
            };
            let found: u64 = rows.iter().filter_map(|m| m.found_ready).sum();
            let calls: usize = rows.iter().map(|m| m.calls).sum();
            let found = match subject {
                PacedSubject::Warm => String::new(),
                PacedSubject::Standby => format!("{found} of {calls}"),
            };
            figures.add_row([subject.function(program), spread(|m| m.p50_us), spread(|m| m.p99_us), found]);
        }
        let (warm, standby) = (of(PacedSubject::Warm), of(PacedSubject::Standby));
        let ratio = |figure: fn(&PacedMeasurement) -> f64| {
            let pairs = standby.iter().zip(&warm);
            format!("{:.2}", Spread::of(pairs.map(|(one, other)| figure(one) / figure(other)).collect()))
        };
        ratios.add_row([program.to_owned(), ratio(|m| m.p50_us), ratio(|m| m.p99_us)]);
    }
    format!(
        "{RATE} calls/s, one after the other; median (min..max) over the rounds\n{figures}\n\n\
         ratios of each round; aimed at: a p50 of at most {RATIO_MAX}\n{ratios}\n"
    )
}
