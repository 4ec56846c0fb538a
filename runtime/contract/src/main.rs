//! Holds every runtime to one contract: each case of the suite on each runtime, as `WARM` and as
//! `JOB`, in two tables without blanks.

#![expect(clippy::unwrap_used, reason = "a case that cannot go on fails")]

mod options;
mod suite;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use picofaas_contract::patience::{Stopwatch, choose_patience};

use options::Options;
use suite::case::{Mode, Row};
use suite::run::{self, CaseResult, CaseRun};
use suite::subjects::{Candidate, Runtime};
use suite::table::{self, Cell};

fn main() -> ExitCode {
    let options = Options::parse();
    if options.list {
        list();
        return ExitCode::SUCCESS;
    }
    choose_patience(Duration::from_secs(options.patience));
    let candidates = match options.candidates() {
        Ok(candidates) => candidates,
        Err(fault) => {
            eprintln!("{fault}");
            return ExitCode::from(2);
        }
    };
    let runs = runs(&candidates, &options);
    if Mode::ALL.iter().all(|mode| options.rows(*mode).is_empty()) {
        eprintln!("no case has `{}` in its name: --list shows them", options.case.unwrap_or_default());
        return ExitCode::from(2);
    }
    let watch = Stopwatch::start();
    let results = run::all(&runs);
    let failed = tell(&candidates, &options, &runs, &results);
    let absent = candidates.iter().filter(|candidate| candidate.subject.is_err()).count();
    let skipped = absent * Mode::ALL.iter().map(|mode| options.rows(*mode).len()).sum::<usize>();
    let word = if failed == 0 { "ok" } else { "FAILED" };
    let (passed, took_s) = (runs.len() - failed, watch.elapsed().as_secs_f64());
    // As cargo's tests end, so that it is counted as they are.
    println!(
        "\ntest result: {word}. {passed} passed; {failed} failed; {skipped} ignored; 0 measured; \
         0 filtered out; finished in {took_s:.2}s"
    );
    if failed == 0 && skipped == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn list() {
    println!("runtimes: {}", Runtime::ALL.map(Runtime::name).join(", "));
    for mode in Mode::ALL {
        println!("\n{}", mode.name());
        for row in mode.rows() {
            println!("  {}", row.name);
        }
    }
}

/// Every wanted case on every runtime that is there.
fn runs<'a>(candidates: &'a [Candidate], options: &Options) -> Vec<CaseRun<'a>> {
    let mut runs = Vec::new();
    for mode in Mode::ALL {
        for row in options.rows(mode) {
            for (runtime, candidate) in candidates.iter().enumerate() {
                if let Ok(subject) = &candidate.subject {
                    runs.push(CaseRun { runtime, subject, mode, row: row.clone() });
                }
            }
        }
    }
    runs
}

/// Prints the tables, and below them the reason of each cell that is not `ok`; how many cells failed.
fn tell(candidates: &[Candidate], options: &Options, runs: &[CaseRun<'_>], results: &[CaseResult]) -> usize {
    let names: Vec<&str> = candidates.iter().map(|candidate| candidate.name.as_str()).collect();
    for mode in Mode::ALL {
        let cell = |runtime: usize, row: &Row| {
            let of =
                |run: &CaseRun<'_>| run.runtime == runtime && run.mode == mode && run.row.name == row.name;
            match runs.iter().position(of).map(|index| &results[index]) {
                Some(Ok(())) => Cell::Passed,
                Some(Err(_)) => Cell::Failed,
                None => Cell::Skipped,
            }
        };
        let rows = options.rows(mode);
        if !rows.is_empty() {
            table::print(mode, &rows, &names, cell);
        }
    }
    for candidate in candidates {
        if let Err(why) = &candidate.subject {
            println!("\nskipped {}: {why}", candidate.name);
        }
    }
    let mut failed = 0;
    for (run, result) in runs.iter().zip(results) {
        if let Err(why) = result {
            failed += 1;
            println!("\nFAIL {}, {}, {}: {why}", run.subject.name, run.mode.name(), run.row.name);
        }
    }
    failed
}
