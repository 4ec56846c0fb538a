//! picofaas beside nginx and a direct call, in one run, under the same load.
//!
//! Per round, load and subject: start the function and the subject, compare some answers with what the function
//! itself says, warm up, measure one run of the load tool and the CPU time spent in it, compare the calls that the
//! function counted with the answers that the tool did, compare answers again, stop both. Nothing else runs
//! meanwhile. Rounds are interleaved and each begins with another subject, so that a machine that warms up or slows
//! down does so for all.
//!
//! wrk counts answers above 399 and broken connections itself; that, the function's own count, and the comparison of
//! answers before and after stand in for looking at each one, which would cost wrk more CPU than some of what it
//! measures.
//!
//! | file | is |
//! |---|---|
//! | `load_point`, `factors` | a load, one value of each factor; which loads a run has |
//! | `subject` | what is measured, and how it is started |
//! | `program`, `address`, `payload` | the function's program, where it listens, the body it is sent |
//! | `setup` | all that is built before anything is measured |
//! | `measurement`, `calls` | one run of a load tool; the calls that the function counted |
//! | `open_loop`, `peak` | the load of a fixed rate, and what that rate is a share of |
//! | `comparison`, `bootstrap` | ratios to nginx and a direct call, and their intervals |
//! | `tables`, `plot`, `scale` | the report and its picture |

mod address;
mod bootstrap;
mod calls;
mod comparison;
mod factors;
mod load_point;
mod measurement;
pub(super) mod open_loop;
mod payload;
mod peak;
mod plot;
mod program;
mod scale;
mod setup;
mod subject;
mod tables;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail, ensure};
use clap::builder::ArgPredicate;
use serde::Serialize;
use serde_json::json;

use self::comparison::{Comparison, FIGURES};
use self::factors::Factors;
use self::load_point::LoadPoint;
use self::measurement::Measurement;
use self::open_loop::Vegeta;
use self::payload::Payload;
use self::peak::Peak;
use self::program::FunctionProgram;
use self::setup::Setup;
use self::subject::Subject;
use super::against;
use super::machine::Machine;
use super::order;
use super::ratio::{self, Ratio};
use super::run::Run;
use super::tested::Tested;
use super::{OTHERS_CPU_PERCENT_MAX, absolute};
use crate::repository::Repository;
use crate::toolbox::{self, Unavailable};

/// The row of the picofaas that is measured without a name.
const NEW: &str = "picofaas";

/// Where results are that are kept in the tree.
const KEPT_RESULTS: &str = "benches/results";

/// Of a run that compares an earlier binary.
const AGAINST_SECONDS: &str = "10";

/// Of a full run.
const FULL: [&str; 2] = ["12", "3"];

#[derive(clap::Args, Serialize)]
pub(super) struct BenchOptions {
    /// Length of one measurement [with --full: 3, with --against: 10]
    #[arg(long, value_name = "S", default_value_t = 2,
          default_value_ifs([("against", ArgPredicate::IsPresent, Some(AGAINST_SECONDS)),
                             ("full", ArgPredicate::IsPresent, Some(FULL[1]))]),
          value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,
    /// Times everything is measured; the tables show the median, the smallest and the largest [with --full or --against: 12]
    #[arg(long, value_name = "R", default_value_t = 6,
          default_value_ifs([("against", ArgPredicate::IsPresent, Some(against::ROUNDS)),
                             ("full", ArgPredicate::IsPresent, Some(FULL[0]))]),
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    #[command(flatten)]
    #[serde(flatten)]
    factors: Factors,
    /// Where to write every measurement [default: bench-results/<time>.json; with --full: benches/results/<date>-full.json]
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw the ratios to nginx and a direct call into this file, as SVG [with --full: benches/results/<date>-full.svg]
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// A further row of picofaas with further arguments; its own --scheduler replaces the common one
    #[arg(long = "variant", value_name = "NAME=ARGS")]
    variants: Vec<String>,
    /// Measure these rows alone: direct, nginx, picofaas, names of variants
    #[arg(long, value_name = "ROW,ROW", value_delimiter = ',')]
    only: Vec<String>,
    #[command(flatten)]
    #[serde(flatten)]
    tested: Tested,
    /// Call this function instead of the runtime's example `echo`: a program that serves POST /invoke on $PORT
    #[arg(long, value_name = "FILE")]
    upstream_binary: Option<PathBuf>,
}

