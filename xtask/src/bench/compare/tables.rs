//! The figures of every load, as they are printed.

use super::load_point::{LoadPoint, Pace};
use super::measurement::Measurement;
use super::peak::Peak;
use super::subject::Subject;
use crate::bench::report::{Spread, markdown_table};

/// Threads of picofaas, by the beginning of their names; the main thread is the control thread.
const THREADS: [(&str, &str); 3] =
    [("gateway", "gateway-"), ("scheduler", "scheduler"), ("control", "picofaas")];

/// A table for each load: a row has the median over the rounds of each figure, with the smallest and the largest.
pub(super) fn figures(
    points: &[LoadPoint],
    subjects: &[Subject],
    measurements: &[Measurement],
    peak: Option<&Peak>,
) -> String {
    let mut text = String::new();
    for point in points {
        text.push_str(&format!("### {point}\n\n"));
        if let (Pace::Open { percent }, Some(peak)) = (point.pace, peak) {
            let rate = peak.rate(percent);
            text.push_str(&format!(
                "Asked for: {rate} requests/s. Times are from when each was to be sent.\n\n"
            ));
        }
        text.push_str(&format!("{}\n\n", of_point(point, subjects, measurements)));
    }
    text
}

fn of_point(point: &LoadPoint, subjects: &[Subject], measurements: &[Measurement]) -> comfy_table::Table {
    let mut header = vec!["", "p50 µs", "p99 µs", "requests/s", "CPU µs/request"];
    header.extend(THREADS.map(|(name, _)| name));
    header.extend(["function's", "load's", "errors", "others' CPU %"]);
    let mut table = markdown_table(&header);
    for subject in subjects.iter().filter(|subject| subject.measures(point)) {
        let of: Vec<&Measurement> =
            measurements.iter().filter(|m| m.subject == subject.name && m.point == *point).collect();
        let spread = |figure: &dyn Fn(&Measurement) -> Option<f64>| {
            Spread::of(of.iter().filter_map(|measurement| figure(measurement)).collect()).to_string()
        };
        let errors: u64 = of.iter().map(|measurement| measurement.errors).sum();
        let mut row = vec![
            subject.name.clone(),
            spread(&|m| Some(m.p50_us)),
            spread(&|m| Some(m.p99_us)),
            spread(&|m| Some(m.requests_per_second)),
            spread(&|m| m.cpu_us),
        ];
        row.extend(THREADS.map(|(_, name)| spread(&|m| subject.is_picofaas().then(|| of_thread(m, name)))));
        row.extend([
            spread(&|m| Some(m.function_cpu_us)),
            spread(&|m| Some(m.load_cpu_us)),
            errors.to_string(),
            spread(&|m| Some(m.others_cpu_percent)),
        ]);
        table.add_row(row);
    }
    table
}

/// CPU time per request of all threads whose names begin like this.
fn of_thread(measurement: &Measurement, name: &str) -> f64 {
    let threads = measurement.cpu_us_by_thread.iter();
    threads.filter(|(thread, _)| thread.starts_with(name)).map(|(_, cpu_us)| cpu_us).sum()
}

#[cfg(test)]
mod tests {
    use super::super::comparison::tests::measurement;
    use super::*;

    #[test]
    fn threads_of_picofaas_have_columns_and_those_of_others_have_none() {
        let point = LoadPoint::USUAL;
        let mut ours = measurement("picofaas", point, 1, 20.0);
        for (thread, cpu_us) in
            [("gateway-0", 6.0), ("gateway-1", 1.5), ("scheduler", 2.0), ("picofaas", 0.5)]
        {
            ours.cpu_us_by_thread.insert(thread.to_owned(), cpu_us);
        }
        let nginx = measurement("nginx", point, 1, 10.0);
        let subjects = [Subject::nginx(), Subject::picofaas("picofaas", "adaptive", Vec::new())];
        let text = figures(&[point], &subjects, &[ours, nginx], None);
        let row = |name: &str| -> Vec<String> {
            let line = text.lines().find(|line| line.starts_with(&format!("| {name} "))).unwrap();
            line.split('|').map(|cell| cell.trim().to_owned()).collect()
        };
        assert_eq!(row("picofaas")[6..9], ["7.5 (7.5..7.5)", "2.0 (2.0..2.0)", "0.5 (0.5..0.5)"], "{text}");
        assert_eq!(row("nginx")[6..9], ["–", "–", "–"], "{text}");
        assert!(text.starts_with("### invoke, TCP, rust, 40 B, 32 connections\n"), "{text}");
    }
}
