//! The tools a chore needs beyond git and cargo, and how each gets onto this machine once.

use std::env;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::repository;

/// A fixed version, so that a new lint of the tool does not fail a commit that changed nothing.
const CARGO_DENY_VERSION: &str = "0.20.2";

/// Likewise. It is one file without dependencies.
const REDOCLY_VERSION: &str = "2.77.0";

/// Likewise.
const INFERNO_VERSION: &str = "0.12.8";

/// Likewise.
const KUBE_SCORE_VERSION: &str = "1.20.0";

/// Likewise: the load of an open loop.
pub(crate) const VEGETA_VERSION: &str = "12.12.0";

/// A program from Debian's archive.
pub(crate) struct DebianProgram {
    pub name: &'static str,
    pub package: &'static str,
}

pub(crate) const WRK: DebianProgram = DebianProgram { name: "wrk", package: "wrk" };
pub(crate) const JQ: DebianProgram = DebianProgram { name: "jq", package: "jq" };
pub(crate) const NGINX: DebianProgram = DebianProgram { name: "nginx", package: "nginx-light" };
pub(crate) const BUILDAH: DebianProgram = DebianProgram { name: "buildah", package: "buildah" };
pub(crate) const MMDEBSTRAP: DebianProgram = DebianProgram { name: "mmdebstrap", package: "mmdebstrap" };
/// It brings promtool as well.
pub(crate) const PROMETHEUS: DebianProgram = DebianProgram { name: "prometheus", package: "prometheus" };
pub(crate) const PROMTOOL: DebianProgram = DebianProgram { name: "promtool", package: "prometheus" };
pub(crate) const PERF: DebianProgram = DebianProgram { name: "perf", package: "linux-perf" };
/// It brings callgrind.
pub(crate) const VALGRIND: DebianProgram = DebianProgram { name: "valgrind", package: "valgrind" };
pub(crate) const CHROMIUM: DebianProgram = DebianProgram { name: "chromium", package: "chromium" };
pub(crate) const MUSL: DebianProgram = DebianProgram { name: "musl-gcc", package: "musl-tools" };

/// Why a tool cannot be had here: a sentence for the person who reads that a check was skipped.
#[derive(Debug)]
pub(crate) struct Unavailable(pub String);

/// Makes sure that a toolchain's program, which is not installed from here, is there.
pub(crate) fn present(program: &str, version_flag: &str) -> Result<(), Unavailable> {
    if runs(Command::new(program).arg(version_flag)) {
        return Ok(());
    }
    Err(Unavailable(format!("{program} is not installed; the README lists the toolchains that are expected")))
}

/// Makes sure that Python can make virtual environments, which Debian packs by itself.
pub(crate) fn python_venv() -> Result<(), Unavailable> {
    if runs(Command::new("python3").args(["-c", "import venv, ensurepip"])) {
        return Ok(());
    }
    Err(Unavailable("python3 has no venv: install it (python3-venv)".to_owned()))
}

/// Makes sure that `cargo <subcommand>` is there, which rustup brings with `component`.
pub(crate) fn rustup_component(component: &str, subcommand: &str) -> Result<(), Unavailable> {
    if runs(repository::cargo().args([subcommand, "--version"])) {
        return Ok(());
    }
    println!("installing {component}: rustup component add {component}");
    let mut rustup = Command::new("rustup");
    rustup.args(["component", "add", component]);
    if succeeds(&mut rustup) {
        Ok(())
    } else {
        Err(Unavailable(format!(
            "cargo {subcommand} is not installed and `rustup component add {component}` failed"
        )))
    }
}

/// Makes sure that the standard library for another target is there, which rustup brings.
pub(crate) fn rustup_target(target: &str) -> Result<(), Unavailable> {
    // Says nothing and does nothing where it is there.
    let mut rustup = Command::new("rustup");
    rustup.args(["--quiet", "target", "add", target]);
    if succeeds(&mut rustup) {
        Ok(())
    } else {
        Err(Unavailable(format!("`rustup target add {target}` failed")))
    }
}

/// The path of cargo-deny.
pub(crate) fn cargo_deny() -> Result<PathBuf, Unavailable> {
    Ok(crate_programs("cargo-deny", CARGO_DENY_VERSION, "cargo-deny")?.join("cargo-deny"))
}