pub(super) fn run(repository: &Repository, options: &BenchOptions) -> Result<ExitCode> {
    let subjects = subjects(options)?;
    let mut points = options.factors.points(options.tested.against.is_given())?;
    let against = options.tested.old_binary(repository, "--connections", &[])?;
    if let Err(Unavailable(why)) = toolbox::debian_programs(&[toolbox::WRK, toolbox::NGINX]) {
        bail!("{why}");
    }
    // Before anything is built: a compiler's load is no other's load.
    let mut machine = Machine::read(&[("wrk", "--version"), ("nginx", "-v")])?;
    let mut setup = assemble(repository, options, &subjects, &mut points, against.as_deref())?;
    if setup.vegeta.is_some() {
        machine.tools.push(format!("vegeta {}", toolbox::VEGETA_VERSION));
    }
    let run = Run::begin(repository, machine)?;
    let binaries = options.tested.binaries(&setup.picofaas, against.as_deref(), &run.commit)?;
    if setup.vegeta.is_some() {
        setup.peak = Some(Peak::measure(&setup)?);
    }
    let measurements = measure_all(&setup, &subjects, &points, options.rounds)?;

    let errors = errors(&measurements);
    let comparisons = match errors {
        0 => comparison::of_all(&points, &subjects, &measurements)?,
        // A call that fails fast looks fast.
        _ => Vec::new(),
    };
    let mut results = json!({
        "subjects": subjects, "peak": setup.peak, "comparisons": comparisons, "measurements": measurements,
    });
    let mut report = tables::figures(&points, &subjects, &measurements, setup.peak.as_ref());
    if !comparisons.is_empty() {
        report.push_str(&format!("{}\n", comparison::table(&comparisons)));
    }
    if let Some(binaries) = &binaries {
        binaries.check_unchanged()?;
        let ratios = if errors == 0 { ratios_of(&points, &measurements)? } else { Vec::new() };
        results["against"] = binaries.record(&ratios);
        if !ratios.is_empty() {
            report.push_str(&format!("\n{}\n", ratio::report(&ratios)));
        }
    }
    report.push_str(&foot(&run, &setup, &subjects));
    if let Some(binaries) = &binaries {
        report.push_str(&format!("{}\n", binaries.describe()));
    }
    let disturbed = disturbed(&measurements);
    report.push_str(&disturbed.clone().map(|warning| format!("{warning}\n")).unwrap_or_default());
    println!("\n{report}");

    let files = Files::of(repository, options, run.date());
    run.save(files.json.as_deref(), "", options, &results)?;
    if errors > 0 {
        println!("FAILED: {errors} requests were not answered with success");
        return Ok(ExitCode::FAILURE);
    }
    files.write(&run, options, &comparisons, &report, disturbed.is_some())?;
    Ok(ExitCode::SUCCESS)
}

