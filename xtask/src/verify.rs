//! `cargo xtask verify`: what takes more than a machine to check, and is no part of `test` for that.

use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;

use crate::cluster::Cluster;
use crate::image::{self, Engine};
use crate::repository::Repository;
use crate::toolbox::Unavailable;

/// The image that the tests run in pods.
const IMAGE: &str = "picofaas-test-function";
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
    let testbed = match Testbed::set_up(repository)? {
        Ok(testbed) => testbed,
        Err(Unavailable(why)) => bail!("{why}"),
    };
    let status = testbed.tests(repository, filter.as_slice())?.status().context("cannot run cargo")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What tests/cluster needs: a cluster that has the image. One that was started for it goes with this value.
pub struct Testbed {
    cluster: Cluster,
}

impl Testbed {
    pub fn set_up(repository: &Repository) -> Result<Result<Self, Unavailable>> {
        // What can fail without a cluster does so before there is one.
        let engine = match Engine::find(repository)? {
            Ok(engine) => engine,
            Err(why) => return Ok(Err(why)),
        };
        let archives = image::build(repository, &engine, &[IMAGE.to_owned()])?;
        let cluster = match Cluster::for_tests()? {
            Ok(cluster) => cluster,
            Err(why) => return Ok(Err(why)),
        };
        if cluster.is_ours() {
            for archive in &archives {
                cluster.import(&archive.path)?;
            }
        } else {
            println!(
                "KUBECONFIG names another cluster: its nodes must have, or be able to pull, {}",
                image::reference(IMAGE)
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
