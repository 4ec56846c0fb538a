//! `cargo xtask bench first-steps`: how long a newcomer waits, from a fresh clone to a served function, to one of their
//! own in each language, and from an edit of it to its answer.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::machine::Machine;
use super::report::table;
use crate::folder::Folder;
use crate::http;
use crate::process::Process;
use crate::repository::Repository;
use crate::wait::{self, Stopwatch};

/// The first command of README.md, behind `cargo`.
const FIRST_COMMAND: [&str; 7] =
    ["run", "--profile", "quick", "--no-default-features", "--", "dev", "examples/hello"];
/// Only what hangs takes so long.
const PATIENCE: Duration = Duration::from_secs(1800);
/// Answers of every new function to Ada: as it is made, and after the edit.
const GREETINGS: [&str; 2] = ["hello ", "hi "];

/// Steps that are timed.
#[derive(clap::Args)]
pub(crate) struct FirstStepsOptions {
    /// Languages of functions of one's own
    #[arg(long, value_delimiter = ',', default_value = "python,shell,rust,java", value_name = "LANGUAGE,…")]
    languages: Vec<String>,
    /// Fail where a step takes longer than README.md says it may
    #[arg(long)]
    strict: bool,
}

/// A step, what it took, and what it may take at most.
struct Step {
    name: String,
    took: Duration,
    most: Duration,
}

