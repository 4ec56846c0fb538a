//! Tables of text in columns, as kubectl sets them.

use crate::output::Colour;
use crate::printable::printable;

/// Spaces between two columns.
const GAP: usize = 3;

/// A row is a list of cells.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Vec<Cell>>,
}

/// A text, perhaps in a colour.
#[derive(Debug)]
pub(crate) struct Cell {
    text: String,
    colour: Option<Colour>,
}

impl Cell {
    /// A text in a colour.
    pub(crate) fn coloured(text: impl Into<String>, colour: Option<Colour>) -> Self {
        // Text of a server moves no cursor, and a cell is one line.
        let text = printable(&text.into()).replace(['\n', '\t'], " ");
        Self { text, colour }
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::coloured(text, None)
    }
}

impl Table {
    /// A table with a line of headings.
    pub(crate) fn new(headings: &[&str]) -> Self {
        Self { rows: vec![headings.iter().map(|heading| Cell::from(*heading)).collect()] }
    }

    /// Adds a row below.
    pub(crate) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// The lines, each with its break; no space at their ends.
    pub(crate) fn render(&self, in_colours: bool) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let widths: Vec<usize> = (0..columns)
            .map(|column| {
                self.rows.iter().filter_map(|row| row.get(column)).map(Cell::width).max().unwrap_or(0)
            })
            .collect();
        let mut lines = String::new();
        for row in &self.rows {
            for (index, (cell, width)) in row.iter().zip(&widths).enumerate() {
                match cell.colour.filter(|_| in_colours) {
                    Some(colour) => lines.push_str(&colour.paint(&cell.text)),
                    None => lines.push_str(&cell.text),
                }
                if index + 1 < row.len() {
                    lines.extend(std::iter::repeat_n(' ', width - cell.width() + GAP));
                }
            }
            lines.truncate(lines.trim_end_matches(' ').len());
            lines.push('\n');
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_with_and_without_colours() {
        let mut table = Table::new(&["NAME", "STATUS"]);
        table.row(vec!["word-stats".into(), Cell::coloured("Ready", Some(Colour::Green))]);
        table.row(vec!["ü".into(), "\u{1b}[2Jx\ny".into()]);
        let plain = "NAME         STATUS\nword-stats   Ready\nü            \\u{1b}[2Jx y\n";
        assert_eq!(table.render(false), plain);
        table.row(vec!["x".into(), "".into()]);
        let plain = format!("{plain}x\n");
        assert_eq!(table.render(false), plain);
        assert_eq!(table.render(true), plain.replace("Ready", "\u{1b}[32mReady\u{1b}[0m"));
    }
}
