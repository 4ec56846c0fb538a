//! Percentiles of the stages of executions, from the times that picofaas keeps of each: those that ended last.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::flame_load::FUNCTION;
use crate::http;

/// The stages in their order, as a list of executions names them; and their sum.
const STAGES: [&str; 5] = ["admit", "queue", "dispatch", "function", "reply"];
const WHOLE: &str = "whole";

/// Executions that are read at most: one in a thousand of them is still twenty.
const EXECUTIONS_MAX: usize = 20_000;

/// Executions of a page of the list: the most that it has.
const PAGE: usize = 500;

/// Times of executions in nanoseconds: a row of each, with a column for each stage and one for their sum.
#[derive(Debug, Default)]
pub(super) struct Stages(Vec<[u64; STAGES.len() + 1]>);

impl Stages {
    /// Reads the newest executions of the function, `count` at most.
    pub(super) fn read(port: u16, count: u64) -> Result<Self> {
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(EXECUTIONS_MAX);
        let mut stages = Self::default();
        let mut cursor = String::new();
        while stages.0.len() < count {
            let path = format!("/v1/executions?function={FUNCTION}&status=success&limit={PAGE}{cursor}");
            let answer = http::request(port, "GET", &path, &[], "")?;
            ensure!(answer.status == 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
            let page: Value = serde_json::from_slice(&answer.body).context("the list is not JSON")?;
            stages.add(&page)?;
            match page["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        stages.0.truncate(count);
        ensure!(!stages.0.is_empty(), "no execution is left to read the stages of");
        Ok(stages)
    }

    /// Adds the executions of a page.
    fn add(&mut self, page: &Value) -> Result<()> {
        let Some(executions) = page["executions"].as_array() else { bail!("not a list: {page}") };
        for execution in executions {
            let mut row = [0; STAGES.len() + 1];
            for (at, stage) in STAGES.iter().enumerate() {
                let ns = execution["timings"][stage].as_u64();
                row[at] = ns.with_context(|| format!("no time of the stage {stage}: {execution}"))?;
                row[STAGES.len()] += row[at];
            }
            self.0.push(row);
        }
        Ok(())
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// A table in microseconds.
    pub(super) fn table(&self) -> String {
        let mut table = "| stage | p50 µs | p99 µs | p99.9 µs |\n|---|---|---|---|\n".to_owned();
        for (at, name) in STAGES.iter().chain([&WHOLE]).enumerate() {
            let mut times: Vec<u64> = self.0.iter().map(|row| row[at]).collect();
            times.sort_unstable();
            let figures = [500, 990, 999].map(|permille| us(percentile(&times, permille)));
            // Writes to a string do not fail.
            let _ = writeln!(table, "| {name} | {} |", figures.join(" | "));
        }
        table
    }
}

/// Of at least one sorted value, the smallest that so many thousandths do not exceed.
fn percentile(sorted: &[u64], permille: usize) -> u64 {
    sorted[(sorted.len() * permille).div_ceil(1000).max(1) - 1]
}

fn us(ns: u64) -> String {
    format!("{:.1}", ns as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_percentile_is_a_value_that_was_measured() {
        let thousand: Vec<u64> = (1..=1000).collect();
        assert_eq!([500, 990, 999].map(|p| percentile(&thousand, p)), [500, 990, 999]);
        assert_eq!([500, 999].map(|p| percentile(&[7], p)), [7, 7]);
        assert_eq!(percentile(&[1, 2], 500), 1);
    }

    #[test]
    fn the_stages_of_a_page_and_their_sum_are_rows_of_the_table() {
        let execution = |ns: u64| {
            let timings =
                json!({ "admit": ns, "queue": 2000, "dispatch": 3000, "function": 4000, "reply": 500 });
            json!({ "executionId": "0", "timings": timings })
        };
        let mut stages = Stages::default();
        stages.add(&json!({ "executions": [execution(1000), execution(9000)] })).unwrap();
        assert_eq!(stages.count(), 2);
        let table = stages.table();
        assert!(table.contains("| admit | 1.0 | 9.0 | 9.0 |\n"), "{table}");
        assert!(table.contains("| whole | 10.5 | 18.5 | 18.5 |\n"), "{table}");
    }

    #[test]
    fn an_execution_without_its_times_is_an_error() {
        let mut stages = Stages::default();
        let error = stages.add(&json!({ "executions": [{ "timings": null }] })).unwrap_err().to_string();
        assert!(error.contains("no time of the stage admit"), "{error}");
    }
}
