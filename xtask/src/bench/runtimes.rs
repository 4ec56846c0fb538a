//! `cargo xtask bench runtimes`: what a runtime costs beside what people use without it.
//!
//! Functions are called directly, with no control plane in between. Each question measures its subjects side by
//! side in interleaved rounds, each of which begins with another one; what is aimed at is a ratio of one round,
//! and its median decides.
//!
//! | file | is |
//! |---|---|
//! | `fixtures` | the programs that are needed: built, installed |
//! | `subject` | what is measured, and how it is started |
//! | `load` | requests per second, latency and CPU time of Python functions under wrk |
//! | `proxy` | the same of the watchdog and of nginx in front of a server |
//! | `start`, `socket` | from the start of a process to its first answer |
//! | `footprint` | memory of idle instances |
//! | `target` | what is aimed at, and whether it was met |

pub(super) mod fixtures;
mod footprint;
mod load;
mod proxy;
mod socket;
mod start;
mod subject;
mod target;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::ValueEnum;
use serde::Serialize;
use serde_json::{Value, json};

use self::fixtures::RuntimeFixtures;
use self::subject::RuntimeSubject;
use self::target::RuntimeTarget;
use super::OTHERS_CPU_PERCENT_MAX;
use super::against::Against;
use super::cpu::MachineCpu;
use super::machine::Machine;
use super::run::Run;
use crate::repository::Repository;
use crate::toolbox::{self, Unavailable};

#[derive(clap::Args, Serialize)]
pub(super) struct RuntimesOptions {
    /// Ask these questions alone
    #[arg(long, value_enum, value_name = "NAME,NAME", value_delimiter = ',')]
    only: Vec<RuntimeQuestion>,
    /// Measure these subjects alone
    #[arg(long, value_enum, value_name = "NAME,NAME", value_delimiter = ',')]
    subjects: Vec<RuntimeSubject>,
    /// Length of one measurement under load
    #[arg(long, value_name = "S", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,
    /// Times everything is measured under load
    #[arg(long, value_name = "R", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Rounds of starts
    #[arg(long, value_name = "R", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    starts: u32,
    /// Measure the Python runtime in this virtual environment's `bin` instead of building the tree's
    #[arg(long, value_name = "FOLDER")]
    python: Option<PathBuf>,
    /// Measure this watchdog instead of building the tree's
    #[arg(long, value_name = "FILE")]
    watchdog_binary: Option<PathBuf>,
    /// Measure this Rust function instead of the runtime's example `echo`
    #[arg(long, value_name = "FILE")]
    function_binary: Option<PathBuf>,
    /// Where to write every measurement [default: bench-results/<time>-runtimes.json]
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    #[serde(skip)]
    against: Against,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum, Serialize)]
#[serde(rename_all = "camelCase")]
enum RuntimeQuestion {
    /// Requests per second and latency of a Python function beside Flask and uvicorn
    Python,
    /// CPU time per request of the watchdog in front of a server beside nginx
    Proxy,
    /// From the start of a process to its first answer
    Start,
    /// Memory of idle instances
    Memory,
}

/// The answer to a question.
struct RuntimeAnswer {
    name: &'static str,
    /// In Markdown.
    tables: String,
    targets: Vec<RuntimeTarget>,
    /// Measurements beside which others were busy, and all.
    disturbed: (usize, usize),
    errors: u64,
    measurements: Value,
}

/// CPU that all others than the subject used meanwhile, in percent of one core.
#[derive(Debug, Serialize)]
struct Disturbance {
    others_cpu_percent: f64,
    /// CPU that the hypervisor took.
    steal_percent: f64,
}

pub(super) fn run(repository: &Repository, options: &RuntimesOptions) -> Result<ExitCode> {
    options.against.refuse(
        "bench runtimes",
        "no picofaas is in it. Run it with --watchdog-binary, --function-binary or --python of the earlier commit too, \
         and compare the ratios",
    )?;
    if let Err(Unavailable(why)) = toolbox::debian_programs(&[toolbox::WRK, toolbox::NGINX]) {
        bail!("{why}");
    }
    // Before anything is built: a compiler's load is no other's load.
    let machine = Machine::read(&[("wrk", "--version"), ("nginx", "-v")])?;
    let fixtures = RuntimeFixtures::assemble(repository, options)?;
    for subject in RuntimeSubject::ALL.into_iter().filter(|subject| fixtures.wanted(*subject)) {
        if let Some(Unavailable(why)) = subject.unavailable(&fixtures) {
            println!("{subject} is not measured: {why}");
        }
    }
    let run = Run::begin(repository, machine)?;

    let asked = |question: &RuntimeQuestion| options.only.is_empty() || options.only.contains(question);
    let mut answers = Vec::new();
    for question in RuntimeQuestion::value_variants().iter().filter(|question| asked(question)) {
        answers.push(match question {
            RuntimeQuestion::Python => load::answer(&fixtures, options)?,
            RuntimeQuestion::Proxy => proxy::answer(&fixtures, options)?,
            RuntimeQuestion::Start => start::answer(&fixtures, options)?,
            RuntimeQuestion::Memory => footprint::answer(&fixtures, options)?,
        });
    }

    let mut targets = Vec::new();
    let mut measurements = serde_json::Map::new();
    let (mut disturbed, mut all, mut errors) = (0, 0, 0);
    println!();
    for answer in answers {
        println!("### {}\n\n{}\n", answer.name, answer.tables.trim_end());
        targets.extend(answer.targets);
        measurements.insert(answer.name.to_owned(), answer.measurements);
        disturbed += answer.disturbed.0;
        all += answer.disturbed.1;
        errors += answer.errors;
    }
    println!(
        "### targets\n\nThe ratio of each round; its median decides.\n\n{}\n",
        target::targets(&targets)
    );
    println!(
        "{}\nNo control plane is in between, so no scheduler policy of picofaas plays a part.",
        run.machine
    );
    for subject in RuntimeSubject::ALL {
        println!("{subject}: {}", subject.what());
    }
    println!("commit: {}", run.commit);
    let results = json!({ "targets": targets, "measurements": measurements });
    run.save(options.json.as_deref(), "-runtimes", options, &results)?;
    if disturbed > 0 {
        println!(
            "warning: DISTURBED: others used more than {OTHERS_CPU_PERCENT_MAX} % of a core during {disturbed} of \
             {all} measurements: repeat on an idle machine before believing a difference"
        );
    }
    if errors > 0 {
        println!("FAILED: {errors} requests were not answered with success");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

impl Disturbance {
    /// Since `before`, when what was measured used `ours_ns`.
    fn of(before: MachineCpu, ours_ns: u64, elapsed: Duration) -> Result<Self> {
        let after = MachineCpu::read()?;
        let percent = |ns: u64| ns as f64 / 1e7 / elapsed.as_secs_f64();
        Ok(Self {
            others_cpu_percent: percent(after.busy_ns.saturating_sub(before.busy_ns + ours_ns)),
            steal_percent: percent(after.steal_ns.saturating_sub(before.steal_ns)),
        })
    }

    /// How many are disturbed, and of how many.
    fn count<'a>(all: impl IntoIterator<Item = &'a Self>) -> (usize, usize) {
        all.into_iter().fold((0, 0), |(disturbed, count), one| {
            (disturbed + usize::from(one.others_cpu_percent > OTHERS_CPU_PERCENT_MAX), count + 1)
        })
    }
}