/// The folder of the programs of inferno, which fold and draw stacks.
pub(crate) fn inferno() -> Result<PathBuf, Unavailable> {
    crate_programs("inferno", INFERNO_VERSION, "inferno-flamegraph")
}

/// The folder of a crate's programs, which are compiled once into the user's cache, outside every tree. One of
/// them is `program`.
fn crate_programs(name: &str, version: &str, program: &str) -> Result<PathBuf, Unavailable> {
    let root = cache()?.join(format!("{name}-{version}"));
    let programs = root.join("bin");
    let is_there = || runs(Command::new(programs.join(program)).arg("--help"));
    let Some(_alone) = unless(is_there, &root)? else { return Ok(programs) };
    println!("installing {name} {version} into {} (once, some minutes)", root.display());
    let mut install = repository::cargo();
    install
        .args(["install", "--locked", "--version", &format!("={version}"), "--root"])
        .arg(&root)
        .arg(name)
        // A target folder meant for the workspace would fill with the tool's crates.
        .env_remove("CARGO_TARGET_DIR");
    if succeeds(&mut install) {
        Ok(programs)
    } else {
        Err(Unavailable(format!("`cargo install {name} --version ={version}` failed")))
    }
}

/// The path of kube-score, which lints manifests, from its source into the user's cache.
pub(crate) fn kube_score() -> Result<PathBuf, Unavailable> {
    go_install("kube-score", KUBE_SCORE_VERSION, "github.com/zegl/kube-score/cmd/kube-score", "version")
}

/// The path of vegeta, which sends requests at a fixed rate, likewise.
pub(crate) fn vegeta() -> Result<PathBuf, Unavailable> {
    go_install("vegeta", VEGETA_VERSION, "github.com/tsenart/vegeta/v12", "-version")
}

/// The path of a program in Go, of a fixed version. `runs_with` is an argument with which it succeeds.
fn go_install(name: &str, version: &str, package: &str, runs_with: &str) -> Result<PathBuf, Unavailable> {
    let root = cache()?.join(format!("{name}-{version}"));
    let program = root.join(name);
    let is_there = || runs(Command::new(&program).arg(runs_with));
    let Some(_alone) = unless(is_there, &root)? else { return Ok(program) };
    present("go", "version")?;
    println!("installing {name} {version} into {} (once, some minutes)", root.display());
    let package = format!("{package}@v{version}");
    let mut install = Command::new("go");
    // Away from the tree, whose modules are none of its business.
    install.args(["install", &package]).env("GOBIN", &root).env("CGO_ENABLED", "0").current_dir("/");
    if succeeds(&mut install) {
        Ok(program)
    } else {
        Err(Unavailable(format!("`go install {package}` failed")))
    }
}

/// The path of a program of ours in Go, whose module is `source`: built into the user's cache, once for
/// each state of its source.
pub(crate) fn go_program(source: &Path, name: &str) -> Result<PathBuf, Unavailable> {
    let unreadable = |error| Unavailable(format!("cannot read {}: {error}", source.display()));
    let mut files = Vec::new();
    for entry in fs::read_dir(source).map_err(unreadable)? {
        files.push(entry.map_err(unreadable)?.path());
    }
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in files {
        fs::read(&file).map_err(unreadable)?.hash(&mut hasher);
    }
    let root = cache()?.join(format!("{name}-{:016x}", hasher.finish()));
    let program = root.join(name);
    let Some(_alone) = unless(|| program.is_file(), &root)? else { return Ok(program) };
    present("go", "version")?;
    println!(
        "building {name} into {} (once for each state of it, some minutes the first time)",
        root.display()
    );
    make_folder(&root)?;
    let mut build = Command::new("go");
    // Its name comes last, so that a build that was interrupted is done again.
    let unfinished = root.join("unfinished");
    build
        .args(["build", "-trimpath", "-o"])
        .arg(&unfinished)
        .arg(".")
        .current_dir(source)
        .env("CGO_ENABLED", "0");
    if !succeeds(&mut build) {
        return Err(Unavailable(format!("`go build` in {} failed", source.display())));
    }
    fs::rename(&unfinished, &program)
        .map_err(|error| Unavailable(format!("cannot write {}: {error}", program.display())))?;
    Ok(program)
}

