//! `cargo xtask bench cluster`: what picofaas adds to what Kubernetes costs anyway, on a real cluster.
//!
//! Every question compares, in interleaved pairs, with the same thing done without picofaas: a bare Job, a bare
//! Deployment, nginx. The pods of both are of one image and of the pod template that picofaas makes.
//!
//! | file | is |
//! |---|---|
//! | `stage` | a namespace, and the control plane for it; how functions are called |
//! | `api`, `namespace` | the API server, and what of it goes with the bench |
//! | `bare` | the pods that nobody manages |
//! | `rest` | waiting until the machine is quiet |
//! | `jobs` | starts of `JOB` functions, and the calls for them |
//! | `standby` | calls of `JOB` functions whose pods are made ahead |
//! | `beside` | calls of a `WARM` function beside those of another one's reserve |
//! | `from_zero` | starts of `WARM` functions without a pod |
//! | `step` | from one instance to five |
//! | `hot` | latency under load |
//! | `footprint` | memory with many functions |
//! | `calls` | what is asked of the API server |
//! | `target` | what is aimed at, and whether it was met |

mod api;
mod bare;
mod beside;
mod calls;
mod footprint;
mod from_zero;
mod hot;
mod jobs;
mod namespace;
mod rest;
mod stage;
mod standby;
mod step;
mod target;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;
use serde::Serialize;
use serde_json::{Value, json};

use self::api::ApiProxy;
use self::rest::Rest;
use self::stage::{ClusterFixtures, Stage};
use self::target::ClusterTarget;
use super::machine::Machine;
use super::report::Spread;
use super::run::Run;
use super::tested::Tested;
use crate::cluster::Cluster;
use crate::repository::Repository;
use crate::toolbox::{self, Unavailable};
use crate::verify::{FUNCTION_IMAGE, Testbed};
use crate::wait::Stopwatch;

#[derive(clap::Args, Serialize)]
pub(super) struct ClusterBenchOptions {
    /// Ask these questions alone
    #[arg(long, value_enum, value_name = "NAME,NAME", value_delimiter = ',')]
    only: Vec<ClusterQuestion>,
    /// Pairs of starts, of JOB and of WARM functions
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pairs: u32,
    /// Calls of a function with standby instances, one a second
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u32).range(10..=10_000))]
    standby_calls: u32,
    /// Pairs of steps from one instance to five
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1000))]
    steps: u32,
    /// Times that 50 requests come at once to a function without a pod
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(0..=1000))]
    crowds: u32,
    /// Rounds of wrk on an instance that runs
    #[arg(long, value_name = "R", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Length of one measurement of wrk
    #[arg(long, value_name = "S", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,
    /// Functions that are registered where memory is measured
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=65_000))]
    functions: u32,
    /// Where to write every measurement [default: bench-results/<time>-cluster.json]
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    #[serde(flatten)]
    tested: Tested,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum, Serialize)]
