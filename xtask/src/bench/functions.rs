//! `cargo xtask bench functions`: what functions that nobody calls cost those that are called.
//!
//! Two servers run side by side, one with few functions and one with many. Both have one busy `WARM` function;
//! all others are idle, with no process of their own. One server at a time is measured, in alternating order,
//! and the figure is the ratio of the CPU time per request, many ÷ few, of each round.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;
use serde::Serialize;
use serde_json::{Value, json};

use super::cpu::{MachineCpu, Snapshot};
use super::machine::Machine;
use super::report::{Spread, table};
use super::run::Run;
use super::server::Server;
use super::tested::Tested;
use super::wire::Wire;
use super::wrk::{Load, WrkResult};
use super::{OTHERS_CPU_PERCENT_MAX, build};
use crate::repository::Repository;
use crate::toolbox::{self, Unavailable};
use crate::wait::{Stopwatch, let_pass};

/// CPU per request with many functions ÷ with few: what is aimed at.
const RATIO_MAX: f64 = 1.05;

/// The name of the one function that is called.
const BUSY: &str = "busy";

/// Before each measurement.
const WARM_UP_SECONDS: u32 = 1;

/// How long a server is left alone before and while its idling is looked at.
const IDLE: Duration = Duration::from_secs(5);

/// Nobody listens there; an idle function is never called.
const NOWHERE: &str = "http://127.0.0.1:9/invoke";

#[derive(clap::Args, Serialize)]
pub(super) struct FunctionsOptions {
    /// Idle functions of the server with many
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=65_000))]
    many: u32,
    /// Idle functions of the server with few
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=65_000))]
    few: u32,
    /// Kind of the idle functions
    #[arg(long, value_enum, default_value_t = Idle::Mixed)]
    idle: Idle,
    /// Length of one measurement
    #[arg(long, value_name = "S", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,
    /// Times each server is measured
    #[arg(long, value_name = "R", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Connections of wrk, one after the other
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_value = "1,32",
          value_parser = clap::value_parser!(u32).range(1..=256))]
    connections: Vec<u32>,
    /// Where to write every measurement [default: bench-results/<time>-functions.json]
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    #[serde(flatten)]
    tested: Tested,
}

/// Both have no process and are never called.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum, Serialize)]
enum Idle {
    /// `POOL`, at an address where nobody listens
    Pool,
    /// `WARM` with `replicas.min: 0`
    Warm,
    /// One after the other
    Mixed,
}

/// Figures of one server before any load.
#[derive(Debug, Serialize)]
struct AtRest {
    functions: u32,
    /// How its functions were registered.
    through: &'static str,
    /// From its start until it was ready, or from the first call of the API to the last answer.
    registered_s: f64,
    resident_kib: u64,
    /// CPU time per second of doing nothing.
    idle_cpu_us_per_s: f64,
}

/// CPU times are of the picofaas process alone, in microseconds per answered request.
#[derive(Debug, Serialize)]
struct Round {
    connections: u32,
    /// From 1.
    round: u32,
    few: Figures,
    many: Figures,
}

#[derive(Debug, Serialize)]
struct Figures {
    cpu_us: f64,
    wrk: WrkResult,
    others_cpu_percent: f64,
}

impl Round {
    fn ratio(&self) -> f64 {
        self.many.cpu_us / self.few.cpu_us
    }

    fn is_disturbed(&self) -> bool {
        self.few.others_cpu_percent.max(self.many.others_cpu_percent) > OTHERS_CPU_PERCENT_MAX
    }
}

/// The programs and files of this bench.
struct FunctionsSetup<'a> {
    options: &'a FunctionsOptions,
    folder: PathBuf,
    script: PathBuf,
    picofaas: PathBuf,
    function: PathBuf,
}

pub(super) fn run(repository: &Repository, options: &FunctionsOptions) -> Result<ExitCode> {
    options.tested.against.refuse(
        "bench functions",
        "it compares one picofaas with itself. Run it with --picofaas-binary FILE too, and compare the ratios",
    )?;
    if let Err(Unavailable(why)) = toolbox::debian_programs(&[toolbox::WRK]) {
        bail!("{why}");
    }
    // Before anything is built: a compiler's load is no other's load.
    let machine = Machine::read(&[("wrk", "--version")])?;
    let setup = FunctionsSetup {
        options,
        folder: repository.target().join("xtask/bench-functions"),
        script: repository.root().join("benches/wrk/invoke.lua"),
        function: build(
            repository,
            &["--package", "picofaas-runtime", "--example", "echo"],
            "examples/echo",
        )?,
        picofaas: options.tested.binary(repository)?,
    };
    let run = Run::begin(repository, machine)?;

    let mut at_rest = vec![setup.through_the_api()?];
    let few = setup.start("few", options.few)?;
    let many = setup.start("many", options.many)?;
    at_rest.push(setup.at_rest(&few, options.few, "manifests", few.ready_after)?);
    at_rest.push(setup.at_rest(&many, options.many, "manifests", many.ready_after)?);
    let rounds = setup.measure_all(&few, &many)?;
    few.stop()?;
    many.stop()?;

    let results = json!({ "at_rest": at_rest, "rounds": rounds });
    run.save(options.json.as_deref(), "-functions", options, &results)?;
    println!("\n{}", report(options, &at_rest, &rounds));
    println!("{}\ncommit: {}, scheduler: {}", run.machine, run.commit, options.tested.scheduler);
    Ok(verdict(&rounds))
}

