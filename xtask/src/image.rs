//! `cargo xtask image`: the container images, built from the Dockerfiles of the tree and left as archives
//! that `ctr -n k8s.io images import`, `docker load` and `podman load` take.
//!
//! | part | what it is |
//! |---|---|
//! | `catalogue` | every image: its Dockerfile, and what goes into it |
//! | `engine` | buildah with a storage of its own under the target folder, else docker or podman |
//! | `base` | the images of others that ours begin with, and their stand-ins where none can be pulled |
//! | `program` | what is compiled before an image is built: static programs, a jar |
//! | `stamp` | what an image was built from, so that it is built again only when that changed |
//!
//! Programs are compiled outside of the images, where cargo and Maven keep what they built before; a
//! Dockerfile only puts them into place.

mod base;
mod catalogue;
pub(crate) mod engine;
mod program;
mod stamp;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

use crate::repository::Repository;
use crate::toolbox::Unavailable;
use crate::wait::Stopwatch;
use base::Bases;
use catalogue::Image;
pub(crate) use engine::Engine;
use stamp::Stamp;

/// Host in the name of every image of this repository. RFC 6761 keeps `.invalid` out of the DNS, so no registry can
/// answer it: an image that nobody has brought to a node, or named anew, is an error there and not a stranger's.
pub(crate) const HOST: &str = "picofaas.invalid";

#[derive(clap::Args)]
pub(crate) struct ImageOptions {
    /// The images to build, with those that they begin with; all where none is named
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Push each as REGISTRY/picofaas/NAME:VERSION, too
    #[arg(long, value_name = "REGISTRY")]
    push: Option<String>,
    /// List the images with what they are called, and stop
    #[arg(long)]
    list: bool,
}

/// An image that was built.
pub(crate) struct Archive {
    pub name: &'static str,
    /// Its name in a pod, and in a runtime that has imported the archive.
    pub reference: String,
    pub path: PathBuf,
}

pub(crate) fn run(repository: &Repository, options: &ImageOptions) -> Result<ExitCode> {
    if options.list {
        for image in catalogue::select(&options.names)? {
            println!("{:<24} {:<48} {}", image.name, reference(image.name), image.what);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let engine = match Engine::find(repository)? {
        Ok(engine) => engine,
        Err(Unavailable(why)) => bail!("{why}"),
    };
    println!("images are built by {engine}");
    let archives = build(repository, &engine, &options.names)?;
    if let Some(registry) = &options.push {
        for archive in &archives {
            let target = format!("{registry}/picofaas/{}:{}", archive.name, version());
            println!("pushing {target}");
            engine.push(&archive.reference, &target)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds the named images, or all, where they are not there as they would become now.
pub(crate) fn build(repository: &Repository, engine: &Engine, names: &[String]) -> Result<Vec<Archive>> {
    let folder = folder(repository);
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let mut bases = Bases::new(&folder);
    let mut archives: Vec<(Archive, Stamp)> = Vec::new();
    for image in catalogue::select(names)? {
        program::build(repository, image.programs)?;
        let watch = Stopwatch::start();
        let mut stamp = Stamp::of(repository, image)?;
        stamp.add(&engine.to_string());
        for base in image.bases {
            stamp.add(&bases.get(engine, base)?);
        }
        for parent in image.parents {
            match archives.iter().find(|(archive, _)| archive.name == *parent) {
                Some((_, theirs)) => stamp.add(&theirs.to_string()),
                None => bail!("{} begins with {parent}, which is built after it", image.name),
            }
        }
        let archive = Archive {
            name: image.name,
            reference: reference(image.name),
            path: folder.join(format!("{}.tar", image.name)),
        };
        let kept = folder.join(format!("{}.stamp", image.name));
        let said = if stamp.is_kept_in(&kept) && archive.path.is_file() && engine.has(&archive.reference) {
            "unchanged".to_owned()
        } else {
            make(repository, engine, image, &archive)?;
            stamp.keep_in(&kept)?;
            format!("built in {:.1} s", watch.elapsed().as_secs_f64())
        };
        println!("{:<24} {} {} ({said})", image.name, size(&archive.path)?, archive.path.display());
        archives.push((archive, stamp));
    }
    Ok(archives.into_iter().map(|(archive, _)| archive).collect())
}

fn make(repository: &Repository, engine: &Engine, image: &Image, archive: &Archive) -> Result<()> {
    println!("building {} from {}", archive.reference, image.dockerfile);
    let root = repository.root();
    engine.build(&engine::Recipe {
        dockerfile: &root.join(image.dockerfile),
        context: &root.join(image.context),
        binaries: &program::folder(repository),
        arguments: &[("REGISTRY", HOST), ("VERSION", version())],
        reference: &archive.reference,
    })?;
    engine.save(&archive.reference, &archive.path)
}

/// Where the archives are.
pub(crate) fn folder(repository: &Repository) -> PathBuf {
    repository.target().join("images")
}

/// Name of an image of ours, with its tag.
pub(crate) fn reference(name: &str) -> String {
    format!("{HOST}/{name}:{}", version())
}

/// Whether `cargo xtask image` makes an image of this name.
pub(crate) fn is_built_here(name: &str) -> bool {
    catalogue::has(name)
}

/// Version of the workspace, which this package shares.
fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

fn size(path: &Path) -> Result<String> {
    let bytes = fs::metadata(path).with_context(|| format!("cannot look at {}", path.display()))?.len();
    // Archives are of megabytes; what is lost of 64 bits is less than what is shown.
    Ok(format!("{:>6}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every Dockerfile of the tree, and those that `picofaas new` makes.
    fn dockerfiles() -> Vec<(PathBuf, String)> {
        let repository = Repository::find().unwrap();
        let is_one = |path: &PathBuf| path.file_stem().is_some_and(|name| name == "Dockerfile");
        let paths = repository.tracked_files().unwrap().into_iter().filter(is_one);
        paths.map(|path| (path.clone(), fs::read_to_string(repository.root().join(path)).unwrap())).collect()
    }

    #[test]
    fn a_dockerfile_that_is_built_by_hand_begins_with_the_images_of_this_version() {
        let mut named = 0;
        for (path, text) in dockerfiles() {
            let of_ours = |line: &&str| line.starts_with("ARG REGISTRY") || line.starts_with("ARG VERSION");
            for line in text.lines().filter(of_ours) {
                named += 1;
                let expected = [format!("ARG REGISTRY={HOST}"), format!("ARG VERSION={}", version())];
                assert!(expected.iter().any(|argument| argument == line), "{}: {line}", path.display());
            }
        }
        assert!(named >= 2, "no Dockerfile names a version");
    }

    #[test]
    fn every_image_runs_as_a_user_that_is_a_number_and_is_not_root() {
        for image in catalogue::select(&[]).unwrap() {
            let root = Repository::find().unwrap().root().to_path_buf();
            let text = fs::read_to_string(root.join(image.dockerfile)).unwrap();
            let last = text.lines().rfind(|line| line.starts_with("USER "));
            assert_eq!(last, Some("USER 65532:65532"), "{}", image.dockerfile);
        }
    }
}
