//! From the start of a process to its first answer.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;
use serde_json::json;

use super::fixtures::RuntimeFixtures;
use super::socket::Place;
use super::subject::{Address, RuntimeSubject};
use super::target::{Bound, RuntimeTarget};
use super::{Disturbance, RuntimeAnswer, RuntimesOptions};
use crate::bench::cpu::{MachineCpu, ours_and_childrens_ns};
use crate::bench::report::{Spread, markdown_table};
use crate::wait::Stopwatch;

/// Times something that takes a millisecond is measured in a round, for the median of these.
const REPEATS: usize = 9;

/// Events that this question measures.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
enum Event {
    /// A process of a subject is made, until it has answered.
    Start(RuntimeSubject),
    /// A static program that does nothing is started and waited for.
    Noop,
    /// One call of an instance of a subject that runs, on a connection that is open.
    Call(RuntimeSubject),
    /// `python3 -c pass` is started and waited for.
    Pass,
}

/// The median of one event in one round.
#[derive(Debug, Serialize)]
struct StartMeasurement {
    event: Event,
    /// From 1.
    round: u32,
    ms: f64,
}

impl Event {
    fn name(self) -> String {
        match self {
            Self::Start(subject) => subject.name().to_owned(),
            Self::Noop => "static no-op".to_owned(),
            Self::Call(subject) => format!("warm call, {}", subject.name()),
            Self::Pass => "python3 -c pass".to_owned(),
        }
    }

    /// How often it is repeated within a round. An event that takes long is not.
    fn repeats(self) -> usize {
        match self {
            Self::Start(RuntimeSubject::Rust | RuntimeSubject::Shell | RuntimeSubject::Http) | Self::Noop => {
                REPEATS
            }
            Self::Call(_) => 10 * REPEATS,
            Self::Start(RuntimeSubject::Python) | Self::Pass => 3,
            Self::Start(
                RuntimeSubject::Java
                | RuntimeSubject::JavaWithoutArchive
                | RuntimeSubject::Flask
                | RuntimeSubject::Uvicorn,
            ) => 1,
        }
    }
}

pub(super) fn answer(fixtures: &RuntimeFixtures, options: &RuntimesOptions) -> Result<RuntimeAnswer> {
    let mut events: Vec<Event> =
        fixtures.available(&RuntimeSubject::ALL).into_iter().map(Event::Start).collect();
    events.extend([Event::Noop, Event::Call(RuntimeSubject::Rust), Event::Call(RuntimeSubject::Shell)]);
    if let Ok(programs) = &fixtures.python {
        is_no_script(&programs.join("python3"))?;
        events.push(Event::Pass);
    }
    let (mut measurements, mut disturbances) = (Vec::new(), Vec::new());
    for round in 1..=options.starts {
        let (machine_before, ours_before) = (MachineCpu::read()?, ours_and_childrens_ns()?);
        let watch = Stopwatch::start();
        let mut order = events.clone();
        order.rotate_left((round as usize - 1) % events.len());
        for event in order {
            let measurement = measure(fixtures, event, round).with_context(|| event.name())?;
            measurements.push(measurement);
        }
        // Every process of the round has been waited for.
        let ours_ns = ours_and_childrens_ns()?.saturating_sub(ours_before);
        disturbances.push(Disturbance::of(machine_before, ours_ns, watch.elapsed())?);
        println!("round {round} of starts: {}", line(&measurements, round));
    }
    Ok(RuntimeAnswer {
        name: "start",
        tables: report(&events, &measurements),
        targets: targets(&measurements),
        disturbed: Disturbance::count(&disturbances),
        errors: 0,
        measurements: json!({ "medians": measurements, "rounds": disturbances }),
    })
}

