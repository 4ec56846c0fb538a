//! `cargo xtask verify`: what takes more than a machine to check, and is no part of `test` for that.

use std::env;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;

use crate::cluster::Cluster;
use crate::image::{self, Engine};
use crate::libtest::Tally;
use crate::repository::Repository;
use crate::rights::{self, Calls};
use crate::toolbox::{self, CHROMIUM, PROMETHEUS, Unavailable};

/// The image that functions of the tests run.
pub(crate) const FUNCTION_IMAGE: &str = "picofaas-test-function";
/// The images of the control plane, for those tests that install it, and of an example.
const INSTALLED_IMAGES: [&str; 2] = ["picofaas", "word-stats-rust"];
/// Tests at once: each has a control plane and pods of its own.
const TESTS_AT_ONCE: &str = "2";
/// In the names of tests that take away what the others live on, or that need the one namespace of `k8s/`.
const ALONE: &str = "alone::";
/// How a line begins that says what a fault cost.
const FAULT: &str = "fault: ";
/// Names this program to the tests, which take the API server away and bring it back by it.
const OWN_PROGRAM: &str = "PICOFAAS_XTASK";

#[derive(clap::Args)]
pub(crate) struct VerifyArguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Run tests/cluster on a real Kubernetes: the one of KUBECONFIG, the one that is up, or one that goes after
    Cluster {
        /// Run only tests whose name has this in it
        filter: Option<String>,
    },
}

pub(crate) fn run(repository: &Repository, arguments: &VerifyArguments) -> Result<ExitCode> {
    match &arguments.what {
        What::Cluster { filter } => cluster(repository, filter.as_deref()),
    }
}

fn cluster(repository: &Repository, filter: Option<&str>) -> Result<ExitCode> {
    if let Err(Unavailable(why)) = toolbox::debian_programs(&[PROMETHEUS, CHROMIUM]) {
        bail!("{why}");
    }
    let (alone, beside): (Vec<_>, Vec<_>) =
        list(repository, filter)?.into_iter().partition(|name| name.starts_with(ALONE));
    let images = [&[FUNCTION_IMAGE][..], &INSTALLED_IMAGES].concat();
    let testbed = match Testbed::set_up(repository, &images)? {
        Ok(testbed) => testbed,
        Err(Unavailable(why)) => bail!("{why}"),
    };
    let (calls, mut report) = (Calls::new()?, Report::default());
    if !beside.is_empty() {
        println!("{} tests, {TESTS_AT_ONCE} at once", beside.len());
        report.run(testbed.exactly(repository, &beside, TESTS_AT_ONCE, &calls)?)?;
    }
    if !alone.is_empty() && testbed.cluster.is_ours() {
        println!("{} tests that need the cluster for themselves, one after the other", alone.len());
        report.run(testbed.exactly(repository, &alone, "1", &calls)?)?;
    } else if !alone.is_empty() {
        println!(
            "{} tests skipped, because they stop the API server, kill processes on the node and take the namespace picofaas, and KUBECONFIG names a cluster that is not of `cargo xtask cluster up`: {}",
            alone.len(),
            alone.join(" ")
        );
        report.tally.skipped += alone.len() as u64;
    }
    report.tell();
    if report.tally.failed > 0 {
        println!("skipped: the comparison of the Role with the calls that were made, because tests failed");
        return Ok(ExitCode::FAILURE);
    }
    calls.compare(repository, testbed.cluster.kubectl()?, filter.is_none())?;
    Ok(ExitCode::SUCCESS)
}