/// Builds and installs everything. Loads whose function cannot be built here are left out.
fn assemble(
    repository: &Repository,
    options: &BenchOptions,
    subjects: &[Subject],
    points: &mut Vec<LoadPoint>,
    against: Option<&Path>,
) -> Result<Setup> {
    let folder = repository.target().join("xtask/bench");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let upstream = options.upstream_binary.as_deref().map(absolute).transpose()?;
    let mut programs = BTreeMap::new();
    let mut runtimes: Vec<_> = points.iter().map(|point| point.runtime).collect();
    runtimes.sort_unstable();
    runtimes.dedup();
    for runtime in runtimes {
        match FunctionProgram::build(repository, runtime, upstream.as_deref(), &folder)? {
            Ok(program) => {
                programs.insert(runtime, program);
            }
            Err(Unavailable(why)) => println!("{} is not measured: {why}", runtime.name()),
        }
    }
    points.retain(|point| programs.contains_key(&point.runtime));
    ensure!(!points.is_empty(), "no function is left that can be called");
    let is_open = points.iter().any(|point| !point.is_closed());
    let script = repository.root().join("benches/wrk/invoke.lua");
    let mut payloads = BTreeMap::new();
    // Of the usual one nginx's peak is taken.
    let usual = LoadPoint::USUAL;
    for bytes in points.iter().chain([&usual]).map(|point| point.body_bytes) {
        payloads.insert(bytes, Payload::write(&folder, &script, bytes)?);
    }
    if is_open && !programs.contains_key(&usual.runtime) {
        match FunctionProgram::build(repository, usual.runtime, upstream.as_deref(), &folder)? {
            Ok(program) => {
                programs.insert(usual.runtime, program);
            }
            Err(Unavailable(why)) => bail!("{why}"),
        }
    }
    let vegeta = match is_open {
        true => match toolbox::vegeta() {
            Ok(program) => Some(Vegeta { program, folder: folder.clone() }),
            Err(Unavailable(why)) => bail!("{why}"),
        },
        false => None,
    };
    Ok(Setup {
        nginx_template: repository.root().join("benches/nginx/reverse-proxy.conf"),
        picofaas: match subjects.iter().any(Subject::is_picofaas) {
            true => options.tested.binary(repository)?,
            false => PathBuf::new(),
        },
        against: against.map(Path::to_path_buf).unwrap_or_default(),
        seconds: options.seconds,
        folder,
        programs,
        payloads,
        vegeta,
        peak: None,
    })
}

/// Lines about the machine, the subjects and how to read the tables.
fn foot(run: &Run<'_>, setup: &Setup, subjects: &[Subject]) -> String {
    let mut lines = vec![run.machine.to_string(), format!("commit: {}", run.commit)];
    lines.extend(setup.peak.as_ref().map(Peak::describe));
    lines.extend(subjects.iter().map(Subject::describe));
    lines.push(
        "TCP and Unix are what the function is called over. wrk speaks to no Unix socket, so a direct call has no row \
         there. nginx and the direct call have no queue: beside enqueue they call the function."
            .to_owned(),
    );
    format!("\n{}\n", lines.join("\n\n"))
}

/// Files of a run beside the JSON that each has.
struct Files {
    json: Option<PathBuf>,
    plot: Option<PathBuf>,
    report: Option<PathBuf>,
}

impl Files {
    fn of(repository: &Repository, options: &BenchOptions, date: &str) -> Self {
        let kept = |extension: &str| {
            let file = repository.root().join(format!("{KEPT_RESULTS}/{date}-full.{extension}"));
            options.factors.full.then_some(file)
        };
        Self {
            json: options.json.clone().or_else(|| kept("json")),
            plot: options.plot.clone().or_else(|| kept("svg")),
            report: kept("md"),
        }
    }

    fn write(
        &self,
        run: &Run<'_>,
        options: &BenchOptions,
        comparisons: &[Comparison],
        report: &str,
        is_disturbed: bool,
    ) -> Result<()> {
        let write = |file: &Path, content: String| {
            fs::write(file, content).with_context(|| format!("cannot write {}", file.display()))?;
            println!("written: {}", file.display());
            Ok::<(), anyhow::Error>(())
        };
        let (date, rounds, seconds) = (run.date(), options.rounds, options.seconds);
        let disturbed = if is_disturbed { ", DISTURBED by others" } else { "" };
        let Machine { cores, cpu_model, .. } = &run.machine;
        let source = format!(
            "{date}, commit {}, {cores} cores, {cpu_model}, {rounds} rounds of {seconds} s{disturbed}",
            run.commit
        );
        if let Some(file) = &self.plot {
            write(file, plot::svg(comparisons, &source))?;
        }
        if let Some(file) = &self.report {
            write(
                file,
                format!("# cargo xtask bench --full, {date}\n\n{rounds} rounds of {seconds} s.\n\n{report}"),
            )?;
        }
        Ok(())
    }
}