#[serde(rename_all = "camelCase")]
enum ClusterQuestion {
    /// Starts of JOB functions beside bare Jobs, and API calls per invocation
    Job,
    /// JOB functions whose pods are made ahead
    Standby,
    /// Starts of WARM functions without a pod beside a bare Deployment
    FromZero,
    /// From one instance to five, beside a bare Deployment
    Step,
    /// Latency of an instance that runs, beside nginx in front of it
    Hot,
    /// Memory of the control plane with many functions
    Memory,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
enum ClusterSubject {
    Picofaas,
    Bare,
}

/// The answer to a question.
struct ClusterAnswer {
    name: &'static str,
    /// In Markdown.
    tables: String,
    targets: Vec<ClusterTarget>,
    /// State of the machine before each measurement.
    rests: Vec<Rest>,
    /// Requests that were not answered with success.
    errors: u64,
    measurements: Value,
}

/// The answers to all questions together.
#[derive(Default)]
struct ClusterAnswers {
    targets: Vec<ClusterTarget>,
    /// By the name of the question.
    measurements: serde_json::Map<String, Value>,
    rests: Vec<Rest>,
    errors: u64,
}

pub(super) fn run(repository: &Repository, options: &ClusterBenchOptions) -> Result<ExitCode> {
    options.tested.against.refuse(
        "bench cluster",
        "it compares with bare Kubernetes. Run it with --picofaas-binary FILE too, and compare the differences to bare",
    )?;
    if let Err(Unavailable(why)) = toolbox::debian_programs(&[toolbox::WRK, toolbox::NGINX]) {
        bail!("{why}");
    }
    // Before anything is built: a compiler's load is no other's load.
    let machine = Machine::read(&[("wrk", "--version"), ("nginx", "-v")])?;
    let folder = repository.target().join("xtask/bench-cluster");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let picofaas = options.tested.binary(repository)?;
    let testbed = match Testbed::set_up(repository, &[FUNCTION_IMAGE])? {
        Ok(testbed) => testbed,
        Err(Unavailable(why)) => bail!("{why}"),
    };
    let cluster = testbed.cluster();
    if !cluster.is_ours() {
        println!("its pods must reach this machine, and share its clock");
    }
    let run = Run::begin(repository, machine)?;
    let watch = Stopwatch::start();
    define_functions(repository, cluster)?;
    let api = ApiProxy::of(cluster, &folder)?;
    let address = stage::reachable(cluster)?;
    let fixtures = ClusterFixtures {
        cluster,
        api: &api,
        picofaas,
        arguments: options.tested.arguments(),
        folder,
        address,
    };
    let (versions, detour_ms) = (versions(&api)?, detour_ms(&api)?);

    let answers = ask(repository, options, &fixtures)?;

    let ClusterAnswers { targets, measurements, rests, errors } = ClusterAnswers::print(answers);
    println!(
        "### targets\n\nA bound of ms or of a ratio is of the medians of both sides.\n\n{}\n",
        target::targets(&targets)
    );
    let took_s = watch.elapsed().as_secs_f64();
    println!("{}\ncluster: {versions}", run.machine);
    println!(
        "picofaas: the release binary on this machine and not in a pod, --scheduler {}; pods reach it at {address}",
        options.tested.scheduler
    );
    println!(
        "bare: the API server is called through kubectl proxy, of which a GET of /version takes {detour_ms:.1} ms in all"
    );
    println!(
        "before measurements, of one core: {:.0} % busy, {:.0} % stolen",
        Spread::of(rests.iter().map(|rest| rest.busy_percent).collect()),
        Spread::of(rests.iter().map(|rest| rest.steal_percent).collect())
    );
    println!("commit: {}, took {took_s:.0} s", run.commit);
    let results =
        json!({ "cluster": versions, "took_s": took_s, "targets": targets, "measurements": measurements });
    run.save(options.json.as_deref(), "-cluster", options, &results)?;
    let disturbed = rests.iter().filter(|rest| rest.is_disturbed()).count();
    if disturbed > 0 {
        println!(
            "warning: DISTURBED: the machine did not come to rest before {disturbed} of {} measurements: repeat on an idle machine before believing a difference",
            rests.len()
        );
    }
    if errors > 0 {
        println!("FAILED: {errors} requests were not answered with success");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

fn ask(
    repository: &Repository,
    options: &ClusterBenchOptions,
    fixtures: &ClusterFixtures<'_>,
) -> Result<Vec<ClusterAnswer>> {
    let is_asked = |question: &ClusterQuestion| options.only.is_empty() || options.only.contains(question);
    let stage = Stage::new(fixtures, "starts")?;
    let mut answers = Vec::new();
    // Memory comes last: what it leaves to be deleted keeps the cluster busy for a while.
    for question in ClusterQuestion::value_variants().iter().filter(|question| is_asked(question)) {
        let watch = Stopwatch::start();
        answers.push(match question {
            ClusterQuestion::Job => jobs::answer(&stage, options.pairs)?,
            ClusterQuestion::Standby => standby::answer(&stage, options.standby_calls)?,
            ClusterQuestion::FromZero => from_zero::answer(&stage, options.pairs, options.crowds)?,
            ClusterQuestion::Step => step::answer(&stage, options.steps)?,
            ClusterQuestion::Hot => hot::answer(&stage, repository.root(), options.rounds, options.seconds)?,
            ClusterQuestion::Memory => footprint::answer(fixtures, options.functions)?,
        });
        println!("{question:?} took {:.0} s", watch.elapsed().as_secs_f64());
    }
    Ok(answers)
}

/// Brings the definition of functions into the cluster.
fn define_functions(repository: &Repository, cluster: &Cluster) -> Result<()> {
    let definition = repository.root().join("k8s/10-crd.yaml");
    let steps: [&[&str]; 2] = [
        &["apply", "--server-side", "--force-conflicts", "--filename"],
        &["wait", "--for=condition=established", "--timeout=60s", "--filename"],
    ];
    for step in steps {
        let output = cluster.kubectl()?.args(step).arg(&definition).output().context("cannot run kubectl")?;
        if !output.status.success() {
            bail!("kubectl {}: {}", step.join(" "), String::from_utf8_lossy(&output.stderr));
        }
    }
    Ok(())
}

/// Of Kubernetes and of the container runtime of its first node.
fn versions(api: &ApiProxy) -> Result<String> {
    let nodes = api.get("/api/v1/nodes")?;
    let nodes = nodes["items"].as_array().context("no list of nodes")?;
    let info = |name: &str| nodes[0]["status"]["nodeInfo"][name].as_str().unwrap_or("?").to_owned();
    let (kubelet, runtime) = (info("kubeletVersion"), info("containerRuntimeVersion"));
    Ok(format!("Kubernetes {kubelet}, {runtime}, {} nodes", nodes.len()))
}

/// Milliseconds of a call by way of kubectl, those of the API server included.
fn detour_ms(api: &ApiProxy) -> Result<f64> {
    let mut times = Vec::new();
    for _ in 0..20 {
        let watch = Stopwatch::start();
        api.get("/version")?;
        times.push(watch.elapsed().as_secs_f64() * 1e3);
    }
    target::median(&times).context("nothing was measured")
}

impl ClusterAnswers {
    /// Prints the tables of each answer.
    fn print(answers: Vec<ClusterAnswer>) -> Self {
        let mut all = Self::default();
        println!();
        for answer in answers {
            println!("### {}\n\n{}\n", answer.name, answer.tables);
            all.targets.extend(answer.targets);
            all.measurements.insert(answer.name.to_owned(), answer.measurements);
            all.rests.extend(answer.rests);
            all.errors += answer.errors;
        }
        all
    }
}

impl ClusterSubject {
    /// Each pair begins with the other one.
    fn order(pair: u32) -> [Self; 2] {
        if pair % 2 == 1 { [Self::Picofaas, Self::Bare] } else { [Self::Bare, Self::Picofaas] }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Picofaas => "picofaas",
            Self::Bare => "bare",
        }
    }
}
