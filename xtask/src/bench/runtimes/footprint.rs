//! Memory of an instance that nobody calls.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::fixtures::RuntimeFixtures;
use super::socket::Place;
use super::subject::{Address, RuntimeSubject};
use super::{RuntimeAnswer, RuntimesOptions};
use crate::bench::cpu::tree;
use crate::bench::memory::{proportional_kib, resident_kib};
use crate::bench::report::{Spread, markdown_table};
use crate::wait::let_pass;

/// Calls after which an instance counts as one that has worked.
const CALLS: u32 = 100;
/// Instances of each subject that are looked at.
const ROUNDS: u32 = 3;
/// Before memory is looked at: what goes on after an answer has settled by then.
const REST: Duration = Duration::from_millis(300);

#[derive(Debug, Serialize)]
struct MemoryMeasurement {
    subject: RuntimeSubject,
    /// From 1.
    round: u32,
    processes: usize,
    /// The sum of what `VmRSS` says of each process, after the first answer.
    resident_kib: u64,
    /// The same after [`CALLS`] more.
    resident_worked_kib: u64,
    /// Then, with shared pages counted once.
    proportional_kib: u64,
}

pub(super) fn answer(fixtures: &RuntimeFixtures, _options: &RuntimesOptions) -> Result<RuntimeAnswer> {
    let subjects = fixtures.available(&RuntimeSubject::ALL);
    let mut measurements = Vec::new();
    for round in 1..=ROUNDS {
        for &subject in &subjects {
            let measurement = measure(fixtures, subject, round).with_context(|| subject.name())?;
            println!(
                "round {round}, memory of {subject}: {} KiB, {} KiB after {CALLS} calls",
                measurement.resident_kib, measurement.resident_worked_kib
            );
            measurements.push(measurement);
        }
    }
    Ok(RuntimeAnswer {
        name: "memory",
        tables: report(&subjects, &measurements),
        targets: Vec::new(),
        disturbed: (0, 0),
        errors: 0,
        measurements: serde_json::to_value(&measurements)?,
    })
}

fn measure(fixtures: &RuntimeFixtures, subject: RuntimeSubject, round: u32) -> Result<MemoryMeasurement> {
    let place = Place::new(&fixtures.folder, "memory")?;
    let mut command = subject.command(fixtures, Address::Socket(place.socket()))?;
    let (mut instance, _) = place.start(&mut command)?;
    let sum =
        |figure: fn(u32) -> Result<u64>, id: u32| -> Result<u64> { tree(id)?.into_iter().map(figure).sum() };
    let_pass(REST);
    let resident = sum(resident_kib, instance.id())?;
    for _ in 0..CALLS {
        instance.call()?;
    }
    let_pass(REST);
    Ok(MemoryMeasurement {
        subject,
        round,
        processes: tree(instance.id())?.len(),
        resident_kib: resident,
        resident_worked_kib: sum(resident_kib, instance.id())?,
        proportional_kib: sum(proportional_kib, instance.id())?,
    })
}

fn report(subjects: &[RuntimeSubject], measurements: &[MemoryMeasurement]) -> String {
    let calls = format!("after {CALLS} calls, MiB");
    let mut table = markdown_table(&["memory", "processes", "VmRSS, MiB", &calls, "of it its share, MiB"]);
    for &subject in subjects {
        let spread = |figure: fn(&MemoryMeasurement) -> u64| {
            let of = measurements.iter().filter(|measurement| measurement.subject == subject);
            format!("{:.1}", Spread::of(of.map(|m| figure(m) as f64 / 1024.0).collect()))
        };
        let processes = measurements.iter().filter(|m| m.subject == subject).map(|m| m.processes).max();
        table.add_row([
            subject.name().to_owned(),
            processes.unwrap_or_default().to_string(),
            spread(|m| m.resident_kib),
            spread(|m| m.resident_worked_kib),
            spread(|m| m.proportional_kib),
        ]);
    }
    format!(
        "Resident memory of an instance that is idle, the sum over its processes, after its first answer and \
         after {CALLS} more: median (min..max) of {ROUNDS} instances. The last column counts a page that \
         processes share once (`Pss`).\n\n{table}\n"
    )
}
