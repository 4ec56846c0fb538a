//! `cargo xtask test --only scaffold`: what `picofaas new` makes builds, passes its test, and is
//! served, in every language, by the commands that it prints.
//!
//! | step | is |
//! |---|---|
//! | new | the function, under a name that is a word of its language, where that could matter |
//! | move | its folder, to a place that it does not know of; it names none |
//! | test | the first printed command |
//! | dev | the second, on free ports |
//! | call | the third, on the port of `dev`; and inputs that are to be refused |
//! | break | its build fails, another instance of what is served starts nonetheless, and what is mended is served |
//! | edit | where the build runs the function: its input's field has another name, and it is served |
//! | commit | what git would take is what was made, and a lock file |

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::folder::Folder;
use crate::http;
use crate::libtest::Tally;
use crate::process::Process;
use crate::repository::Repository;
use crate::toolbox::{self, JQ, Unavailable};
use crate::wait;

/// From the start of `dev` until the function is ready. The first time on a machine, a runtime is
/// built in it.
const READY_PATIENCE: Duration = Duration::from_secs(600);

struct Language {
    flag: &'static str,
    /// Of the function.
    name: &'static str,
    /// A file of it, and a line in it with which it cannot be built.
    breaks: (&'static str, &'static str),
    require: fn() -> Result<(), Unavailable>,
}

const LANGUAGES: [Language; 4] = [
    Language { flag: "rust", name: "match", breaks: ("src/main.rs", "no rust"), require: || Ok(()) },
    Language {
        flag: "python",
        name: "import",
        breaks: ("requirements.txt", "no requirement"),
        require: || toolbox::present("python3", "--version").and(toolbox::python_venv()),
    },
    Language {
        flag: "java",
        name: "class",
        breaks: ("pom.xml", "no pom"),
        require: || toolbox::present("java", "-version").and(toolbox::present("mvn", "-version")),
    },
    Language {
        flag: "shell",
        name: "a--1",
        breaks: ("function.sh", "if"),
        require: || toolbox::debian_programs(&[JQ]),
    },
];

/// Counts each language; what failed or was skipped is told where it happens.
pub(crate) fn run(repository: &Repository) -> Result<Tally> {
    let build = ["build", "--package", "picofaas", "--bin", "picofaas"];
    if !repository.cargo(&build).stdin(Stdio::null()).status().context("cannot run cargo")?.success() {
        bail!("cargo {} failed", build.join(" "));
    }
    let mut tally = Tally::default();
    for language in &LANGUAGES {
        let flag = language.flag;
        if let Err(Unavailable(why)) = (language.require)() {
            println!("-- {flag}: skipped: {why}");
            tally += Tally::SKIPPED;
            continue;
        }
        let watch = wait::Stopwatch::start();
        let outcome = try_out(repository, language);
        let seconds = watch.elapsed().as_secs_f64();
        tally += match outcome {
            Ok(()) => {
                println!("-- {flag}: passed in {seconds:.1} s");
                Tally::PASSED
            }
            Err(error) => {
                println!("-- {flag}: FAILED: {error:#}");
                Tally::FAILED
            }
        };
    }
    Ok(tally)
}

fn try_out(repository: &Repository, language: &Language) -> Result<()> {
    let folder = Folder::make(&format!("new-{}", language.flag))?;
    let (said, made) = make_elsewhere(repository, language, folder.path())?;
    let [test, dev, call] = next_commands(&said)?;
    if language.flag == "rust" {
        share_builds(repository, &folder.path().join(language.name))?;
    }
    println!("{test}");
    output(command("sh", folder.path()).args(["-c", test]))?;

    println!("{dev}");
    let log = folder.path().join("dev.log");
    let written = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
    // `exec`, so that the process that is told to stop is `dev` itself.
    let line = format!(
        "exec {dev} --listen 127.0.0.1:0 --management-listen 127.0.0.1:0 --runtime-listen 127.0.0.1:0"
    );
    let mut served = command("sh", folder.path());
    served.args(["-c", &line]).env("XDG_CACHE_HOME", folder.path().join("cache")).env_remove("RUST_LOG");
    served.stdout(written.try_clone()?).stderr(written);
    let mut served = Process::start("picofaas dev", &mut served)?;
    let said = || fs::read_to_string(&log).unwrap_or_default();
    let called = wait::until(READY_PATIENCE, || {
        served.check_alive()?;
        has_failed(&said())?;
        Ok(said().contains(&format!("{} is ready (WARM", language.name)).then_some(()))
    })
    .and_then(|ready| ready.context("it is not ready in time"))
    .and_then(|()| call_it(language.name, call, &said(), folder.path()))
    .and_then(|()| match language.flag {
        "java" => no_thin_jar_was_there(language.name, folder.path())
            .and_then(|()| rename_the_field(language.name, folder.path(), &said)),
        _ => Ok(()),
    })
    .and_then(|()| break_the_build(language, folder.path(), &said));
    let stopped = served.stop();
    called.with_context(|| format!("picofaas dev said:\n{}", said()))?;
    stopped?;
    check_what_is_committed(&folder.path().join(language.name), made)
}

