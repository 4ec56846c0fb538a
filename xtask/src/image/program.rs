//! Programs that are compiled before an image is built: static binaries, a jar.

use std::env;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::repository::Repository;
use crate::toolbox::{self, MUSL, Unavailable};

/// The profile of what goes into images.
const PROFILE: &str = "dist";

/// Something that is compiled.
pub(super) enum Program {
    /// A program of the workspace, against musl: it needs no library and so runs in any image.
    Binary { package: &'static str, name: &'static str },
    /// The same of an example of a package.
    Example { package: &'static str, name: &'static str },
    /// The jar of a module of `runtime/java/pom.xml`, with everything in it.
    Jar { module: &'static str, path: &'static str },
}

pub(super) const PICOFAAS: Program = Program::Binary { package: "picofaas", name: "picofaas" };
pub(super) const WATCHDOG: Program =
    Program::Binary { package: "picofaas-watchdog", name: "picofaas-watchdog" };
pub(super) const WORD_STATS_RUST: Program =
    Program::Binary { package: "word-stats-rust", name: "word-stats-rust" };
pub(super) const JSON_TRANSFORM: Program =
    Program::Binary { package: "json-transform", name: "json-transform" };
pub(super) const TEST_FUNCTION: Program = Program::Example { package: "picofaas-runtime", name: "faulty" };
pub(super) const WORD_STATS_JAVA: Program =
    Program::Jar { module: "word-stats-java", path: "examples/word-stats-java/target/word-stats-java.jar" };

impl Program {
    /// Where it is once it is built.
    pub(super) fn path(&self, repository: &Repository) -> PathBuf {
        match self {
            Self::Binary { name, .. } => folder(repository).join(name),
            Self::Example { name, .. } => folder(repository).join("examples").join(name),
            Self::Jar { path, .. } => repository.root().join(path),
        }
    }

    /// The command that builds it, which does nothing where it is built.
    fn command(&self, repository: &Repository) -> Command {
        let target = target();
        // One package at a time: of several, cargo unites the features of what they depend on, so that
        // another choice of images would compile everything once more.
        let cargo = |package: &str, kind: &str, name: &str| {
            let flags = ["--profile", PROFILE, "--target", &target, "--package", package, kind, name];
            let mut command = repository.cargo(&["build"]);
            command.args(flags);
            command
        };
        match self {
            Self::Binary { package, name } => cargo(package, "--bin", name),
            Self::Example { package, name } => cargo(package, "--example", name),
            Self::Jar { module, .. } => {
                let mut command = Command::new("mvn");
                command.current_dir(repository.root()).args([
                    "-B",
                    "-ntp",
                    "-q",
                    "-f",
                    "runtime/java/pom.xml",
                ]);
                // The archive of classes is made in the image, by the JVM that will read it.
                command.args(["-pl", &format!(":{module}"), "-am", "-DskipTests", "-Dexec.skip", "package"]);
                command
            }
        }
    }

    fn require(&self) -> Result<(), Unavailable> {
        match self {
            Self::Binary { .. } | Self::Example { .. } => {
                toolbox::rustup_target(&target())?;
                // Allocators and cryptography are C.
                toolbox::debian_programs(&[MUSL])
            }
            Self::Jar { .. } => {
                toolbox::present("java", "-version")?;
                toolbox::present("mvn", "-version")
            }
        }
    }
}

/// Builds programs, each if it is not built.
pub(super) fn build(repository: &Repository, programs: &[&Program]) -> Result<()> {
    for program in programs {
        if let Err(Unavailable(why)) = program.require() {
            bail!("{} cannot be built: {why}", program.path(repository).display());
        }
        let mut command = program.command(repository);
        let shown = format!("{command:?}").replace('"', "");
        let status = command.stdin(Stdio::null()).status().with_context(|| format!("cannot run {shown}"))?;
        if !status.success() {
            bail!("{shown} ended with {status}");
        }
    }
    Ok(())
}

/// Where cargo puts static programs: what Dockerfiles call `binaries`.
pub(super) fn folder(repository: &Repository) -> PathBuf {
    repository.target().join(target()).join(PROFILE)
}

/// Images are for the machine that builds them.
fn target() -> String {
    format!("{}-unknown-linux-musl", env::consts::ARCH)
}