fn measure(fixtures: &RuntimeFixtures, event: Event, round: u32) -> Result<StartMeasurement> {
    let place = Place::new(&fixtures.folder, "start")?;
    let mut times = Vec::new();
    match event {
        Event::Start(subject) => {
            for _ in 0..event.repeats() {
                let mut command = subject.command(fixtures, Address::Socket(place.socket()))?;
                let (instance, took) = place.start(&mut command)?;
                drop(instance);
                times.push(took);
            }
        }
        Event::Noop => {
            for _ in 0..event.repeats() {
                times.push(run(Command::new(&fixtures.noop))?);
            }
        }
        Event::Pass => {
            for _ in 0..event.repeats() {
                let python = fixtures.python.as_ref().ok().context("the Python runtime is not there")?;
                let mut command = Command::new(python.join("python3"));
                command.args(["-c", "pass"]);
                times.push(run(command)?);
            }
        }
        Event::Call(subject) => {
            let mut command = subject.command(fixtures, Address::Socket(place.socket()))?;
            let (mut instance, _) = place.start(&mut command)?;
            for _ in 0..event.repeats() {
                let watch = Stopwatch::start();
                instance.call()?;
                times.push(watch.elapsed());
            }
        }
    }
    let times = times.iter().map(|time| time.as_secs_f64() * 1e3).collect();
    let ms = Spread::of(times).median().context("nothing was measured")?;
    Ok(StartMeasurement { event, round, ms })
}

/// Starts a program and waits for its end.
fn run(mut command: Command) -> Result<Duration> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let began = Stopwatch::start();
    let status = command.status().with_context(|| format!("cannot run {:?}", command.get_program()))?;
    let took = began.elapsed();
    ensure!(status.success(), "{:?} ended with {status}", command.get_program());
    Ok(took)
}

/// A script in front of the interpreter, as some version managers put there, takes longer than it.
fn is_no_script(program: &Path) -> Result<()> {
    let bytes = std::fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
    ensure!(
        bytes.starts_with(b"\x7fELF"),
        "{} is no program but a script in front of one",
        program.display()
    );
    Ok(())
}

fn of(measurements: &[StartMeasurement], event: Event) -> BTreeMap<u32, f64> {
    measurements.iter().filter(|m| m.event == event).map(|m| (m.round, m.ms)).collect()
}

fn line(measurements: &[StartMeasurement], round: u32) -> String {
    let mut parts: Vec<String> = measurements
        .iter()
        .filter(|m| m.round == round)
        .map(|m| format!("{} {:.2} ms", m.event.name(), m.ms))
        .collect();
    parts.sort();
    parts.join(", ")
}

fn targets(measurements: &[StartMeasurement]) -> Vec<RuntimeTarget> {
    let of = |event| of(measurements, event);
    let (noop, pass) = (of(Event::Noop), of(Event::Pass));
    let spawn_and_call = |subject| -> BTreeMap<u32, f64> {
        let call = of(Event::Call(subject));
        noop.iter().filter_map(|(round, ms)| Some((*round, ms + call.get(round)?))).collect()
    };
    let target = |what, subject, base: &BTreeMap<u32, f64>, most| {
        let starts = of(Event::Start(subject));
        let ratios = starts.iter().filter_map(|(round, ms)| Some(ms / base.get(round)?)).collect();
        RuntimeTarget { what, bound: Bound::AtMost(most), ratios }
    };
    vec![
        target(
            "start, rust ÷ (static no-op + its warm call)",
            RuntimeSubject::Rust,
            &spawn_and_call(RuntimeSubject::Rust),
            3.0,
        ),
        target(
            "start, watchdog + sh ÷ (static no-op + its warm call)",
            RuntimeSubject::Shell,
            &spawn_and_call(RuntimeSubject::Shell),
            3.0,
        ),
        target("start, python ÷ python3 -c pass", RuntimeSubject::Python, &pass, 3.0),
        target(
            "start, java with its archive ÷ without",
            RuntimeSubject::Java,
            &of(Event::Start(RuntimeSubject::JavaWithoutArchive)),
            0.6,
        ),
    ]
}

fn report(events: &[Event], measurements: &[StartMeasurement]) -> String {
    let mut table = markdown_table(&["start to first answer", "ms"]);
    for event in events {
        let spread = Spread::of(of(measurements, *event).into_values().collect());
        table.add_row([event.name(), format!("{spread:.2}")]);
    }
    format!(
        "From just before the process is made until its first `POST /invoke` was answered over its Unix socket: \
         median (min..max) over the rounds, of the median in each. The kernel says \
         when the socket appears, and from then on it is connected to without a pause.\n\n\
         - **static no-op**: a statically linked program that does nothing, started and waited for.\n\
         - **warm call**: one `POST /invoke` to an instance that runs, on a Unix connection that is open; with \
         the watchdog in `stdio` it holds the start and the end of a shell.\n\
         - **python3 -c pass**: the interpreter of the environment that the Python runtime is in, started and \
         waited for.\n\n{table}\n"
    )
}
