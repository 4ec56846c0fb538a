//! The ratios of a run as a picture in SVG: a point and its interval for each load and figure.
//!
//! It is for a page whose colours are not known: the reader's preference for light or dark chooses them.

use std::fmt::Write as _;

use super::comparison::{ComparedFigure, Comparison};
use super::scale::LogScale;
use crate::bench::compare::NEW;

/// Figures that are drawn, each in a panel of its own.
const PANELS: [(&str, &str); 4] = [
    ("p50", "p50: less is better"),
    ("p99", "p99: less is better"),
    ("requests/s", "requests/s: more is better"),
    ("CPU", "CPU per request: less is better"),
];

const NAMES_WIDTH: f64 = 270.0;
const PANEL_WIDTH: f64 = 190.0;
const GAP: f64 = 20.0;
/// Above the first row: title, legend, titles of the panels.
const TOP: f64 = 84.0;
const ROW_HEIGHT: f64 = 26.0;
/// Below the last row: marks and where the figures are from.
const BOTTOM: f64 = 54.0;
/// Between the points of two bases in one row.
const BASE_OFFSET: f64 = 5.0;

const STYLE: &str = "\
svg{font:12px system-ui,sans-serif}\
.page{fill:#fff}text{fill:#1f2328}.quiet{fill:#59636e;font-size:11px}.title{font-size:15px;font-weight:600}\
.grid{stroke:#d1d9e0}.one{stroke:#59636e;stroke-dasharray:3 3}\
.nginx{stroke:#0969da;fill:#0969da}.direct{stroke:#bc4c00;fill:#fff}\
@media (prefers-color-scheme:dark){\
.page{fill:#0d1117}text{fill:#f0f6fc}.quiet{fill:#9198a1}\
.grid{stroke:#3d444d}.one{stroke:#9198a1}\
.nginx{stroke:#58a6ff;fill:#58a6ff}.direct{stroke:#f0883e;fill:#0d1117}}";

/// Draws the rows of the picofaas without a name. `source` says where the figures are from.
pub(super) fn svg(comparisons: &[Comparison], source: &str) -> String {
    let ours: Vec<&Comparison> = comparisons.iter().filter(|it| it.subject == NEW).collect();
    let mut loads: Vec<&str> = ours.iter().map(|comparison| &*comparison.point).collect();
    loads.dedup();
    let width = NAMES_WIDTH + PANELS.len() as f64 * (PANEL_WIDTH + GAP);
    let rows_end = TOP + loads.len() as f64 * ROW_HEIGHT;
    let height = rows_end + BOTTOM;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\">\n<title>picofaas beside nginx and a direct call</title>\n\
         <style>{STYLE}</style>\n<rect class=\"page\" width=\"{width}\" height=\"{height}\"/>\n"
    );
    text(&mut out, 10.0, 22.0, "class=\"title\"", "picofaas ÷ nginx and picofaas ÷ a direct call");
    legend(&mut out);
    for (row, load) in loads.iter().enumerate() {
        text(&mut out, 10.0, middle(row) + 4.0, "", load);
    }
    for (at, (figure, title)) in PANELS.iter().enumerate() {
        let from = NAMES_WIDTH + at as f64 * (PANEL_WIDTH + GAP);
        let figures: Vec<(usize, &'static str, &ComparedFigure)> = (ours.iter())
            .filter_map(|it| {
                let row = loads.iter().position(|load| *load == it.point)?;
                Some((row, it.base, it.figure(figure)?))
            })
            .collect();
        panel(&mut out, title, from, rows_end, &figures);
    }
    text(&mut out, 10.0, height - 10.0, "class=\"quiet\"", source);
    out.push_str("</svg>\n");
    out
}

fn middle(row: usize) -> f64 {
    TOP + (row as f64 + 0.5) * ROW_HEIGHT
}

fn legend(out: &mut String) {
    mark(out, "nginx", 16.0, 42.0, None);
    text(out, 26.0, 46.0, "class=\"quiet\"", "÷ nginx");
    mark(out, "direct", 86.0, 42.0, None);
    text(out, 96.0, 46.0, "class=\"quiet\"", "÷ direct");
    text(out, 160.0, 46.0, "class=\"quiet\"", "median of the rounds' ratios, 95 % interval (bootstrap)");
}

