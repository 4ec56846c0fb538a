//! The tables a bench prints.

use std::fmt;

use comfy_table::presets::{ASCII_MARKDOWN, UTF8_HORIZONTAL_ONLY};
use comfy_table::{CellAlignment, Table};

/// The rounds of one figure. Empty when it was not measured.
#[derive(Debug, PartialEq)]
pub(super) struct Spread(Vec<f64>);

impl Spread {
    pub(super) fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    pub(super) fn median(&self) -> Option<f64> {
        let middle = self.0.len() / 2;
        let upper = *self.0.get(middle)?;
        if self.0.len() % 2 == 1 { Some(upper) } else { Some((self.0[middle - 1] + upper) / 2.0) }
    }
}

/// With the precision of the format string, or else one digit behind the point below 100: it says something
/// of 7.3 µs and nothing of 43000 requests/s.
impl fmt::Display for Spread {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Some(median), Some(least), Some(most)) = (self.median(), self.0.first(), self.0.last()) else {
            return out.write_str("–");
        };
        let digits = out.precision().unwrap_or(usize::from(median < 100.0));
        write!(out, "{median:.digits$} ({least:.digits$}..{most:.digits$})")
    }
}

/// A table whose first column is names and whose others are figures.
pub(super) fn table(header: &[&str]) -> Table {
    styled(UTF8_HORIZONTAL_ONLY, header)
}

/// The same in Markdown, for a page.
pub(super) fn markdown_table(header: &[&str]) -> Table {
    styled(ASCII_MARKDOWN, header)
}

fn styled(preset: &str, header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(preset).set_header(header);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_of_rounds_lies_between_the_two_in_the_middle() {
        assert_eq!(Spread::of(vec![5.0, 1.0, 3.0]).median(), Some(3.0));
        assert_eq!(Spread::of(vec![4.0, 1.0, 3.0, 2.0]).median(), Some(2.5));
        assert_eq!(Spread::of(vec![]).median(), None);
    }

    #[test]
    fn a_figure_is_its_median_with_the_extremes_and_a_missing_one_is_a_dash() {
        assert_eq!(Spread::of(vec![7.31, 9.0, 6.0]).to_string(), "7.3 (6.0..9.0)");
        assert_eq!(Spread::of(vec![43_100.4, 42_000.0, 44_000.0]).to_string(), "43100 (42000..44000)");
        assert_eq!(Spread::of(vec![]).to_string(), "–");
        assert_eq!(format!("{:.3}", Spread::of(vec![1.02])), "1.020 (1.020..1.020)");
    }
}