/// New ÷ old.
fn ratios_of(points: &[LoadPoint], measurements: &[Measurement]) -> Result<Vec<Ratio>> {
    let mut ratios = Vec::new();
    for point in points {
        let of = |name: &str| -> Vec<&Measurement> {
            measurements.iter().filter(|m| m.point == *point && m.subject == name).collect()
        };
        let figures = &FIGURES[..4];
        ratios.extend(ratio::of_load(
            &point.to_string(),
            figures,
            |m| m.round,
            &of(NEW),
            &of(against::NAME),
        )?);
    }
    Ok(ratios)
}

fn errors(measurements: &[Measurement]) -> u64 {
    measurements.iter().map(|measurement| measurement.errors).sum()
}

fn measure_all(
    setup: &Setup,
    subjects: &[Subject],
    points: &[LoadPoint],
    rounds: u32,
) -> Result<Vec<Measurement>> {
    let mut measurements = Vec::new();
    for round in 0..rounds {
        for point in points {
            let all: Vec<&Subject> = subjects.iter().filter(|subject| subject.measures(point)).collect();
            for subject in order::of_round(&all, |it| it.name == NEW, Subject::is_against, round) {
                let measurement = measurement::measure(setup, subject, point, round + 1)
                    .with_context(|| format!("{}, {point}, round {}", subject.name, round + 1))?;
                println!("{measurement}");
                measurements.push(measurement);
            }
        }
    }
    Ok(measurements)
}

/// A warning where others used the machine.
fn disturbed(measurements: &[Measurement]) -> Option<String> {
    let disturbed = measurements.iter().filter(|m| m.others_cpu_percent > OTHERS_CPU_PERCENT_MAX).count();
    (disturbed > 0).then(|| {
        format!(
            "warning: DISTURBED: others used more than {OTHERS_CPU_PERCENT_MAX} % of a core during {disturbed} of {} \
             measurements: repeat on an idle machine before believing a difference",
            measurements.len()
        )
    })
}