fn panel(
    out: &mut String,
    title: &str,
    from: f64,
    rows_end: f64,
    figures: &[(usize, &'static str, &ComparedFigure)],
) {
    let values = figures.iter().flat_map(|(_, _, figure)| {
        let ends = figure.interval.map(|interval| [interval.low, interval.high]);
        ends.into_iter().flatten().chain([figure.median])
    });
    let scale = LogScale::around(values, from, from + PANEL_WIDTH);
    text(out, from, TOP - 14.0, "", title);
    for value in scale.marks() {
        let x = scale.position(value);
        let class = if value == 1.0 { "one" } else { "grid" };
        line(out, class, [x, TOP - 4.0], [x, rows_end + 4.0]);
        text(out, x, rows_end + 18.0, "class=\"quiet\" text-anchor=\"middle\"", &value.to_string());
    }
    for (row, base, figure) in figures {
        let y = middle(*row) + if *base == "nginx" { -BASE_OFFSET } else { BASE_OFFSET };
        let ends = figure.interval.map(|it| [scale.position(it.low), scale.position(it.high)]);
        mark(out, base, scale.position(figure.median), y, ends);
    }
}

/// A point and, where there is one, its interval behind it.
fn mark(out: &mut String, class: &str, x: f64, y: f64, ends: Option<[f64; 2]>) {
    if let Some([low, high]) = ends {
        line(out, class, [low, y], [high, y]);
    }
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" stroke-width=\"1.5\"/>"
    );
}

fn line(out: &mut String, class: &str, [x1, y1]: [f64; 2], [x2, y2]: [f64; 2]) {
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
    );
}

fn text(out: &mut String, x: f64, y: f64, attributes: &str, content: &str) {
    let content = content.replace('&', "&amp;").replace('<', "&lt;");
    // Writing to a String cannot fail.
    let _ = writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" {attributes}>{content}</text>");
}

#[cfg(test)]
mod tests {
    use super::super::comparison::{of_all, tests::measurement};
    use super::super::load_point::LoadPoint;
    use super::super::subject::Subject;
    use super::*;

    fn drawn(rounds: u32) -> String {
        let points = [LoadPoint::USUAL, LoadPoint { connections: 1, ..LoadPoint::USUAL }];
        let mut measurements = Vec::new();
        for point in points {
            for round in 1..=rounds {
                for (name, p50_us) in
                    [("direct", 20.0), ("nginx", 40.0), ("picofaas", 50.0 + f64::from(round))]
                {
                    measurements.push(measurement(name, point, round, p50_us));
                }
            }
        }
        let subjects =
            [Subject::direct(), Subject::nginx(), Subject::picofaas("picofaas", "adaptive", Vec::new())];
        svg(&of_all(&points, &subjects, &measurements).unwrap(), "a < b & c")
    }

    #[test]
    fn every_ratio_is_a_point_with_its_interval() {
        let picture = drawn(6);
        // Two loads, four figures ÷ nginx and three ÷ direct, and the legend's two.
        assert_eq!(picture.matches("<circle").count(), 2 * 7 + 2);
        assert_eq!(picture.matches("<line class=\"nginx\"").count(), 2 * 4);
        assert_eq!(picture.matches("<line class=\"direct\"").count(), 2 * 3);
        assert!(picture.contains("invoke, TCP, rust, 40 B, 1 connection<"), "{picture}");
        assert_eq!(drawn(2).matches("<line class=\"nginx\"").count(), 0, "two rounds have no interval");
    }

    #[test]
    fn it_is_well_formed_and_has_colours_for_a_dark_page() {
        let picture = drawn(6);
        assert!(picture.starts_with("<svg xmlns=") && picture.ends_with("</svg>\n"));
        assert!(picture.contains("a &lt; b &amp; c") && picture.contains("prefers-color-scheme:dark"));
        assert_eq!(picture.matches("<text").count(), picture.matches("</text>").count());
        assert!(!picture.contains("NaN"));
    }
}