/// Makes the function in a folder that is gone when it comes into `folder`. Gives what `new` said, and the paths of
/// the files, none of which names a place of this machine.
fn make_elsewhere(
    repository: &Repository,
    language: &Language,
    folder: &Path,
) -> Result<(String, BTreeSet<PathBuf>)> {
    let before = Folder::make(&format!("before-{}", language.flag))?;
    let mut new = command(repository.target().join("debug/picofaas"), before.path());
    let said = output(new.args(["new", language.name, "--lang", language.flag]))?;
    let function = folder.join(language.name);
    fs::rename(before.path().join(language.name), &function)
        .with_context(|| format!("cannot move the function to {}", function.display()))?;
    let made = what_git_takes(&function)?;
    for place in [repository.root(), before.path()] {
        for file in &made {
            let file = function.join(file);
            let text =
                fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
            if place.to_str().is_none_or(|place| text.contains(place)) {
                bail!("{} names {}", file.display(), place.display());
            }
        }
    }
    Ok((said, made))
}

/// After all that was built and run in it.
fn check_what_is_committed(function: &Path, mut made: BTreeSet<PathBuf>) -> Result<()> {
    let taken = what_git_takes(function)?;
    if taken.contains(Path::new("Cargo.lock")) {
        made.insert("Cargo.lock".into());
    }
    if let Some(path) = taken.symmetric_difference(&made).next() {
        bail!("{}: it was not made with the function, or git does not take it", path.display());
    }
    Ok(())
}

/// Paths of the files that `git add .` adds in a folder by itself.
fn what_git_takes(function: &Path) -> Result<BTreeSet<PathBuf>> {
    let git = |arguments: &[&str]| {
        // Patterns that this user ignores everywhere are no matter of the function.
        output(command("git", function).args(["-c", "core.excludesFile="]).args(arguments))
    };
    git(&["init", "--quiet"])?;
    git(&["add", "."])?;
    let files = git(&["ls-files", "-z"])?;
    let repository = function.join(".git");
    fs::remove_dir_all(&repository).with_context(|| format!("cannot remove {}", repository.display()))?;
    Ok(files.split_terminator('\0').map(PathBuf::from).collect())
}

/// The three commands at the end of what `new` says.
fn next_commands(said: &str) -> Result<[&str; 3]> {
    let mut last = said.lines().rev().map(str::trim);
    match (last.next(), last.next(), last.next()) {
        (Some(call), Some(dev), Some(test)) if call.starts_with("curl ") && dev.contains(" dev ") => {
            Ok([test, dev, call])
        }
        _ => bail!("`new` does not end with its three commands:\n{said}"),
    }
}

