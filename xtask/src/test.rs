//! `cargo xtask test`: the checks a change must pass, the same for a person and for CI.

use std::io::{self, BufRead as _, BufReader, PipeReader, Write as _};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::bench::instructions;
use crate::ends::Ends;
use crate::examples;
use crate::libtest::Tally;
use crate::manifests;
use crate::openapi;
use crate::python;
use crate::repository::Repository;
use crate::scaffold;
use crate::suites::Suites;
use crate::tidy;
use crate::toolbox::{self, CHROMIUM, Unavailable};
use crate::verify::{FUNCTION_IMAGE, Testbed};
use crate::wait::Stopwatch;

#[derive(clap::Args)]
pub(crate) struct TestOptions {
    /// Run this check alone; may be given several times
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// List the checks and stop
    #[arg(long)]
    list: bool,
}

struct Check {
    name: &'static str,
    what: &'static str,
    run: fn(&Repository) -> Result<CheckResult>,
}

/// How a check ended. An `Err` of a check counts as `Failed` with its message.
enum CheckResult {
    Passed,
    Failed(String),
    /// It could not be run; the reason is printed and counted, never hidden.
    Skipped(String),
    /// It ran tests that count one each.
    Counted(Tally),
    /// The same, of several suites, each of which took its time.
    Timed(Tally, Suites),
}

/// In the order they run: what fails in seconds comes before what takes minutes.
const CHECKS: [Check; 18] = [
    Check { name: "tidy", what: "the rules about the tree itself (cargo xtask tidy)", run: tidy },
    Check { name: "fmt", what: "cargo fmt --all --check", run: fmt },
    Check {
        name: "clippy",
        what: "cargo clippy of every target, with and without clusters, with -D warnings",
        run: clippy,
    },
    Check { name: "deny", what: "cargo deny check licenses bans sources", run: deny },
    Check { name: "build", what: "the release binaries the tests and benches start", run: build },
    Check { name: "test", what: "cargo test --workspace --no-fail-fast", run: test },
    Check {
        name: "instructions",
        what: "cargo xtask bench instructions, what the invoke path executes beside what is recorded",
        run: instructions,
    },
    Check {
        name: "browser",
        what: "what web pages can do, in Chromium: cargo test --package picofaas --test browser",
        run: browser,
    },
    Check {
        name: "parts",
        what: "what a program without clusters and TLS says: cargo test --no-default-features --test system parts::",
        run: parts,
    },
    Check { name: "loom", what: "cargo test --features loom --lib loom_tests", run: loom },
    Check { name: "java", what: "mvn -f runtime/java verify, the Java runtime and its example", run: java },
    Check {
        name: "python",
        what: "pyruntime: ruff, mypy, and pytest with the package installed",
        run: python,
    },
    Check { name: "examples", what: "the examples of several languages, byte for byte", run: examples },
    Check {
        name: "contract",
        what: "cargo run -p picofaas-contract, every runtime held to one contract",
        run: contract,
    },
    Check {
        name: "scaffold",
        what: "what `picofaas new` makes is built, tested, served and called, in every language",
        run: scaffold,
    },
    Check {
        name: "openapi",
        what: "openapi.yaml: its lint, its examples, and made-up requests",
        run: openapi,
    },
    Check {
        name: "manifests",
        what: "k8s/ by the API server's own code, a linter and promtool, without a cluster",
        run: manifests,
    },
    Check {
        name: "cluster",
        what: "JOB and WARM on a real Kubernetes, which is built once, started and taken down",
        run: cluster,
    },
];

/// The part of tests/cluster that belongs to every change; `cargo xtask verify cluster` runs all of it.
const CLUSTER_TESTS: [&str; 5] = ["jobs::", "kustomize::", "standby::", "warm::", "web::"];

/// Builds of the check `build`: a test or bench that starts a release binary adds it here.
const RELEASE_BUILDS: [&[&str]; 1] = [&["build", "--release", "--package", "picofaas", "--bins"]];