impl FunctionsSetup<'_> {
    fn arguments(&self, more: &[&str]) -> Vec<String> {
        // Of one size on both servers, and with room for the busy one and a replaced version.
        let functions = (self.options.many.max(self.options.few) + 2).to_string();
        let mut arguments = self.options.tested.arguments();
        arguments.extend(["--max-functions", &functions].map(str::to_owned));
        arguments.extend(more.iter().copied().map(str::to_owned));
        arguments
    }

    /// Writes the manifests of the busy function and of `idle` others, and starts a server with them.
    fn start(&self, name: &str, idle: u32) -> Result<Server> {
        let folder = self.folder.join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("cannot empty {}", folder.display()))?;
        }
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        write_manifest(&folder, &self.busy())?;
        for at in 0..idle {
            write_manifest(&folder, &self.idle(at))?;
        }
        let functions = folder.display().to_string();
        let server =
            Server::start(&self.picofaas, &self.arguments(&["--functions", &functions]), &self.folder, name)?;
        server.until_ready(BUSY, 1)?;
        Ok(server)
    }

    /// Registers the idle functions one by one over HTTP, with a server of its own.
    fn through_the_api(&self) -> Result<AtRest> {
        fs::create_dir_all(&self.folder)
            .with_context(|| format!("cannot create {}", self.folder.display()))?;
        let arguments = self.arguments(&["--allow-local-exec"]);
        let server = Server::start(&self.picofaas, &arguments, &self.folder, "api")?;
        let mut wire = Wire::connect(server.management_port)?;
        let watch = Stopwatch::start();
        for at in 0..self.options.many {
            let (status, body) = wire.ask("POST /v1/functions", &self.idle(at).to_string())?;
            if status != 201 {
                bail!("POST /v1/functions: {status} {}", String::from_utf8_lossy(&body));
            }
        }
        let at_rest = self.at_rest(&server, self.options.many, "API", watch.elapsed())?;
        server.stop()?;
        Ok(at_rest)
    }

    fn at_rest(
        &self,
        server: &Server,
        functions: u32,
        through: &'static str,
        registered: Duration,
    ) -> Result<AtRest> {
        let_pass(IDLE);
        let id = server.process.id();
        let before = Snapshot::of_process(id)?;
        let watch = Stopwatch::start();
        let_pass(IDLE);
        let used = Snapshot::of_process(id)?.since(&before);
        let at_rest = AtRest {
            functions,
            through,
            registered_s: registered.as_secs_f64(),
            resident_kib: server.resident_kib()?,
            idle_cpu_us_per_s: used.total_ns as f64 / 1e3 / watch.elapsed().as_secs_f64(),
        };
        println!("{at_rest:?}");
        Ok(at_rest)
    }

    fn busy(&self) -> Value {
        json!({
            "name": BUSY,
            "executionMode": "WARM",
            "local": { "command": [self.function] },
            "replicas": { "min": 1, "max": 1 },
            "concurrency": 256,
            "queueSize": 1024,
            "timeoutMs": 10_000,
        })
    }

    fn idle(&self, at: u32) -> Value {
        let name = format!("idle-{at:05}");
        let is_pool = match self.options.idle {
            Idle::Pool => true,
            Idle::Warm => false,
            Idle::Mixed => at.is_multiple_of(2),
        };
        if is_pool {
            return json!({ "name": name, "executionMode": "POOL", "endpointUrl": NOWHERE });
        }
        json!({
            "name": name,
            "executionMode": "WARM",
            "local": { "command": [self.function] },
            "replicas": { "min": 0, "max": 4 },
        })
    }

    fn measure_all(&self, few: &Server, many: &Server) -> Result<Vec<Round>> {
        let mut rounds = Vec::new();
        for round in 1..=self.options.rounds {
            for &connections in &self.options.connections {
                let round = if round % 2 == 1 {
                    let few = self.measure(few, connections)?;
                    Round { connections, round, few, many: self.measure(many, connections)? }
                } else {
                    let many = self.measure(many, connections)?;
                    Round { connections, round, few: self.measure(few, connections)?, many }
                };
                println!(
                    "round {}, {connections} connections: {:.2} µs with few, {:.2} µs with many, ratio {:.3}, others {:.0} % and {:.0} %",
                    round.round,
                    round.few.cpu_us,
                    round.many.cpu_us,
                    round.ratio(),
                    round.few.others_cpu_percent,
                    round.many.others_cpu_percent,
                );
                rounds.push(round);
            }
        }
        Ok(rounds)
    }

    fn measure(&self, server: &Server, connections: u32) -> Result<Figures> {
        let url = format!("http://127.0.0.1:{}/v1/functions/{BUSY}:invoke", server.port);
        let load = Load { script: &self.script, url: &url, connections };
        load.run(WARM_UP_SECONDS).context("warming up")?;
        let id = server.process.id();
        let (machine_before, tree_before) = (MachineCpu::read()?, Snapshot::of_tree(id)?);
        let before = Snapshot::of_process(id)?;
        let (wrk, wrk_ns) = load.run(self.options.seconds)?;
        let used = Snapshot::of_process(id)?.since(&before);
        let tree = Snapshot::of_tree(id)?.since(&tree_before);
        let busy_ns = MachineCpu::read()?.busy_ns.saturating_sub(machine_before.busy_ns);
        let others_ns = busy_ns.saturating_sub(wrk_ns + tree.total_ns);
        Ok(Figures {
            cpu_us: used.total_ns as f64 / 1e3 / wrk.requests as f64,
            others_cpu_percent: others_ns as f64 / 10.0 / wrk.duration_us as f64,
            wrk,
        })
    }
}