/// The names of the tests that there are.
fn list(repository: &Repository, filter: Option<&str>) -> Result<Vec<String>> {
    let mut tests = repository.cargo(&["test", "--package", "picofaas", "--test", "cluster", "--"]);
    tests.args(["--list", "--format", "terse"]).args(filter).stderr(Stdio::inherit());
    let output = tests.output().context("cannot run cargo")?;
    if !output.status.success() {
        bail!("the tests could not be built");
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let names: Vec<String> =
        text.lines().filter_map(|line| line.strip_suffix(": test")).map(ToOwned::to_owned).collect();
    if names.is_empty() {
        bail!("no test of tests/cluster has {:?} in its name", filter.unwrap_or_default());
    }
    Ok(names)
}

/// Testbed of tests/cluster: a cluster that has the images. One that was started for it goes with this value.
pub(crate) struct Testbed {
    cluster: Cluster,
    engine: Engine,
}

impl Testbed {
    pub(crate) fn set_up(repository: &Repository, images: &[&str]) -> Result<Result<Self, Unavailable>> {
        // Steps that can fail without a cluster come before there is one.
        let engine = match Engine::find(repository)? {
            Ok(engine) => engine,
            Err(why) => return Ok(Err(why)),
        };
        let names: Vec<String> = images.iter().map(|name| (*name).to_owned()).collect();
        let archives = image::build(repository, &engine, &names)?;
        let cluster = match Cluster::for_tests()? {
            Ok(cluster) => cluster,
            Err(why) => return Ok(Err(why)),
        };
        if cluster.is_ours() {
            for archive in &archives {
                cluster.import(&archive.path)?;
            }
        } else {
            let references: Vec<String> = images.iter().map(|name| image::reference(name)).collect();
            println!(
                "KUBECONFIG names another cluster: its nodes must have these images, which no registry can give them: {}",
                references.join(" and ")
            );
        }
        Ok(Ok(Self { cluster, engine }))
    }

    pub(crate) fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The command that runs those tests whose name has one of these in it; all, where there is none.
    pub(crate) fn tests(&self, repository: &Repository, filters: &[&str]) -> Result<Command> {
        let kubectl = self.cluster.kubectl()?;
        let mut tests = repository.cargo(&["test", "--package", "picofaas", "--test", "cluster", "--"]);
        tests.args(["--test-threads", TESTS_AT_ONCE]).args(filters);
        self.engine.of(self.cluster.of(&mut tests)).env("KUBECTL", kubectl.get_program());
        Ok(tests)
    }

    /// The command that runs the tests of these names, so many at once, and shows what they say of the faults.
    fn exactly(
        &self,
        repository: &Repository,
        names: &[String],
        at_once: &str,
        calls: &Calls,
    ) -> Result<Command> {
        let mut tests = repository.cargo(&["test", "--package", "picofaas", "--test", "cluster", "--"]);
        tests.args(["--test-threads", at_once, "--show-output", "--exact"]).args(names);
        let kubectl = self.cluster.kubectl()?;
        self.engine.of(self.cluster.of(&mut tests)).env("KUBECTL", kubectl.get_program());
        tests.env(rights::VARIABLE, calls.file()).env_remove(OWN_PROGRAM);
        if self.cluster.is_ours() {
            tests.env(OWN_PROGRAM, env::current_exe().context("cannot tell the path of this program")?);
        }
        Ok(tests)
    }
}

/// Counts of the tests, and their measurements of the faults.
#[derive(Default)]
struct Report {
    tally: Tally,
    faults: Vec<String>,
}

impl Report {
    fn run(&mut self, mut tests: Command) -> Result<()> {
        let mut child = tests.stdout(Stdio::piped()).spawn().context("cannot run cargo")?;
        let stdout = child.stdout.take().context("the output of tests is not piped")?;
        let before = self.tally.failed;
        // Bytes and not `lines()`: what a test prints need not be UTF-8.
        for line in BufReader::new(stdout).split(b'\n') {
            let line = line.context("cannot read what tests print")?;
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            self.read(&line);
        }
        let status = child.wait().context("cannot wait for cargo")?;
        // A test binary that dies prints no counts, yet it failed.
        if !status.success() && self.tally.failed == before {
            println!("cargo ended with {status} and no test result says why: counted as one failure");
            self.tally.failed += 1;
        }
        Ok(())
    }

    fn read(&mut self, line: &str) {
        if let Some(counts) = Tally::from_libtest(line) {
            self.tally += counts;
        }
        if line.starts_with(FAULT) {
            self.faults.push(line.to_owned());
        }
    }

    /// The faults in one place, and the counts.
    fn tell(&self) {
        for fault in &self.faults {
            println!("{fault}");
        }
        let Tally { passed, failed, skipped } = self.tally;
        println!("tests/cluster: {passed} passed, {failed} failed, {skipped} skipped");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_every_run_add_up_and_what_faults_cost_is_kept() {
        let mut report = Report::default();
        for line in [
            "fault: a pod is deleted | no request failed",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.01s",
            "it has no fault: fine",
            "test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 3 filtered out; finished in 0.01s",
        ] {
            report.read(line);
        }
        assert_eq!(report.tally, Tally { passed: 5, failed: 1, skipped: 1 });
        assert_eq!(report.faults, ["fault: a pod is deleted | no request failed"]);
    }
}
