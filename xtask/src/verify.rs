//! `cargo xtask verify`: what takes more than a machine to check, and is no part of `test` for that.

use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;

use crate::cluster::Cluster;
use crate::image::{self, Engine};
use crate::repository::Repository;
use crate::rights::{self, Calls};
use crate::toolbox::{self, PROMETHEUS, Unavailable};

/// The image that functions of the tests run.
pub const FUNCTION_IMAGE: &str = "picofaas-test-function";
/// The image of the control plane, for those tests that install it.
const CONTROL_PLANE_IMAGE: &str = "picofaas";
/// Tests at once: each has a control plane and pods of its own.
const TESTS_AT_ONCE: &str = "2";

#[derive(clap::Args)]
pub struct Arguments {
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

pub fn run(repository: &Repository, arguments: &Arguments) -> Result<ExitCode> {
    match &arguments.what {
        What::Cluster { filter } => cluster(repository, filter.as_deref()),
    }
}

fn cluster(repository: &Repository, filter: Option<&str>) -> Result<ExitCode> {
    if let Err(Unavailable(why)) = toolbox::debian_programs(&[PROMETHEUS]) {
        bail!("{why}");
    }
    let testbed = match Testbed::set_up(repository, &[FUNCTION_IMAGE, CONTROL_PLANE_IMAGE])? {
        Ok(testbed) => testbed,
        Err(Unavailable(why)) => bail!("{why}"),
    };
    let calls = Calls::new()?;
    let mut tests = testbed.tests(repository, filter.as_slice())?;
    let status = tests.env(rights::VARIABLE, calls.file()).status().context("cannot run cargo")?;
    if !status.success() {
        println!("skipped: the comparison of the Role with the calls that were made, because tests failed");
        return Ok(ExitCode::FAILURE);
    }
    calls.compare(repository, testbed.cluster.kubectl()?, filter.is_none())?;
    Ok(ExitCode::SUCCESS)
}

/// What tests/cluster needs: a cluster that has the images. One that was started for it goes with this value.
pub struct Testbed {
    cluster: Cluster,
}

impl Testbed {
    pub fn set_up(repository: &Repository, images: &[&str]) -> Result<Result<Self, Unavailable>> {
        // What can fail without a cluster does so before there is one.
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
                "KUBECONFIG names another cluster: its nodes must have, or be able to pull, {}",
                references.join(" and ")
            );
        }
        Ok(Ok(Self { cluster }))
    }

    /// The command that runs those tests whose name has one of these in it; all, where there is none.
    pub fn tests(&self, repository: &Repository, filters: &[&str]) -> Result<Command> {
        let kubectl = self.cluster.kubectl()?;
        let mut tests = repository.cargo(&["test", "--package", "picofaas", "--test", "cluster", "--"]);
        tests.args(["--test-threads", TESTS_AT_ONCE]).args(filters);
        tests.env("KUBECONFIG", self.cluster.kubeconfig()).env("KUBECTL", kubectl.get_program());
        Ok(tests)
    }
}
