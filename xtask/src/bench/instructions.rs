//! `cargo xtask bench instructions`: how many instructions the invoke path executes, counted by callgrind.
//!
//! Unlike a time, a count is the same on a busy machine: for one binary it is exact. It says nothing of the
//! kernel, of caches or of how long anything takes; `cargo xtask bench` does. What is counted is the program
//! `benches/instructions`, and the recorded figures are in its `recorded.json`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use super::build;
use crate::ends::Ends;
use crate::repository::{self, Repository};
use crate::toolbox::{self, Unavailable};

/// How far a count may be above the recorded one, in percent.
const MORE_PERCENT_MAX: f64 = 1.0;

/// Relative to the root.
const RECORDED: &str = "benches/instructions/recorded.json";

/// Functions that are shown of each case by `--functions`.
const FUNCTIONS_SHOWN: usize = 30;

#[derive(clap::Args)]
pub(crate) struct InstructionsOptions {
    /// Write the figures of this tree to benches/instructions/recorded.json, to be committed with the reason
    #[arg(long)]
    record: bool,
    /// Show the functions that execute most of each case, by callgrind_annotate
    #[arg(long)]
    functions: bool,
}

/// Programs and processor that the figures depend on: those of two machines that differ in it are not compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Environment {
    rustc: String,
    libc: String,
    /// Features of the processor that valgrind lets a program find: copying and parsing choose their code by them.
    cpu: String,
}

#[derive(Serialize, Deserialize)]
struct Recorded {
    machine: Environment,
    /// Of one invocation, by case.
    instructions: BTreeMap<String, f64>,
}

/// Counts, compares with what is recorded, and prints a table.
pub(crate) fn run(repository: &Repository, options: &InstructionsOptions) -> Result<ExitCode> {
    let counted = match count(repository, options.functions)? {
        Ok(counted) => counted,
        Err(Unavailable(why)) => bail!("{why}"),
    };
    if options.record {
        let file = repository.root().join(RECORDED);
        let text = serde_json::to_string_pretty(&counted)? + "\n";
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        counted.instructions.iter().for_each(|(case, figure)| println!("{case:<18} {figure:>9.1}"));
        println!("recorded in {RECORDED}: commit it, with the reason where a figure is higher than before");
        return Ok(ExitCode::SUCCESS);
    }
    let Ends { failed, skipped } = compare(&recorded(repository)?, &counted);
    failed.iter().chain(&skipped).for_each(|line| println!("{line}"));
    Ok(if failed.is_empty() && skipped.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The check of `cargo xtask test`.
pub(crate) fn check(repository: &Repository) -> Result<Ends> {
    let counted = match count(repository, false)? {
        Ok(counted) => counted,
        Err(Unavailable(why)) => return Ok(Ends { failed: Vec::new(), skipped: vec![why] }),
    };
    Ok(compare(&recorded(repository)?, &counted))
}

fn recorded(repository: &Repository) -> Result<Recorded> {
    let file = repository.root().join(RECORDED);
    let text = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is not what --record writes", file.display()))
}

/// Prints a line for each case; what is not as it may be.
fn compare(recorded: &Recorded, counted: &Recorded) -> Ends {
    let mut ends = Ends::default();
    if recorded.machine != counted.machine {
        ends.skipped.push(format!(
            "instructions are counted for {:?} and recorded for {:?}, which cannot be compared: count the commit \
             before yours here as well, or record the figures of main anew (cargo xtask bench instructions --record)",
            counted.machine, recorded.machine
        ));
        return ends;
    }
    println!("{:<18} {:>9} {:>9} {:>8}", "instructions of", "recorded", "now", "more");
    for (case, &now) in &counted.instructions {
        let Some(&before) = recorded.instructions.get(case) else {
            println!("{case:<18} {:>9} {now:>9.1}", "-");
            ends.failed.push(format!("{case} is not in {RECORDED}: cargo xtask bench instructions --record"));
            continue;
        };
        let more = (now / before - 1.0) * 100.0;
        println!("{case:<18} {before:>9.1} {now:>9.1} {more:>+7.2}%");
        if more > MORE_PERCENT_MAX {
            ends.failed.push(format!(
                "{case}: {now:.0} instructions, {more:.2} % more than the {before:.0} that are recorded (at most \
                 {MORE_PERCENT_MAX} %): cargo xtask bench instructions --functions shows where; with a reason in \
                 the commit, --record takes them"
            ));
        } else if more < -MORE_PERCENT_MAX {
            println!("  fewer: keep what was won with cargo xtask bench instructions --record");
        }
    }
    for case in recorded.instructions.keys().filter(|case| !counted.instructions.contains_key(*case)) {
        ends.failed
            .push(format!("{case} is recorded and was not counted: is it gone from benches/instructions?"));
    }
    ends
}

/// Builds the program and counts each of its cases.
fn count(repository: &Repository, functions: bool) -> Result<Result<Recorded, Unavailable>> {
    if let Err(unavailable) = toolbox::debian_programs(&[toolbox::VALGRIND]) {
        return Ok(Err(unavailable));
    }
    let program = build(repository, &["--package", "picofaas-instructions"], "picofaas-instructions")?;
    let folder = repository.target().join("xtask/instructions");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let mut instructions = BTreeMap::new();
    let mut cpu = String::new();
    for case in lines(Command::new(&program))? {
        let file = folder.join(format!("{}.callgrind", case.replace('/', "-")));
        let said = lines(callgrind(&program, &case, &file))?;
        let [invocations, features] = said.as_slice() else {
            bail!("{case} printed {said:?} and not its invocations and the features of the processor");
        };
        let invocations: f64 = invocations.parse().with_context(|| format!("{case} printed {said:?}"))?;
        instructions.insert(case, total(&file)? / invocations);
        cpu.clone_from(features);
        if functions {
            show(&file)?;
        }
    }
    let rustc = repository::first_line(Command::new("rustc").arg("--version"))?;
    let libc = repository::first_line(Command::new("getconf").arg("GNU_LIBC_VERSION"))?;
    Ok(Ok(Recorded { machine: Environment { rustc, libc, cpu }, instructions }))
}

fn callgrind(program: &Path, case: &str, file: &Path) -> Command {
    let mut command = Command::new("valgrind");
    command
        .args(["--quiet", "--tool=callgrind", "--collect-atstart=no"])
        .args(["counted", "outside"].map(|edge| format!("--toggle-collect=*picofaas_instructions::{edge}*")))
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(program)
        .arg(case);
    // The environment on the stack is then of one size, and the allocator gives nothing back by the clock.
    let path = std::env::var_os("PATH").unwrap_or_default();
    command.env_clear().env("PATH", path).env("MIMALLOC_PURGE_DELAY", "-1");
    command
}

/// Output of a program that has to succeed.
fn lines(mut command: Command) -> Result<Vec<String>> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?} ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    let text = String::from_utf8(output.stdout).with_context(|| format!("{command:?} prints no text"))?;
    Ok(text.lines().map(str::to_owned).collect())
}

