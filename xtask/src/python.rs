//! The check of the Python runtime: lints, types, a wheel, and the tests of what is installed from it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::libtest::Tally;
use crate::repository::Repository;
use crate::toolbox::{self, Unavailable};

/// Where the package and its tests are.
const PACKAGE: &str = "pyruntime";
/// Folder of its builds: the wheel, and an environment with nothing else in it.
const BUILT: &str = "target/python";

/// The command that runs the tests, once everything before them has passed.
pub(crate) fn tests(repository: &Repository) -> Result<Result<Command, Unavailable>> {
    let package = repository.root().join(PACKAGE);
    let tools = match toolbox::python_programs(&package.join("requirements.txt")) {
        Ok(tools) => tools,
        Err(unavailable) => return Ok(Err(unavailable)),
    };
    let tool = |name: &str, arguments: &[&str]| {
        let mut command = Command::new(tools.join(name));
        command.current_dir(&package).args(arguments);
        command
    };
    passes(&mut tool("ruff", &["check"]))?;
    passes(&mut tool("ruff", &["format", "--check"]))?;
    passes(&mut tool("mypy", &[]))?;
    // The tests start it; mostly it has been built already.
    passes(&mut repository.cargo(&["build", "--release", "--package", "picofaas", "--bins"]))?;

    let built = repository.root().join(BUILT);
    if built.exists() {
        fs::remove_dir_all(&built).with_context(|| format!("cannot remove {}", built.display()))?;
    }
    let wheels = built.join("wheels");
    passes(tool("python", &["-m", "flit_core.wheel", "--outdir"]).arg(&wheels))?;
    let installed = install(&built, &wheels)?;

    let mut tests = tool("python", &["-m", "pytest"]);
    tests.env("PICOFAAS_PYTHON_ENVIRONMENT", installed);
    tests.env("PICOFAAS_PROGRAM", repository.root().join("target/release/picofaas"));
    Ok(Ok(tests))
}

/// Installs the wheel as its users do, and gives the environment that it is in.
fn install(built: &Path, wheels: &Path) -> Result<PathBuf> {
    let environment = built.join("environment");
    let mut make = Command::new("python3");
    passes(make.args(["-m", "venv"]).arg(&environment))?;
    let mut install = Command::new(environment.join("bin/python"));
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]);
    passes(install.arg("--find-links").arg(wheels).arg("picofaas-runtime"))?;
    Ok(environment)
}

/// Runs a command that has to succeed for the check to go on.
fn passes(command: &mut Command) -> Result<()> {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default().to_owned();
    let arguments = command.get_args().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    let shown = format!("{} {arguments}", program.to_string_lossy());
    println!("{shown}");
    let status = command.stdin(Stdio::null()).status().with_context(|| format!("cannot run {shown}"))?;
    ensure!(status.success(), "`{shown}` ended with {status}");
    Ok(())
}

/// Reads the line that pytest ends with, like `==== 1 failed, 12 passed, 2 skipped in 0.51s ====`.
/// `None` for any other line.
pub(crate) fn tally(line: &str) -> Option<Tally> {
    let (counts, time) = line.trim_matches(['=', ' ']).rsplit_once(" in ")?;
    if !time.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let mut tally = Tally::default();
    for count in counts.split(", ") {
        let (number, word) = count.split_once(' ')?;
        let number: u64 = number.parse().ok()?;
        match word {
            "passed" => tally.passed += number,
            "failed" | "error" | "errors" => tally.failed += number,
            "skipped" => tally.skipped += number,
            // Of warnings and what was left out there is nothing to count.
            "warning" | "warnings" | "deselected" => {}
            _ => return None,
        }
    }
    Some(tally)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_of_pytest_gives_its_counts() {
        let line = "==== 1 failed, 12 passed, 2 skipped, 1 warning, 3 errors in 61.51s (0:01:01) ====";
        assert_eq!(tally(line), Some(Tally { passed: 12, failed: 4, skipped: 2 }));
        assert_eq!(tally("27 passed in 6.63s"), Some(Tally { passed: 27, failed: 0, skipped: 0 }));
    }

    #[test]
    fn lines_that_only_look_like_the_last_one_are_not_counted() {
        for line in [
            "",
            "collected 27 items",
            "12 passed",
            "12 passed in time",
            "tests passed in 3s",
            "1 tried in 3s",
        ] {
            assert_eq!(tally(line), None, "{line:?}");
        }
    }
}