pub(crate) fn run(repository: &Repository, options: &TestOptions) -> Result<ExitCode> {
    let checks = select(&options.only)?;
    if options.list {
        for check in checks {
            println!("{:<12} {}", check.name, check.what);
        }
        return Ok(ExitCode::SUCCESS);
    }

    println!("cargo xtask test runs {} checks, goes on after a failure, and installs", checks.len());
    println!(
        "what they need and this machine lacks (rustfmt, clippy, cargo-deny, jq, redocly, schemathesis, ruff, mypy,"
    );
    println!("valgrind, kube-score, prometheus, chromium, Kubernetes with containerd and etcd), once:");
    for check in &checks {
        println!("  {:<12} {}", check.name, check.what);
    }

    let mut sum = Tally::default();
    let mut ends = Vec::new();
    for check in &checks {
        println!("\n== {}: {}", check.name, check.what);
        std::io::stdout().flush()?;
        let watch = Stopwatch::start();
        let verdict =
            (check.run)(repository).unwrap_or_else(|error| CheckResult::Failed(format!("{error:#}")));
        let (tally, end) = account(verdict);
        let end = format!("{:>4} s, {end}", watch.elapsed().as_secs());
        println!("== {}: {end}", check.name);
        sum += tally;
        ends.push(end);
    }

    println!();
    for (check, end) in checks.iter().zip(ends) {
        println!("  {:<12} {end}", check.name);
    }
    println!("{} passed, {} failed, {} skipped", sum.passed, sum.failed, sum.skipped);
    Ok(if sum.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn select(only: &[String]) -> Result<Vec<&'static Check>> {
    if let Some(unknown) = only.iter().find(|name| !CHECKS.iter().any(|check| check.name == *name)) {
        let names: Vec<&str> = CHECKS.iter().map(|check| check.name).collect();
        bail!("--only {unknown}: no such check, there are {}", names.join(", "));
    }
    let wanted = |check: &&Check| only.is_empty() || only.iter().any(|name| name == check.name);
    Ok(CHECKS.iter().filter(wanted).collect())
}

fn account(verdict: CheckResult) -> (Tally, String) {
    match verdict {
        CheckResult::Passed => (Tally::PASSED, "passed".to_owned()),
        CheckResult::Failed(why) => (Tally::FAILED, format!("FAILED: {why}")),
        CheckResult::Skipped(why) => (Tally::SKIPPED, format!("skipped: {why}")),
        CheckResult::Counted(tally) => (tally, counts(tally)),
        CheckResult::Timed(tally, suites) => (tally, format!("{}{suites}", counts(tally))),
    }
}

fn counts(tally: Tally) -> String {
    let word = if tally.failed == 0 { "passed" } else { "FAILED" };
    let Tally { passed, failed, skipped } = tally;
    format!("{word}: {passed} tests passed, {failed} failed, {skipped} ignored")
}

fn tidy(repository: &Repository) -> Result<CheckResult> {
    let faults = tidy::findings(repository)?;
    for fault in &faults {
        println!("{fault}");
    }
    Ok(match faults.len() {
        0 => CheckResult::Passed,
        count => CheckResult::Failed(format!("{count} faults")),
    })
}

fn fmt(repository: &Repository) -> Result<CheckResult> {
    if let Err(Unavailable(why)) = toolbox::rustup_component("rustfmt", "fmt") {
        return Ok(CheckResult::Skipped(why));
    }
    status(repository.cargo(&["fmt", "--all", "--check"]))
}

fn clippy(repository: &Repository) -> Result<CheckResult> {
    if let Err(Unavailable(why)) = toolbox::rustup_component("clippy", "clippy") {
        return Ok(CheckResult::Skipped(why));
    }
    // The others are no part of "all targets", because `cargo test` does not run it.
    let others = ["--package", "picofaas", "--test", "cluster", "--test", "browser"];
    let without_clusters = ["--package", "picofaas", "--no-default-features", "--all-targets"];
    for targets in [&["--workspace", "--all-targets"][..], &without_clusters, &others] {
        let arguments = [&["clippy"], targets, &["--", "-D", "warnings"]].concat();
        if let CheckResult::Failed(why) = status(repository.cargo(&arguments))? {
            return Ok(CheckResult::Failed(format!("cargo {}: {why}", arguments.join(" "))));
        }
    }
    Ok(CheckResult::Passed)
}

/// Without `advisories`: that part fetches a database from a host of its own, and an answer that changes
/// from day to day belongs to a scheduled job, not to the check of a change.
fn deny(repository: &Repository) -> Result<CheckResult> {
    let program = match toolbox::cargo_deny() {
        Ok(program) => program,
        Err(Unavailable(why)) => return Ok(CheckResult::Skipped(why)),
    };
    let mut command = Command::new(program);
    command.current_dir(repository.root()).args(["--workspace", "check", "licenses", "bans", "sources"]);
    status(command)
}

fn build(repository: &Repository) -> Result<CheckResult> {
    for arguments in RELEASE_BUILDS {
        println!("cargo {}", arguments.join(" "));
        if let CheckResult::Failed(why) = status(repository.cargo(arguments))? {
            return Ok(CheckResult::Failed(why));
        }
    }
    Ok(CheckResult::Passed)
}

/// With the time of each suite: this check takes longest.
fn test(repository: &Repository) -> Result<CheckResult> {
    time(repository.cargo(&["test", "--workspace", "--no-fail-fast"]))
}

fn instructions(repository: &Repository) -> Result<CheckResult> {
    let ends = instructions::check(repository)?;
    Ok(of_parts(&ends))
}

fn browser(repository: &Repository) -> Result<CheckResult> {
    if let Err(Unavailable(why)) = toolbox::debian_programs(&[CHROMIUM]) {
        return Ok(CheckResult::Skipped(why));
    }
    count(repository.cargo(&["test", "--package", "picofaas", "--test", "browser"]), Tally::from_libtest)
}

fn parts(repository: &Repository) -> Result<CheckResult> {
    let arguments = ["test", "--package", "picofaas", "--no-default-features", "--test", "system", "parts::"];
    count(repository.cargo(&arguments), Tally::from_libtest)
}

fn loom(repository: &Repository) -> Result<CheckResult> {
    count(repository.cargo(&["test", "--features", "loom", "--lib", "loom_tests"]), Tally::from_libtest)
}

fn java(repository: &Repository) -> Result<CheckResult> {
    for (program, flag) in [("java", "-version"), ("mvn", "-version")] {
        if let Err(Unavailable(why)) = toolbox::present(program, flag) {
            return Ok(CheckResult::Skipped(why));
        }
    }
    // A JVM that inherits SIGINT ignored, as from a shell's `&`, goes on ignoring it, and so would the instances
    // that the tests start and interrupt. The `env` of coreutils mends that; others need not know how.
    let mending = ["env", "--default-signal=INT"];
    let mends =
        Command::new(mending[0]).args([mending[1], "true"]).output().is_ok_and(|it| it.status.success());
    let mut command = Command::new(if mends { mending[0] } else { "mvn" });
    if mends {
        command.args([mending[1], "mvn"]);
    }
    // Without the progress of downloads, which is thousands of lines.
    command.args(["-B", "-ntp", "-f", "runtime/java", "verify"]);
    command.current_dir(repository.root());
    status(command)
}

fn scaffold(repository: &Repository) -> Result<CheckResult> {
    Ok(CheckResult::Counted(scaffold::run(repository)?))
}

/// After `java`, which builds the test function of that runtime. A runtime that cannot be started here is
/// told as skipped, and yet it is a failure: the table is to be without blanks.
fn contract(repository: &Repository) -> Result<CheckResult> {
    count(repository.cargo(&["run", "--quiet", "--package", "picofaas-contract"]), Tally::from_libtest)
}

fn cluster(repository: &Repository) -> Result<CheckResult> {
    match Testbed::set_up(repository, &[FUNCTION_IMAGE])? {
        Ok(testbed) => count(testbed.tests(repository, &CLUSTER_TESTS)?, Tally::from_libtest),
        Err(Unavailable(why)) => Ok(CheckResult::Skipped(why)),
    }
}

fn python(repository: &Repository) -> Result<CheckResult> {
    match python::tests(repository)? {
        Ok(tests) => count(tests, python::tally),
        Err(Unavailable(why)) => Ok(CheckResult::Skipped(why)),
    }
}

/// Runs tests and counts them by the lines that say how many there were.
fn count(mut command: Command, tally_of: fn(&str) -> Option<Tally>) -> Result<CheckResult> {
    let (output, input) = io::pipe().context("cannot make a pipe")?;
    command.stdout(input);
    Ok(CheckResult::Counted(follow(command, output, tally_of, |_| {})?))
}

/// Runs what cargo has to run and counts it, suite by suite.
fn time(mut command: Command) -> Result<CheckResult> {
    let (output, input) = io::pipe().context("cannot make a pipe")?;
    command.stdout(input.try_clone().context("cannot share a pipe")?).stderr(input);
    let mut suites = Suites::default();
    let tally = follow(command, output, Tally::from_libtest, |line| suites.read(line))?;
    Ok(CheckResult::Timed(tally, suites))
}

/// Runs a command, prints what comes out of the pipe it was given, and adds up the counts in it.
fn follow(
    mut command: Command,
    output: PipeReader,
    tally_of: fn(&str) -> Option<Tally>,
    mut see: impl FnMut(&str),
) -> Result<Tally> {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command.spawn().with_context(|| format!("cannot run {program}"))?;
    // It holds the other end of the pipe, which would have no end.
    drop(command);
    let mut tally = Tally::default();
    // Bytes and not `lines()`: what a test prints need not be UTF-8.
    for line in BufReader::new(output).split(b'\n') {
        let line = line.context("cannot read what tests print")?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        see(&line);
        if let Some(counts) = tally_of(&line) {
            tally += counts;
        }
    }
    let status = child.wait().with_context(|| format!("cannot wait for {program}"))?;
    // A crate that does not compile or a test binary that dies prints no counts, yet it failed.
    if !status.success() && tally.failed == 0 {
        println!("{program} ended with {status} and no test result says why: counted as one failure");
        tally.failed = 1;
    }
    Ok(tally)
}

fn examples(repository: &Repository) -> Result<CheckResult> {
    let ends = examples::run(repository)?;
    Ok(of_parts(&ends))
}

fn openapi(repository: &Repository) -> Result<CheckResult> {
    let ends = openapi::run(repository)?;
    Ok(of_parts(&ends))
}

fn manifests(repository: &Repository) -> Result<CheckResult> {
    let ends = manifests::run(repository)?;
    Ok(of_parts(&ends))
}

/// How a check ended that has parts.
fn of_parts(ends: &Ends) -> CheckResult {
    let Ends { failed, skipped } = ends;
    match (failed.is_empty(), skipped.is_empty()) {
        (false, _) => CheckResult::Failed(failed.join("; ")),
        (true, false) => CheckResult::Skipped(skipped.join("; ")),
        (true, true) => CheckResult::Passed,
    }
}

fn status(mut command: Command) -> Result<CheckResult> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command.stdin(Stdio::null()).status().with_context(|| format!("cannot run {program}"))?;
    Ok(if status.success() { CheckResult::Passed } else { CheckResult::Failed(status.to_string()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_check_is_refused_with_the_names_there_are() {
        let error = select(&["clipy".to_owned()]).err().unwrap().to_string();
        assert!(error.contains("--only clipy") && error.contains("clippy"), "{error}");
    }

    #[test]
    fn only_keeps_the_order_of_the_list_whatever_the_order_asked_for() {
        let names = |only: &[&str]| -> Vec<&str> {
            let only: Vec<String> = only.iter().map(|&name| name.to_owned()).collect();
            select(&only).unwrap().iter().map(|check| check.name).collect()
        };
        assert_eq!(names(&["test", "fmt"]), ["fmt", "test"]);
        assert_eq!(names(&[]).len(), CHECKS.len());
    }

    #[test]
    fn a_suite_is_timed_and_counted_whichever_stream_its_lines_come_on() {
        let mut command = Command::new("sh");
        let lines = "echo '     Running tests/a.rs (target/debug/deps/a-0f)' >&2; \
            echo 'test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 2.50s'; \
            exit 101";
        command.args(["-c", lines]);
        let (tally, end) = account(time(command).unwrap());
        assert_eq!(tally, Tally { passed: 3, failed: 1, skipped: 0 });
        let lines: Vec<&str> = end.lines().map(str::trim).collect();
        assert_eq!(lines, ["FAILED: 3 tests passed, 1 failed, 0 ignored", "2.50 s  a: tests/a.rs"]);
    }

    #[test]
    fn tests_that_end_without_a_result_are_a_failure() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo running; exit 101"]);
        assert_eq!(account(time(command).unwrap()).0, Tally::FAILED);
    }

    #[test]
    fn a_check_counts_one_and_its_tests_count_one_each() {
        assert_eq!(account(CheckResult::Passed).0, Tally::PASSED);
        assert_eq!(account(CheckResult::Skipped("no apt".to_owned())).0, Tally::SKIPPED);
        assert_eq!(account(CheckResult::Failed("exit code 1".to_owned())).0, Tally::FAILED);
        let tests = Tally { passed: 5, failed: 1, skipped: 2 };
        let (tally, end) = account(CheckResult::Counted(tests));
        assert_eq!(tally, tests);
        assert!(end.starts_with("FAILED"), "{end}");
    }
}