/// The instructions that a file of callgrind's sums up.
fn total(file: &Path) -> Result<f64> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    sum(&text).with_context(|| format!("{} has no sum: was nothing counted?", file.display()))
}

fn sum(text: &str) -> Option<f64> {
    let sum = text.lines().find_map(|line| line.strip_prefix("summary: "))?.trim().parse().ok()?;
    (sum > 0.0).then_some(sum)
}

/// Prints the functions that execute most.
fn show(file: &PathBuf) -> Result<()> {
    let mut command = Command::new("callgrind_annotate");
    let said = lines({
        command.args(["--auto=no", "--threshold=100"]).arg(file);
        command
    })?;
    let mut shown = format!("{}:\n", file.display());
    let rows = said.iter().filter(|line| line.contains('%') && line.contains(':'));
    for line in rows.take(FUNCTIONS_SHOWN) {
        writeln!(shown, "{}", line.trim_end())?;
    }
    println!("{shown}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(cases: &[(&str, f64)]) -> Recorded {
        let machine = Environment { rustc: "rustc 1".into(), libc: "glibc 2".into(), cpu: "avx2".into() };
        Recorded { machine, instructions: cases.iter().map(|(case, n)| ((*case).to_owned(), *n)).collect() }
    }

    #[test]
    fn more_than_a_percent_fails_and_up_to_a_percent_or_fewer_passes() {
        let before = figures(&[("invoke", 20_000.0)]);
        for (now, fails) in [(20_000.0, false), (20_199.0, false), (20_201.0, true), (10_000.0, false)] {
            let ends = compare(&before, &figures(&[("invoke", now)]));
            assert_eq!(!ends.failed.is_empty(), fails, "{now}: {:?}", ends.failed);
            assert!(ends.skipped.is_empty());
        }
    }

    #[test]
    fn a_case_that_is_new_or_gone_fails_until_it_is_recorded() {
        let ends = compare(&figures(&[("gone", 1.0)]), &figures(&[("new", 1.0)]));
        assert_eq!(ends.failed.len(), 2, "{:?}", ends.failed);
    }

    #[test]
    fn figures_of_another_compiler_are_not_compared_and_the_reason_is_told() {
        let mut now = figures(&[("invoke", 1.0)]);
        now.machine.rustc = "rustc 2".into();
        let ends = compare(&figures(&[("invoke", 1.0)]), &now);
        assert!(ends.failed.is_empty());
        assert!(ends.skipped[0].contains("rustc 2") && ends.skipped[0].contains("rustc 1"));
    }

    #[test]
    fn a_file_of_callgrind_without_instructions_counted_nothing() {
        assert_eq!(
            sum("events: Ir\nfn=(1) main\n3 4\nsummary: 29013244\ntotals: 29013244\n"),
            Some(29_013_244.0)
        );
        assert_eq!(sum("events: Ir\nsummary: 0\n"), None);
        assert_eq!(sum("events: Ir\n"), None);
    }
}