/// The path of redocly, which lints OpenAPI, from npm into the user's cache.
pub(crate) fn redocly() -> Result<PathBuf, Unavailable> {
    let root = cache()?.join(format!("redocly-{REDOCLY_VERSION}"));
    let program = root.join("node_modules/.bin/redocly");
    let is_there = || runs(quiet(Command::new(&program).arg("--version")));
    let Some(_alone) = unless(is_there, &root)? else { return Ok(program) };
    if !is_on_path("npm") {
        return Err(Unavailable("there is no npm to install redocly with: install Node.js".to_owned()));
    }
    println!("installing redocly {REDOCLY_VERSION} into {} (once, some seconds)", root.display());
    make_folder(&root)?;
    let mut install = Command::new("npm");
    install
        .args(["install", "--no-audit", "--no-fund", "--no-update-notifier", "--ignore-scripts", "--prefix"])
        .arg(&root)
        .arg(format!("@redocly/cli@{REDOCLY_VERSION}"))
        .current_dir(&root);
    if succeeds(&mut install) {
        Ok(program)
    } else {
        Err(Unavailable(format!("`npm install @redocly/cli@{REDOCLY_VERSION}` failed")))
    }
}

/// Tools that look for updates or tell of their use are told not to.
pub(crate) fn quiet(command: &mut Command) -> &mut Command {
    command.envs([
        ("REDOCLY_TELEMETRY", "off"),
        ("REDOCLY_SUPPRESS_UPDATE_NOTICE", "true"),
        ("DO_NOT_TRACK", "1"),
    ])
}

/// The programs of a virtual environment of Python in the user's cache that has what `requirements`
/// lists: another list gets another environment.
pub(crate) fn python_programs(requirements: &Path) -> Result<PathBuf, Unavailable> {
    let list = fs::read(requirements)
        .map_err(|error| Unavailable(format!("cannot read {}: {error}", requirements.display())))?;
    let mut hasher = DefaultHasher::new();
    list.hash(&mut hasher);
    let root = cache()?.join(format!("python-{:016x}", hasher.finish()));
    let (programs, complete) = (root.join("bin"), root.join("complete"));
    let is_there = || complete.is_file() && runs(Command::new(programs.join("python")).arg("--version"));
    let Some(_alone) = unless(is_there, &root)? else { return Ok(programs) };
    println!("installing {} into {} (once, half a minute)", requirements.display(), root.display());
    python_environment(&root)?;
    let mut install = Command::new(programs.join("python"));
    install
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-input",
            "--disable-pip-version-check",
            "--requirement",
        ])
        .arg(requirements);
    if !succeeds(&mut install) {
        return Err(Unavailable(format!("`pip install --requirement {}` failed", requirements.display())));
    }
    // Only now: an installation that was interrupted is done again.
    fs::write(&complete, "")
        .map_err(|error| Unavailable(format!("cannot write {}: {error}", complete.display())))?;
    Ok(programs)
}

/// The programs of an empty virtual environment of Python, made in `root` in place of what was there.
pub(crate) fn python_environment(root: &Path) -> Result<PathBuf, Unavailable> {
    make_folder(root)?;
    let mut make = Command::new("python3");
    if !succeeds(make.args(["-m", "venv", "--clear"]).arg(root)) {
        return Err(Unavailable(
            "`python3 -m venv` failed: install Python 3 with its venv (python3-venv)".to_owned(),
        ));
    }
    Ok(root.join("bin"))
}

fn make_folder(folder: &Path) -> Result<(), Unavailable> {
    fs::create_dir_all(folder)
        .map_err(|error| Unavailable(format!("cannot create {}: {error}", folder.display())))
}

/// Waits for another run that makes the same tool in `root`. Without a lock where the tool is there already, or is then;
/// else with the lock, under which it may be made.
fn unless(is_there: impl Fn() -> bool, root: &Path) -> Result<Option<File>, Unavailable> {
    if is_there() {
        return Ok(None);
    }
    make_folder(root.parent().unwrap_or(root))?;
    let path = root.with_added_extension("lock");
    let lock = File::create(&path).and_then(|lock| lock.lock().map(|()| lock));
    let lock = lock.map_err(|error| Unavailable(format!("cannot lock {}: {error}", path.display())))?;
    Ok((!is_there()).then_some(lock))
}

