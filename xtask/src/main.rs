//! Every chore of this repository, one file per chore. `cargo xtask` alone lists them.
//!
//! | part | what it is |
//! |---|---|
//! | `test` | the named checks that a change must pass, run here as in CI |
//! | `tidy` | the rules about the tree itself that no compiler checks |
//! | `bench` | picofaas beside nginx and a direct call, under the same load |
//! | `flame` | a flame graph of picofaas under a load, and its figures |
//! | `image` | the container images, from the Dockerfiles of the tree |
//! | `manifests` | the part of `test` that checks `k8s/` without a cluster |
//! | `openapi` | the part of `test` that compares openapi.yaml with a running server |
//! | `examples` | the part of `test` that compares what the examples of several languages answer |
//! | `schema` | the generated parts of the schemas of a function |
//! | `scaffold` | the part of `test` that tries out what `picofaas new` makes |
//! | `cluster` | a real Kubernetes of one node on this machine |
//! | `verify` | tests that need a cluster, all of them; the part `cluster` of `test` runs some |
//! | `ends` | how a check ended that has parts |
//! | `repository` | where the tree is, what is in it, how cargo is called in it |
//! | `toolbox` | the tools a chore needs and how they get onto this machine |
//! | `libtest` | reads the counts out of what `cargo test` prints |
//! | `suites` | reads the time of each test binary out of it |
//! | `process` | a child process that does not outlive this one |
//! | `digest` | what tells the bytes of a file apart |
//! | `folder` | a folder that goes when its owner does |
//! | `http`, `wait` | a request to 127.0.0.1, and patience with a limit |

mod bench;
mod cluster;
mod digest;
mod ends;
mod examples;
mod flame;
mod folder;
mod http;
mod image;
mod libtest;
mod manifests;
mod openapi;
mod process;
mod python;
mod repository;
mod rights;
mod scaffold;
mod schema;
mod suites;
mod test;
mod tidy;
mod toolbox;
mod verify;
mod wait;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::repository::Repository;

/// The chores of this repository.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    chore: Option<Chore>,
}

#[derive(Subcommand)]
enum Chore {
    /// Run every check a change must pass and count what passed, failed and was skipped
    Test(test::TestOptions),
    /// Check the rules about the tree itself: names, licences, links, leftovers, comments, imports
    Tidy(tidy::TidyOptions),
    /// Measure picofaas beside nginx and a direct call: latency, requests/s, CPU per request
    Bench(Box<bench::BenchArguments>),
    /// Draw where the CPU time of picofaas goes under a load, with its stages, into flamegraphs/
    Flame(flame::FlameOptions),
    /// A real Kubernetes of one node on this machine: put it up, look at it, take it down
    Cluster(cluster::ClusterArguments),
    /// Build the container images and leave them as archives under target/images
    Image(image::ImageOptions),
    /// Write what k8s/10-crd.yaml and openapi.yaml have of the fields of a function
    Schema,
    /// Run the tests that need a real cluster, on one
    Verify(verify::VerifyArguments),
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Some(chore) = arguments.chore else {
        Arguments::command().print_help()?;
        return Ok(ExitCode::SUCCESS);
    };
    let repository = Repository::find()?;
    match chore {
        Chore::Test(options) => test::run(&repository, &options),
        Chore::Tidy(options) => tidy::run(&repository, &options),
        Chore::Bench(arguments) => bench::run(&repository, &arguments),
        Chore::Flame(options) => flame::run(&repository, &options),
        Chore::Cluster(arguments) => cluster::run(arguments),
        Chore::Image(options) => image::run(&repository, &options),
        Chore::Schema => schema::run(&repository),
        Chore::Verify(arguments) => verify::run(&repository, &arguments),
    }
}