fn subjects(options: &BenchOptions) -> Result<Vec<Subject>> {
    let mut all = vec![Subject::direct(), Subject::nginx()];
    let common: Vec<String> = options.tested.further();
    all.push(Subject::picofaas(NEW, &options.tested.scheduler, common.clone()));
    let against = &options.tested.against;
    if against.is_given() {
        all.push(Subject::against(&options.tested.scheduler, against.further(common.clone())));
    }
    for variant in &options.variants {
        let Some((name, arguments)) = variant.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            bail!("--variant {variant}: write NAME=ARGS, for example --variant 'park=--scheduler park'");
        };
        if all.iter().any(|subject| subject.name == name) {
            bail!("--variant {variant}: there is a row {name} already");
        }
        let mut together = common.clone();
        together.extend(arguments.split_whitespace().map(str::to_owned));
        all.push(Subject::picofaas(name, &options.tested.scheduler, together));
    }
    if let Some(unknown) = options.only.iter().find(|name| !all.iter().any(|c| c.name == **name)) {
        let names: Vec<&str> = all.iter().map(|subject| subject.name.as_str()).collect();
        bail!("--only {unknown}: no such row, there are {}", names.join(", "));
    }
    all.retain(|subject| options.only.is_empty() || options.only.contains(&subject.name));
    if against.is_given() && [NEW, against::NAME].iter().any(|name| !all.iter().any(|it| it.name == *name)) {
        bail!(
            "--only {}: --against compares the rows {NEW} and {}, name both",
            options.only.join(","),
            against::NAME
        );
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::subject::SubjectKind;
    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: BenchOptions,
    }

    fn parse(line: &[&str]) -> Result<Vec<Subject>> {
        subjects(&Line::try_parse_from([&["bench"], line].concat())?.options)
    }

    fn names(subjects: &[Subject]) -> Vec<&str> {
        subjects.iter().map(|subject| subject.name.as_str()).collect()
    }

    #[test]
    fn a_plain_bench_compares_direct_nginx_and_picofaas() {
        assert_eq!(names(&parse(&[]).unwrap()), ["direct", "nginx", "picofaas"]);
    }

    #[test]
    fn a_variant_is_a_row_with_the_common_arguments_and_its_own() {
        let line =
            ["--picofaas-args", "--gateways 2", "--variant", "park=--scheduler park", "--only", "park"];
        let rows = parse(&line).unwrap();
        assert_eq!(names(&rows), ["park"]);
        let SubjectKind::Picofaas { arguments } = &rows[0].kind else { panic!("not a row of picofaas") };
        assert_eq!(arguments, &["--gateways", "2", "--scheduler", "park"]);
    }

    #[test]
    fn what_names_no_row_or_one_twice_is_refused() {
        assert!(parse(&["--only", "ngnix"]).is_err());
        assert!(parse(&["--variant", "park"]).is_err());
        assert!(parse(&["--variant", "nginx=--x"]).is_err());
        assert!(parse(&["--against", "old", "--variant", "picofaas-against=--x"]).is_err());
    }

    #[test]
    fn an_old_binary_is_a_row_of_its_own_with_the_common_arguments_or_its_own() {
        let line = ["--picofaas-args", "--gateways 2", "--against", "old"];
        let rows = parse(&line).unwrap();
        assert_eq!(names(&rows), ["direct", "nginx", "picofaas", "picofaas-against"]);
        let arguments = |rows: &[Subject], at: usize| match &rows[at].kind {
            SubjectKind::Picofaas { arguments } | SubjectKind::Against { arguments } => arguments.join(" "),
            SubjectKind::Direct | SubjectKind::Nginx => panic!("not a row of picofaas"),
        };
        assert_eq!(arguments(&rows, 3), "--gateways 2 --scheduler adaptive");
        let rows = parse(&[&line[..], &["--against-args", "--scheduler park"]].concat()).unwrap();
        assert_eq!(arguments(&rows, 2), "--gateways 2 --scheduler adaptive");
        assert_eq!(arguments(&rows, 3), "--scheduler park");
        assert!(parse(&["--against-args", "--scheduler park"]).is_err());
    }

    #[test]
    fn an_old_binary_without_the_new_one_beside_it_is_refused() {
        let error = parse(&["--against", "old", "--only", "nginx,picofaas-against"]).unwrap_err().to_string();
        assert!(error.contains("name both"), "{error}");
        assert!(parse(&["--only", "picofaas-against"]).is_err());
        let both = parse(&["--against", "old", "--only", "picofaas-against,picofaas"]).unwrap();
        assert_eq!(names(&both), ["picofaas", "picofaas-against"]);
    }

    #[test]
    fn rounds_are_more_where_two_binaries_are_compared_unless_their_number_is_given() {
        let options = |line: &[&str]| Line::try_parse_from([&["bench"], line].concat()).unwrap().options;
        let rounds = |line: &[&str]| options(line).rounds;
        assert_eq!(rounds(&[]), 6);
        assert_eq!(rounds(&["--full"]), 12);
        assert_eq!(
            [&[][..], &["--full"], &["--against", "old"]].map(|line| options(line).seconds),
            [2, 3, 10]
        );
        assert_eq!(rounds(&["--against", "old"]), 12);
        assert_eq!(rounds(&["--against", "old", "--rounds", "7"]), 7);
    }
}
