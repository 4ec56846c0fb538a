//! The results: a table for each mode, with a column for each runtime.

use super::case::{Case, Mode};

/// The content of a cell.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cell {
    Passed,
    Failed,
    /// The runtime could not be started here.
    Skipped,
}

impl Cell {
    fn text(self) -> &'static str {
        match self {
            Self::Passed => "ok",
            Self::Failed => "FAIL",
            Self::Skipped => "skipped",
        }
    }
}

/// A line for each case, a column for each runtime.
pub(crate) fn print(mode: Mode, cases: &[Case], runtimes: &[&str], cell: impl Fn(usize, &Case) -> Cell) {
    let first = cases.iter().map(|case| case.name.len()).max().unwrap_or(0).max(mode.name().len());
    print!("\n{:first$}", mode.name());
    for name in runtimes {
        print!("  {name}");
    }
    println!();
    for case in cases {
        print!("{:first$}", case.name);
        for (index, name) in runtimes.iter().enumerate() {
            let width = name.len().max(Cell::Skipped.text().len());
            print!("  {:width$}", cell(index, case).text());
        }
        println!();
    }
}