/// JSON is YAML: one manifest per file.
fn write_manifest(folder: &Path, spec: &Value) -> Result<()> {
    let mut spec = spec.clone();
    let name = spec["name"].take();
    if let Some(fields) = spec.as_object_mut() {
        fields.remove("name");
    }
    let manifest = json!({
        "apiVersion": "picofaas.dev/v1",
        "kind": "Function",
        "metadata": { "name": name },
        "spec": spec,
    });
    let file = folder.join(format!("{}.yaml", name.as_str().unwrap_or_default()));
    fs::write(&file, manifest.to_string()).with_context(|| format!("cannot write {}", file.display()))
}

fn report(options: &FunctionsOptions, at_rest: &[AtRest], rounds: &[Round]) -> String {
    let mut rest = table(&["idle functions", "registered through", "in s", "VmRSS MiB", "CPU µs per idle s"]);
    for server in at_rest {
        rest.add_row([
            server.functions.to_string(),
            server.through.to_owned(),
            format!("{:.2}", server.registered_s),
            format!("{:.1}", server.resident_kib as f64 / 1024.0),
            format!("{:.0}", server.idle_cpu_us_per_s),
        ]);
    }
    let mut busy =
        table(&["connections", "CPU µs, few", "CPU µs, many", "ratio", "p50 µs, few", "p50 µs, many"]);
    for &connections in &options.connections {
        let of = |figure: &dyn Fn(&Round) -> f64| {
            Spread::of(rounds.iter().filter(|round| round.connections == connections).map(figure).collect())
        };
        busy.add_row([
            connections.to_string(),
            format!("{:.2}", of(&|round| round.few.cpu_us)),
            format!("{:.2}", of(&|round| round.many.cpu_us)),
            format!("{:.3}", of(&Round::ratio)),
            of(&|round| round.few.wrk.p50_us as f64).to_string(),
            of(&|round| round.many.wrk.p50_us as f64).to_string(),
        ]);
    }
    format!(
        "at rest\n{rest}\n\nCPU time of picofaas per request of one busy WARM function, median (min..max) over \
         the rounds; aimed at: a ratio of at most {RATIO_MAX}\n{busy}\n"
    )
}

/// A ratio above the target is a result, told by the table; a wrong answer is none.
fn verdict(rounds: &[Round]) -> ExitCode {
    let disturbed = rounds.iter().filter(|round| round.is_disturbed()).count();
    if disturbed > 0 {
        println!(
            "warning: others used more than {OTHERS_CPU_PERCENT_MAX} % of a core during {disturbed} of {} \
             rounds: repeat on an idle machine before believing a difference",
            rounds.len()
        );
    }
    let errors: u64 =
        rounds.iter().map(|round| round.few.wrk.errors.sum() + round.many.wrk.errors.sum()).sum();
    if errors > 0 {
        println!("FAILED: {errors} requests were not answered with success");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