/// Makes sure that programs are on the path, from Debian's archive where they are missing.
pub(crate) fn debian_programs(programs: &[DebianProgram]) -> Result<(), Unavailable> {
    let missing: Vec<&DebianProgram> = programs.iter().filter(|program| !is_on_path(program.name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().map(|program| program.package).collect();
    let packages = packages.join(" ");
    if !is_on_path("apt-get") {
        return Err(Unavailable(format!(
            "there is no apt-get to install {packages} with: install it by hand"
        )));
    }
    if !is_root() {
        return Err(Unavailable(format!("not root: run `apt-get install {packages}` as root first")));
    }
    println!("installing {packages}: apt-get install --no-install-recommends {packages}");
    let mut update = apt_get();
    let mut install = apt_get();
    install.args(["install", "-y", "--no-install-recommends"]);
    install.args(missing.iter().map(|program| program.package));
    if !succeeds(update.arg("update")) || !succeeds(&mut install) {
        return Err(Unavailable(format!("apt-get could not install {packages}")));
    }
    for program in &missing {
        stop_packaged(program.package);
    }
    match missing.iter().find(|program| !is_on_path(program.name)) {
        Some(program) => Err(Unavailable(format!("{} brought no program {}", program.package, program.name))),
        None => Ok(()),
    }
}

/// Packages that start a server, which nobody asked for, on a port of its own or beside ours; and its name.
const PACKAGED_SERVERS: [(&str, &str); 4] = [
    (NGINX.package, "nginx"),
    (PROMETHEUS.package, "prometheus"),
    ("containerd", "containerd"),
    ("etcd-server", "etcd"),
];

fn stop_packaged(package: &str) {
    let server = PACKAGED_SERVERS.iter().find(|(starts, _)| *starts == package).map(|(_, server)| *server);
    if let Some(server) = server.filter(|_| Path::new("/run/systemd/system").is_dir()) {
        println!("stopping the server that the package started: systemctl disable --now {server}");
        if !succeeds(Command::new("systemctl").args(["disable", "--now", server])) {
            println!("warning: it could not be stopped and goes on running");
        }
    }
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    // Without systemd, package scripts read RUNLEVEL to decide whether to start their server: in 1, none is.
    command.env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1");
    command
}

/// `$XDG_CACHE_HOME/picofaas/tools`, else `~/.cache/picofaas/tools`.
pub(crate) fn cache() -> Result<PathBuf, Unavailable> {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")));
    match base {
        Some(base) => Ok(base.join("picofaas/tools")),
        None => Err(Unavailable(
            "neither XDG_CACHE_HOME nor HOME is an absolute path: no place to keep tools".to_owned(),
        )),
    }
}

pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

pub(crate) fn is_on_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Whether a command, which may say what it likes, succeeds.
pub(crate) fn runs(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// As `runs`, but what the command says is shown; a command that cannot start says so here.
fn succeeds(command: &mut Command) -> bool {
    match command.stdin(Stdio::null()).status() {
        Ok(status) => status.success(),
        Err(error) => {
            println!("{} cannot be run: {error}", command.get_program().to_string_lossy());
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::thread;

    use super::*;
    use crate::folder::Folder;

    #[test]
    fn a_tool_that_another_run_makes_is_waited_for_and_not_made_twice() {
        let folder = Folder::make("toolbox").unwrap();
        let root = folder.path().join("tool-1.0");
        let program = root.join("program");
        let first = unless(|| program.is_file(), &root).unwrap();
        assert!(first.is_some(), "it is not there");
        let (looked, looks) = channel();
        let second = thread::spawn({
            let (root, program) = (root.clone(), program.clone());
            move || {
                let is_there = || {
                    looked.send(()).unwrap();
                    program.is_file()
                };
                unless(is_there, &root).unwrap().is_none()
            }
        });
        looks.recv().unwrap();
        fs::create_dir(&root).unwrap();
        fs::write(&program, "").unwrap();
        drop(first);
        assert!(second.join().unwrap(), "it is made a second time");
    }
}
