//! The results: a table for each mode, with a column for each runtime.

use super::case::{Mode, Row};

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

/// A line for each row, a column for each runtime.
pub(crate) fn print(mode: Mode, rows: &[Row], runtimes: &[&str], cell: impl Fn(usize, &Row) -> Cell) {
    let first = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0).max(mode.name().len());
    print!("\n{:first$}", mode.name());
    for name in runtimes {
        print!("  {name}");
    }
    println!();
    for row in rows {
        print!("{:first$}", row.name);
        for (index, name) in runtimes.iter().enumerate() {
            let width = name.len().max(Cell::Skipped.text().len());
            print!("  {:width$}", cell(index, row).text());
        }
        println!();
    }
}
