//! The programs and files that subjects are made of.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::RuntimesOptions;
use super::subject::RuntimeSubject;
use crate::bench::{absolute, build};
use crate::repository::Repository;
use crate::toolbox::{self, Unavailable};

/// Of the watchdog that is measured: one static binary.
const STATIC_TARGET: &str = "x86_64-unknown-linux-musl";

pub(in crate::bench) const ECHO: [&str; 4] = ["--package", "picofaas-runtime", "--example", "echo"];

/// Programs and files of all subjects. Those of an absent toolchain say why they are not there.
pub(super) struct RuntimeFixtures {
    /// Subjects that are measured; all where there are none.
    pub subjects: Vec<RuntimeSubject>,
    /// For sockets and logs.
    pub folder: PathBuf,
    /// `benches/runtimes`.
    pub sources: PathBuf,
    /// Of wrk.
    pub load_script: PathBuf,
    pub nginx_template: PathBuf,
    pub echo: PathBuf,
    pub watchdog: PathBuf,
    /// A static program that does nothing.
    pub noop: PathBuf,
    /// The programs of the environment with Flask and uvicorn.
    pub peers: PathBuf,
    /// The programs of an environment with the Python runtime.
    pub python: Result<PathBuf, Unavailable>,
    /// Where `faulty.jar` and `faulty.jsa` are.
    pub java: Result<PathBuf, Unavailable>,
}

impl RuntimeFixtures {
    /// Builds and installs everything.
    pub(super) fn assemble(repository: &Repository, options: &RuntimesOptions) -> Result<Self> {
        let folder = repository.target().join("xtask/bench-runtimes");
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let sources = repository.root().join("benches/runtimes");
        let peers = match toolbox::python_programs(&sources.join("requirements.txt")) {
            Ok(programs) => programs,
            Err(Unavailable(why)) => bail!("{why}"),
        };
        let mut fixtures = Self {
            load_script: repository.root().join("benches/wrk/invoke.lua"),
            nginx_template: repository.root().join("benches/nginx/reverse-proxy.conf"),
            subjects: options.subjects.clone(),
            echo: match &options.function_binary {
                Some(file) => absolute(file)?,
                None => build(repository, &ECHO, "examples/echo")?,
            },
            watchdog: match &options.watchdog_binary {
                Some(file) => absolute(file)?,
                None => watchdog(repository)?,
            },
            noop: noop(&sources, &folder)?,
            java: Err(Unavailable("it was not asked for".to_owned())),
            folder,
            sources,
            peers,
            python: Err(Unavailable("it was not asked for".to_owned())),
        };
        if fixtures.wanted(RuntimeSubject::Python) {
            fixtures.python = match &options.python {
                Some(programs) => Ok(absolute(programs)?),
                None => python(repository, &fixtures.folder),
            };
        }
        if fixtures.wanted(RuntimeSubject::Java) || fixtures.wanted(RuntimeSubject::JavaWithoutArchive) {
            fixtures.java = java(repository);
        }
        Ok(fixtures)
    }
}

pub(in crate::bench) fn watchdog(repository: &Repository) -> Result<PathBuf> {
    if let Err(Unavailable(why)) = toolbox::rustup_target(STATIC_TARGET) {
        bail!("{why}");
    }
    let arguments =
        ["build", "--profile", "dist", "--target", STATIC_TARGET, "--package", "picofaas-watchdog"];
    println!("cargo {}", arguments.join(" "));
    let status = repository.cargo(&arguments).status().context("cannot run cargo")?;
    if !status.success() {
        bail!("cargo {} failed: {status}", arguments.join(" "));
    }
    Ok(repository.target().join(STATIC_TARGET).join("dist/picofaas-watchdog"))
}

fn noop(sources: &Path, folder: &Path) -> Result<PathBuf> {
    let program = folder.join("noop");
    let mut rustc = Command::new("rustc");
    rustc.args(["--edition", "2024", "-C", "opt-level=3", "-C", "panic=abort", "-C", "strip=symbols"]);
    rustc.args(["-C", "target-feature=+crt-static", "-o"]).arg(&program).arg(sources.join("noop.rs"));
    let status = rustc.status().context("cannot run rustc")?;
    if !status.success() {
        bail!("rustc could not make {}: {status}", program.display());
    }
    Ok(program)
}

/// A virtual environment with the Python runtime of this tree in it, as pip builds and installs it.
pub(in crate::bench) fn python(repository: &Repository, folder: &Path) -> Result<PathBuf, Unavailable> {
    let programs = toolbox::python_environment(&folder.join("python"))?;
    let mut install = Command::new(programs.join("python"));
    install.args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]);
    install.args(["--no-deps", "--force-reinstall", "./pyruntime"]).current_dir(repository.root());
    println!("pip install --no-deps ./pyruntime");
    match install.status() {
        Ok(status) if status.success() => Ok(programs),
        Ok(status) => Err(Unavailable(format!("pip install ./pyruntime failed: {status}"))),
        Err(error) => Err(Unavailable(format!("pip cannot be run: {error}"))),
    }
}

/// The function that the Java runtime is tested with, and the archive of its classes.
pub(in crate::bench) fn java(repository: &Repository) -> Result<PathBuf, Unavailable> {
    for (program, flag) in [("java", "-version"), ("mvn", "-version")] {
        toolbox::present(program, flag)?;
    }
    let mut maven = Command::new("mvn");
    maven.args(["-B", "-q", "-ntp", "-f", "runtime/java", "-pl", "faulty", "-am", "-DskipTests", "package"]);
    println!("mvn -f runtime/java -pl faulty -am -DskipTests package");
    match maven.current_dir(repository.root()).status() {
        Ok(status) if status.success() => Ok(repository.root().join("runtime/java/faulty/target")),
        Ok(status) => Err(Unavailable(format!("mvn -f runtime/java package failed: {status}"))),
        Err(error) => Err(Unavailable(format!("mvn cannot be run: {error}"))),
    }
}
