//! `cargo xtask flame`: where the CPU time of picofaas goes under a load, as a flame graph with its figures.
//!
//! The release build that `cargo xtask bench` measures is put under load by wrk and recorded by perf. Its stages
//! come from the times that it keeps of each execution. All goes into a dated folder of `flamegraphs/`, to which
//! the person who looked at it adds the verdict.
//!
//! | file | holds |
//! |---|---|
//! | `flame_load` | the loads |
//! | `recording` | perf, and the programs that fold and draw |
//! | `shares` | folded stacks, counted by thread, system call and part |
//! | `stages` | percentiles of the stages of executions |

mod flame_load;
mod recording;
mod shares;
mod stages;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, anyhow, ensure};

use self::flame_load::{FUNCTION, FlameLoad};
use self::recording::{Drawer, Recording, SampledEvent};
use self::shares::Shares;
use self::stages::Stages;
use crate::bench::OTHERS_CPU_PERCENT_MAX;
use crate::bench::build;
use crate::bench::cpu::{self, MachineCpu, Snapshot};
use crate::bench::machine::Machine;
use crate::bench::server::Server;
use crate::bench::wrk::{Load, WrkResult};
use crate::repository::{self, Repository};
use crate::toolbox::{self, Unavailable};
use crate::wait::Stopwatch;

const WARM_UP_SECONDS: u32 = 2;

/// Load goes on for so much longer than the recording, which takes a moment to begin.
const MARGIN_SECONDS: u32 = 1;

#[derive(clap::Args)]
pub(crate) struct FlameOptions {
    /// The load
    #[arg(value_enum)]
    load: FlameLoad,
    /// Length of the recording
    #[arg(long, value_name = "S", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// Connections of wrk [default: 32 for invoke, 8 for enqueue, 4 for job]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    connections: Option<u32>,
    /// Scheduler policy of picofaas: spin, adaptive, park or auto
    #[arg(long, value_name = "POLICY", default_value = "adaptive")]
    scheduler: String,
    /// Samples per second of CPU time
    #[arg(long, value_name = "HZ", default_value_t = 997, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    frequency: u32,
    /// Folder to make for the graph and its page [default: flamegraphs/<date>-<load>]
    #[arg(long, value_name = "FOLDER")]
    into: Option<PathBuf>,
}

/// Everything that is known after a recording.
struct Flame<'a> {
    options: &'a FlameOptions,
    connections: u32,
    machine: Machine,
    commit: String,
    event: SampledEvent,
    arguments: Vec<String>,
    wrk: WrkResult,
    /// CPU that picofaas used, without the functions; that others used; and that the hypervisor took: in percent
    /// of one core.
    used_percent: f64,
    others_percent: f64,
    steal_percent: f64,
    stages: Stages,
    shares: Shares,
    /// The words of perf about samples that it lost.
    lost: Option<String>,
}

pub(crate) fn run(repository: &Repository, options: &FlameOptions) -> Result<ExitCode> {
    let today = repository::first_line(Command::new("date").args(["-u", "+%Y-%m-%d"]))?;
    let name = format!("{today}-{}", options.load.name());
    let into = match &options.into {
        Some(folder) => folder.clone(),
        None => repository.root().join("flamegraphs").join(&name),
    };
    ensure!(!into.exists(), "{} is there already: remove it, or name another --into", into.display());
    let drawer = tools().map_err(|Unavailable(why)| anyhow!(why))?;
    // Before anything is built: a compiler's load is no other's load.
    let machine = Machine::read(&[("perf", "--version"), ("wrk", "--version")])?;
    let picofaas = build(repository, &["--package", "picofaas", "--bin", "picofaas"], "picofaas")?;
    let echo = build(repository, &["--package", "picofaas-runtime", "--example", "echo"], "examples/echo")?;
    let folder = repository.target().join("xtask/flame").join(options.load.name());
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    println!("{machine}");
    machine.warn_when_busy();

    let (flame, folded) = record(repository, options, machine, &drawer, [&picofaas, &echo], &folder)?;
    let title = format!("picofaas, {}, {today}", options.load.name());
    let drawing = recording::draw(&drawer, &folder, &folded, [&title, flame.event.unit()])?;
    // Folders that were named have a page of that name.
    let name = into.file_name().map_or(name, |folder| folder.to_string_lossy().into_owned());
    let page = flame.page(&name);
    fs::create_dir_all(&into).with_context(|| format!("cannot create {}", into.display()))?;
    for (file, text) in [("flame.svg", &drawing), ("README.md", &page)] {
        let file = into.join(file);
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    println!("\n{page}");
    flame.warn_when_disturbed();
    println!("in {}: write what you conclude under `## Verdict` in its README.md", into.display());
    println!("to zoom and search, open {}", folder.join("flame.svg").display());
    Ok(ExitCode::SUCCESS)
}

fn tools() -> Result<Drawer, Unavailable> {
    toolbox::debian_programs(&[toolbox::WRK, toolbox::PERF])?;
    Ok(Drawer::new(toolbox::inferno()?))
}

/// Puts a picofaas under load and records it; the folded stacks beside what is known.
fn record<'a>(
    repository: &Repository,
    options: &'a FlameOptions,
    machine: Machine,
    drawer: &Drawer,
    [picofaas, echo]: [&Path; 2],
    folder: &Path,
) -> Result<(Flame<'a>, String)> {
    let kind = options.load;
    let connections = options.connections.unwrap_or(kind.connections());
    let mut arguments = kind.arguments();
    arguments.extend(["--scheduler".to_owned(), options.scheduler.clone()]);
    let event = SampledEvent::find()?;
    let server = Server::start(picofaas, &arguments, folder, "picofaas")?;
    server.register(&kind.function(echo))?;
    server.until_ready(FUNCTION, kind.instances())?;
    let url = format!("http://127.0.0.1:{}{}", server.port, kind.path());
    let script = repository.root().join(kind.script());
    let load = Load { script: &script, url: &url, connections };
    load.run(WARM_UP_SECONDS).context("warming up")?;

    let id = server.process.id();
    let (watch, before) = (Stopwatch::start(), Usage::read(id)?);
    let recording = Recording::start(folder, id, &event, options.frequency, options.seconds)?;
    let (wrk, wrk_ns) = load.run(options.seconds + MARGIN_SECONDS)?;
    let (elapsed_s, used) = (watch.elapsed().as_secs_f64(), Usage::read(id)?);
    let others_ns = used.others_ns(&before, wrk_ns + recording.cpu_ns()?);
    let threads = used.process.names();
    ensure!(wrk.errors.sum() == 0, "a run with errors is no result: {:?}", wrk.errors);
    let stages = Stages::read(server.port, wrk.requests)?;
    let (folded, lost) = recording.fold(drawer, folder)?;
    let folded = shares::of_threads(&folded, &threads);
    let shares = Shares::count(&folded)?;
    server.stop()?;

    let percent = |ns: u64| ns as f64 / 1e7 / elapsed_s;
    let flame = Flame {
        options,
        connections,
        machine,
        commit: repository.commit()?,
        event,
        arguments,
        wrk,
        used_percent: percent(used.process.since(&before.process).total_ns),
        others_percent: percent(others_ns),
        steal_percent: percent(used.machine.steal_ns.saturating_sub(before.machine.steal_ns)),
        stages,
        shares,
        lost,
    };
    Ok((flame, folded))
}