pub(crate) fn run(repository: &Repository, options: &FirstStepsOptions) -> Result<ExitCode> {
    let machine = Machine::read(&[("cargo", "--version")])?;
    println!("{machine}");
    machine.warn_when_busy();
    let commit = repository.commit()?;
    if commit.ends_with("-dirty") {
        println!("warning: what is not committed is not in the clone");
    }
    let folder = Folder::make("first-steps")?;
    let clone = folder.path().join("picofaas");
    let mut git = Command::new("git");
    git.arg("clone").arg("--quiet").arg(repository.root()).arg(&clone);
    ensure!(git.status().context("cannot run git")?.success(), "git clone failed");

    let mut steps = first_command(folder.path(), &clone)?;
    let picofaas = clone.join("target/quick/picofaas");
    for language in &options.languages {
        steps.extend(own_function(folder.path(), &picofaas, language)?);
    }
    println!("\n{}", report(&steps));
    println!("commit: {commit}; what cargo, pip and Maven had downloaded before was not downloaded again");
    let late = steps.iter().filter(|step| step.took > step.most).count();
    let fails = options.strict && late > 0;
    Ok(if fails { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn report(steps: &[Step]) -> String {
    let mut rows = table(&["step", "took s", "may take s"]);
    for Step { name, took, most } in steps {
        rows.add_row(vec![
            name.clone(),
            format!("{:.1}", took.as_secs_f64()),
            format!("{:.0}", most.as_secs_f64()),
        ]);
    }
    rows.to_string()
}

/// From the first command to an answer, and from an edit to its answer.
fn first_command(folder: &Path, clone: &Path) -> Result<Vec<Step>> {
    let mut command = crate::repository::cargo();
    command.args(FIRST_COMMAND).current_dir(clone);
    let watch = Stopwatch::start();
    let served = Served::start(&mut command, folder, "hello")?;
    served.answers(GREETINGS[0])?;
    let first = Step {
        name: "fresh clone to the first answer".to_owned(),
        took: watch.elapsed(),
        most: Duration::from_secs(120),
    };
    let edited = edit(&clone.join("examples/hello"), &served, Duration::from_secs(1), "hello")?;
    served.process.stop()?;
    Ok(vec![first, edited])
}

/// The same for a function of one's own.
fn own_function(folder: &Path, picofaas: &Path, language: &str) -> Result<Vec<Step>> {
    let name = format!("first-{language}");
    let watch = Stopwatch::start();
    let mut new = Command::new(picofaas);
    new.args(["new", &name, "--lang", language]).current_dir(folder).stdout(Stdio::null());
    ensure!(new.status().context("cannot run picofaas")?.success(), "picofaas new --lang {language} failed");
    let mut command = Command::new(picofaas);
    command.args(["dev", &name]).current_dir(folder);
    let served = Served::start(&mut command, folder, &name)?;
    served.answers(GREETINGS[0])?;
    let own = Step {
        name: format!("`picofaas new --lang {language}` to its answer"),
        took: watch.elapsed(),
        most: Duration::from_secs(240),
    };
    let compiles = ["rust", "java"].contains(&language);
    let edited =
        edit(&folder.join(&name), &served, Duration::from_secs(if compiles { 10 } else { 1 }), language)?;
    served.process.stop()?;
    Ok(vec![own, edited])
}

/// Edits a function that is served, and waits for the answer of the new version.
fn edit(function: &Path, served: &Served, most: Duration, language: &str) -> Result<Step> {
    let [before, after] = GREETINGS;
    let source = source(function)?.with_context(|| format!("{} greets nobody", function.display()))?;
    let text = fs::read_to_string(&source).with_context(|| format!("cannot read {}", source.display()))?;
    let watch = Stopwatch::start();
    fs::write(&source, text.replace(before, after))
        .with_context(|| format!("cannot write {}", source.display()))?;
    served.answers(after)?;
    Ok(Step { name: format!("an edit to its answer, {language}"), took: watch.elapsed(), most })
}

/// The source of a function, which has the greeting in it. Tests and what others wrote are passed over.
fn source(folder: &Path) -> Result<Option<PathBuf>> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with('.') || ["vendor", "target", "test"].contains(&name.as_str()) {
            continue;
        }
        if path.is_dir() {
            if let Some(found) = source(&path)? {
                return Ok(Some(found));
            }
            continue;
        }
        let is_source =
            ["py", "sh", "rs", "java"].iter().any(|extension| name.ends_with(&format!(".{extension}")));
        if is_source && !name.starts_with("test") && fs::read_to_string(&path)?.contains(GREETINGS[0]) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// A function that `picofaas dev` serves.
struct Served {
    process: Process,
    port: u16,
    function: String,
    log: PathBuf,
}

impl Served {
    /// Starts `command`, which ends in a `dev`, on free ports, and waits until it listens.
    fn start(command: &mut Command, folder: &Path, function: &str) -> Result<Self> {
        let log = folder.join(format!("{function}.log"));
        let written = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        for listener in ["--listen", "--management-listen", "--runtime-listen"] {
            command.args([listener, "127.0.0.1:0"]);
        }
        command.env_remove("CARGO_TARGET_DIR").env("XDG_CACHE_HOME", folder.join("cache"));
        command.stdout(written.try_clone()?).stderr(written);
        let mut process = Process::start("picofaas dev", command)?;
        let said = || fs::read_to_string(&log).unwrap_or_default();
        let port = wait::until(PATIENCE, || {
            process.check_alive().with_context(said)?;
            Ok(port(&said()))
        })?;
        let port = port.context("picofaas dev does not listen in time")?;
        Ok(Self { process, port, function: function.to_owned(), log })
    }

    /// Waits until the function greets so.
    fn answers(&self, greeting: &str) -> Result<()> {
        let path = format!("/v1/functions/{}:invoke", self.function);
        let answered = wait::until(PATIENCE, || {
            let answer = http::request(self.port, "POST", &path, &[], r#"{"input":{"name":"Ada"}}"#)?;
            let answer: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            if answer["error"]["code"] == "FUNCTION_BUILD_FAILED" {
                bail!("{answer}\n{}", fs::read_to_string(&self.log).unwrap_or_default());
            }
            Ok((answer["output"]["greeting"] == format!("{greeting}Ada")).then_some(()))
        })?;
        answered.with_context(|| format!("{} does not say {greeting}Ada in time", self.function))
    }
}

/// The port on which a `dev` that said this serves functions.
fn port(said: &str) -> Option<u16> {
    let address = said.split("functions are served on http://").nth(1)?.split(',').next()?;
    address.rsplit(':').next()?.parse().ok()
}
