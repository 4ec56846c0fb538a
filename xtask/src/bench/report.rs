//! The tables a bench prints.

use std::collections::BTreeSet;
use std::fmt;

use comfy_table::presets::{ASCII_MARKDOWN, UTF8_HORIZONTAL_ONLY};
use comfy_table::{CellAlignment, Table};

use super::measurement::Measurement;
use super::subject::Subject;

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

/// The measurements of one subject at one number of connections.
struct Row<'a> {
    subject: &'a str,
    measurements: Vec<&'a Measurement>,
}

impl Row<'_> {
    fn spread(&self, figure: impl Fn(&Measurement) -> Option<f64>) -> Spread {
        Spread::of(self.measurements.iter().filter_map(|measurement| figure(measurement)).collect())
    }

    fn p50_us(&self) -> Spread {
        self.spread(|m| Some(m.wrk.p50_us as f64))
    }

    fn p99_us(&self) -> Spread {
        self.spread(|m| Some(m.wrk.p99_us as f64))
    }

    fn requests_per_second(&self) -> Spread {
        self.spread(|m| Some(m.requests_per_second))
    }

    fn cpu_us(&self) -> Spread {
        self.spread(|m| m.cpu_us)
    }
}

/// Figures, ratios and threads for each number of connections. Every figure is the median over the rounds,
/// with the smallest and the largest; a ratio is one of medians.
pub(super) fn tables(subjects: &[Subject], connections: &[u32], measurements: &[Measurement]) -> String {
    let mut text = String::new();
    for &connections in connections {
        let rows: Vec<Row<'_>> = subjects
            .iter()
            .map(|subject| Row {
                subject: &subject.name,
                measurements: measurements
                    .iter()
                    .filter(|m| m.subject == subject.name && m.connections == connections)
                    .collect(),
            })
            .collect();
        text.push_str(&format!("{connections} connections, median (min..max) over the rounds\n"));
        text.push_str(&format!("{}\n\n", figures(&rows)));
        for (subject, row) in subjects.iter().zip(&rows).filter(|(subject, _)| subject.is_picofaas()) {
            text.push_str(&format!("{}\n", ratios(&subject.name, row, &rows)));
        }
        text.push_str(&format!("\n{}\n\n", threads(&rows)));
    }
    text
}

fn figures(rows: &[Row<'_>]) -> Table {
    let mut table = table(&[
        "",
        "p50 µs",
        "p99 µs",
        "requests/s",
        "CPU µs/request",
        "function's",
        "wrk's",
        "errors",
        "others' CPU %",
    ]);
    for row in rows {
        let errors: u64 = row.measurements.iter().map(|measurement| measurement.wrk.errors.sum()).sum();
        table.add_row([
            row.subject.to_owned(),
            row.p50_us().to_string(),
            row.p99_us().to_string(),
            row.requests_per_second().to_string(),
            row.cpu_us().to_string(),
            row.spread(|m| Some(m.upstream_cpu_us)).to_string(),
            row.spread(|m| Some(m.wrk_cpu_us)).to_string(),
            errors.to_string(),
            row.spread(|m| Some(m.others_cpu_percent)).to_string(),
        ]);
    }
    table
}

/// A line for one row of picofaas, against each of the others that was measured.
fn ratios(name: &str, row: &Row<'_>, rows: &[Row<'_>]) -> String {
    let mut parts = Vec::new();
    for base in rows.iter().filter(|base| base.subject == "nginx" || base.subject == "direct") {
        let mut against = |figure: &str, of: Spread, to: Spread| {
            if let (Some(of), Some(to)) = (of.median(), to.median()) {
                parts.push(format!("{figure} {:.2} × {}", of / to, base.subject));
            }
        };
        against("p50", row.p50_us(), base.p50_us());
        against("requests/s", row.requests_per_second(), base.requests_per_second());
        against("CPU", row.cpu_us(), base.cpu_us());
    }
    match parts.is_empty() {
        true => format!("{name}: nothing to compare with was measured"),
        false => format!("{name}: {}", parts.join(", ")),
    }
}

fn threads(rows: &[Row<'_>]) -> Table {
    let mut table = table(&["", "thread", "CPU µs/request"]);
    for row in rows {
        let names: BTreeSet<&String> =
            row.measurements.iter().flat_map(|m| m.cpu_us_by_thread.keys()).collect();
        for name in names {
            let spread = row.spread(|m| Some(m.cpu_us_by_thread.get(name).copied().unwrap_or_default()));
            table.add_row([row.subject.to_owned(), name.clone(), spread.to_string()]);
        }
    }
    table
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