/// CPU time that was used until now, in nanoseconds.
struct Usage {
    process: Snapshot,
    /// The process and the functions that it has started; and those of them that are over.
    tree: Snapshot,
    reaped_ns: u64,
    machine: MachineCpu,
}

impl Usage {
    fn read(id: u32) -> Result<Self> {
        Ok(Self {
            process: Snapshot::of_process(id)?,
            tree: Snapshot::of_tree(id)?,
            reaped_ns: cpu::reaped_ns(id)?,
            machine: MachineCpu::read()?,
        })
    }

    /// Used by everything but picofaas, its functions, and so much of our own.
    fn others_ns(&self, before: &Self, ours_ns: u64) -> u64 {
        let functions_ns = self.reaped_ns.saturating_sub(before.reaped_ns);
        let known_ns = self.tree.since(&before.tree).total_ns + functions_ns + ours_ns;
        self.machine.busy_ns.saturating_sub(before.machine.busy_ns).saturating_sub(known_ns)
    }
}

impl Flame<'_> {
    fn warn_when_disturbed(&self) {
        if self.others_percent > OTHERS_CPU_PERCENT_MAX {
            println!(
                "warning: others used {:.0} % of a core meanwhile, more than {OTHERS_CPU_PERCENT_MAX} %: the shares \
                 hold, the times may not",
                self.others_percent
            );
        }
    }

    /// The page of the folder, without the verdict.
    fn page(&self, name: &str) -> String {
        let Self { options, connections, machine, wrk, shares, stages, .. } = self;
        let command: Vec<String> = env::args().skip(1).collect();
        let rows = [
            ("command", format!("`cargo xtask {}`", command.join(" "))),
            ("commit", format!("`{}`", self.commit)),
            ("machine", format!("{} cores, {}, Linux {}", machine.cores, machine.cpu_model, machine.kernel)),
            ("tools", machine.tools.join("; ")),
            ("clock", self.event.describe(options.frequency)),
            (
                "load",
                format!(
                    "wrk with {connections} connections: {:.0} requests/s, p50 {} µs, p99 {} µs, p99.9 {} µs as the client sees it",
                    wrk.requests_per_second(),
                    wrk.p50_us,
                    wrk.p99_us,
                    wrk.p999_us
                ),
            ),
            ("picofaas", format!("`picofaas serve {}`", self.arguments.join(" "))),
            (
                "CPU",
                format!(
                    "picofaas {:.0} % of a core without its functions, others {:.0} %, the hypervisor took {:.0} %; load average before {}",
                    self.used_percent, self.others_percent, self.steal_percent, machine.load_average
                ),
            ),
        ];
        let rows: String = rows.iter().map(|(head, text)| format!("| {head} | {text} |\n")).collect();
        format!(
            "# {name}\n\n{}\n\n| | |\n|---|---|\n{rows}\n![Flame graph](flame.svg)\n\n\
             ## Stages\n\nOf the {} executions that ended last, by the times that picofaas keeps of each \
             ([what each stage is](../README.md#stages)).\n\n{}\n\
             ## CPU time\n\n{} of picofaas without its functions{}.\n\n{}",
            options.load.question(*connections),
            stages.count(),
            stages.table(),
            self.event.amount(shares.whole()),
            self.lost.as_deref().map_or_else(String::new, |lost| format!("; perf says: {lost}")),
            shares.tables()
        )
    }
}
