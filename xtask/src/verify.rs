//! `cargo xtask verify`: what takes more than a machine to check, and is no part of `test` for that.

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;

use crate::cluster::Cluster;
use crate::image;
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
    // What can fail without a cluster does so before there is one.
    let engine = image::engine::Engine::find(repository)?;
    let archives = image::build(repository, &engine, &[IMAGE.to_owned()])?;
    let cluster = match Cluster::for_tests()? {
        Ok(cluster) => cluster,
        Err(Unavailable(why)) => bail!("{why}"),
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
    let kubectl = cluster.kubectl()?;
    let mut tests = repository.cargo(&["test", "--package", "picofaas", "--test", "cluster", "--"]);
    tests.args(["--test-threads", TESTS_AT_ONCE]).args(filter);
    tests.env("KUBECONFIG", cluster.kubeconfig()).env("KUBECTL", kubectl.get_program());
    let status = tests.status().context("cannot run cargo")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