/// Calls a function that `new` made, and compares its answer.
fn call_it(name: &str, call: &str, said: &str, folder: &Path) -> Result<()> {
    let (address, port) = served_on(said)?;
    let call = call.replace("127.0.0.1:8080", address);
    println!("{call}");
    let answer = output(command("sh", folder).args(["-c", &call]))?;
    let answer: Value = serde_json::from_str(&answer).with_context(|| format!("not JSON: {answer}"))?;
    if answer["status"] != "success" || answer["output"] != json!({ "greeting": "hello Ada" }) {
        bail!("{call}: {answer}");
    }
    for (input, status, code) in [
        (r#"{"name":""}"#, 422, "NAME_EMPTY"),
        (r#"{"nmae":"Ada"}"#, 400, "BAD_INPUT"),
        (r#"{"name":7}"#, 400, "BAD_INPUT"),
        (r#"{"name":"Ada","more":1}"#, 400, "BAD_INPUT"),
        ("null", 400, "BAD_INPUT"),
    ] {
        let path = format!("/v1/functions/{name}:invoke");
        let answer = http::request(port, "POST", &path, &[], &format!("{{\"input\":{input}}}"))?;
        let body = String::from_utf8_lossy(&answer.body);
        let told: Value = serde_json::from_str(&body).with_context(|| format!("not JSON: {body}"))?;
        if answer.status != status || told["error"]["code"] != code {
            bail!("{input}: {} {body}, expected {status} {code}", answer.status);
        }
    }
    Ok(())
}

/// The address and the port of a `dev` that said this.
fn served_on(said: &str) -> Result<(&str, u16)> {
    let address =
        said.split("functions are served on http://").nth(1).and_then(|rest| rest.split(',').next());
    let address = address.context("dev does not say where functions are served")?;
    let port = address.rsplit(':').next().and_then(|port| port.parse().ok()).context("dev names no port")?;
    Ok((address, port))
}

/// The jar that is started appears once it is whole: a build keeps what stood at its path before, and before the
/// first one nothing does.
fn no_thin_jar_was_there(name: &str, folder: &Path) -> Result<()> {
    let target = folder.join(name).join("target");
    let (whole, before) = (target.join(format!("{name}.jar")), target.join(format!("original-{name}.jar")));
    if !whole.exists() || before.exists() {
        bail!("another jar was at {} before it was whole", whole.display());
    }
    Ok(())
}

/// The first edit that anybody makes: what the build runs the function with does not fit any more, which is
/// told, and the function is served.
fn rename_the_field(name: &str, folder: &Path, said: &dyn Fn() -> String) -> Result<()> {
    let sources = folder.join(name).join("src/main/java/functions");
    let source = fs::read_dir(&sources).with_context(|| format!("cannot read {}", sources.display()))?.next();
    let source = source.context("the function has no source")??.path();
    let text = fs::read_to_string(&source).with_context(|| format!("cannot read {}", source.display()))?;
    let edited =
        text.replace("Input(String name)", "Input(String who)").replace("input.name()", "input.who()");
    if edited == text {
        bail!("{} has no field to rename", source.display());
    }
    println!("{}: `name` becomes `who`", source.display());
    fs::write(&source, edited).with_context(|| format!("cannot write {}", source.display()))?;
    let done = wait::until(READY_PATIENCE, || {
        has_failed(&said())?;
        Ok(said().contains(&format!("{name}: the new version is served")).then_some(()))
    })?;
    done.context("the edited function is not served in time")?;
    for told in [
        "warning no archive of classes was made",
        "{\"input\":{\"name\":\"Ada\"}} was answered 400 BAD_INPUT",
    ] {
        if !said().contains(told) {
            bail!("dev did not say: {told}");
        }
    }
    let (path, input) = (format!("/v1/functions/{name}:invoke"), r#"{"input":{"who":"Ada"}}"#);
    let answer = http::request(served_on(&said())?.1, "POST", &path, &[], input)?;
    let body = String::from_utf8_lossy(&answer.body);
    if answer.status != 200 || !body.contains("hello Ada") {
        bail!("{input}: {} {body}", answer.status);
    }
    Ok(())
}

/// A build that fails leaves what is served as it is: another instance of it starts. What is mended is served.
fn break_the_build(language: &Language, folder: &Path, said: &dyn Fn() -> String) -> Result<()> {
    let Language { name, breaks: (file, line), .. } = language;
    let path = folder.join(name).join(file);
    let good = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let broken = format!("{good}\n{line}\n");
    let count = |text: &str| said().matches(text).count();
    let served = format!("{name}: the new version is served");
    let before = count(&served);
    println!("{}: broken", path.display());
    fs::write(&path, broken).with_context(|| format!("cannot write {}", path.display()))?;
    let failed = wait::until(READY_PATIENCE, || Ok((count("its build failed") > 0).then_some(())))?;
    failed.context("the broken build does not fail in time")?;
    let port = served_on(&said())?.1;
    let function = format!("/v1/functions/{name}");
    http::request(port, "PUT", &format!("{function}/replicas"), &[], r#"{"replicas":2}"#)?;
    let started = wait::until(READY_PATIENCE, || {
        let answer = http::request(port, "GET", &function, &[], "")?;
        let answer: Value = serde_json::from_slice(&answer.body).context("a function that is not JSON")?;
        Ok((answer["status"]["ready"] == 2).then_some(()))
    })?;
    started.context("after a failed build, no other instance of what is served starts")?;
    fs::write(&path, good).with_context(|| format!("cannot write {}", path.display()))?;
    let mended = wait::until(READY_PATIENCE, || Ok((count(&served) > before).then_some(())))?;
    mended.context("what is mended is not served in time")
}

fn has_failed(said: &str) -> Result<()> {
    for failure in ["its build failed", "an instance failed to start", "it is not served"] {
        if said.contains(failure) {
            bail!("it is not served");
        }
    }
    Ok(())
}

/// Lets cargo use again the builds of an earlier run's function, in the versions that this repository is
/// tested with.
fn share_builds(repository: &Repository, function: &Path) -> Result<()> {
    let kept = repository.target().join("scaffold");
    fs::create_dir_all(&kept).with_context(|| format!("cannot create {}", kept.display()))?;
    std::os::unix::fs::symlink(&kept, function.join("target")).context("cannot link to what was built")?;
    fs::copy(repository.root().join("Cargo.lock"), function.join("Cargo.lock"))
        .context("cannot copy Cargo.lock")?;
    Ok(())
}

fn command(program: impl AsRef<std::ffi::OsStr>, folder: &Path) -> Command {
    let mut command = Command::new(program);
    // The function has a target folder of its own.
    command.current_dir(folder).stdin(Stdio::null()).env_remove("CARGO_TARGET_DIR");
    command
}

/// Standard output of a command that has to succeed.
fn output(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot run {program}"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!("{program} ended with {}:\n{said}{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_are_the_last_three_lines_and_anything_else_is_a_fault() {
        let said =
            "f, a function in Rust:\n    f/x\n\nIts test:\n    (cd f && t)\n    p dev f\n    curl -s u\n";
        assert_eq!(next_commands(said).unwrap(), ["(cd f && t)", "p dev f", "curl -s u"]);
        for wrong in ["", "curl -s u\n", "a\nb\ncurl -s u\n"] {
            assert!(next_commands(wrong).is_err(), "{wrong}");
        }
    }
}
