//! One run of wrk, and what its script printed at the end.

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use super::cpu;
use crate::process::Process;

/// The function refuses a call without one; picofaas makes its own.
const EXECUTION_ID: &str = "bench";

/// Before the result in the output of `invoke.lua`.
const MARK: &str = "wrk-result ";

/// Result of wrk; times in microseconds. wrk corrects percentiles for requests it could not send while
/// it waited (coordinated omission), for every subject alike.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct WrkResult {
    pub requests: u64,
    pub duration_us: u64,
    pub p50_us: u64,
    pub p90_us: u64,
    pub p99_us: u64,
    pub p999_us: u64,
    pub errors: Errors,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Errors {
    pub connect: u64,
    pub read: u64,
    pub write: u64,
    /// Unanswered for longer than wrk's own time-out.
    pub timeout: u64,
    /// Answers with a status above 399.
    pub status: u64,
}

impl Errors {
    pub(crate) fn sum(&self) -> u64 {
        self.connect + self.read + self.write + self.timeout + self.status
    }
}

impl WrkResult {
    pub(crate) fn requests_per_second(&self) -> f64 {
        self.requests as f64 * 1e6 / self.duration_us as f64
    }

    fn parse(output: &str) -> Result<Self> {
        let Some(json) = output.lines().find_map(|line| line.strip_prefix(MARK)) else {
            bail!("wrk printed no line that begins with {MARK:?}, but:\n{output}");
        };
        let result: Self = serde_json::from_str(json).with_context(|| format!("wrk's result {json}"))?;
        if result.requests == 0 || result.duration_us == 0 {
            bail!("not one request was answered: {json}");
        }
        Ok(result)
    }
}

/// A URL on this machine under load from one thread of wrk.
pub(crate) struct Load<'a> {
    pub script: &'a Path,
    pub url: &'a str,
    pub connections: u32,
}

impl Load<'_> {
    /// Runs wrk; gives what it counted and the CPU time it used, in nanoseconds.
    pub(crate) fn run(&self, seconds: u32) -> Result<(WrkResult, u64)> {
        let mut command = Command::new("wrk");
        command
            .args([
                "-t1",
                &format!("-c{}", self.connections),
                &format!("-d{seconds}s"),
                "--timeout",
                "10s",
                "-s",
            ])
            .arg(self.script)
            .args([self.url, "--", EXECUTION_ID])
            .stdout(Stdio::piped());
        let mut wrk = Process::start("wrk", &mut command)?;
        let mut output = String::new();
        wrk.stdout()?.read_to_string(&mut output).context("cannot read what wrk prints")?;
        // Between the end of its output and our wait() the kernel still keeps its account.
        let cpu_ns = cpu::whole_process_ns(wrk.id())?;
        let status = wrk.wait()?;
        if !status.success() {
            bail!("wrk failed: {status}\n{output}");
        }
        Ok((WrkResult::parse(&output)?, cpu_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "Running 1s test @ http://127.0.0.1:1/\n  1 threads and 1 connections\n\
        Requests/sec:    256.13\nwrk-result {\"requests\":266,\"duration_us\":1038522,\"p50_us\":88,\
        \"p90_us\":120,\"p99_us\":300,\"p999_us\":2458,\
        \"errors\":{\"connect\":1,\"read\":2,\"write\":3,\"timeout\":4,\"status\":5}}\n";

    #[test]
    fn the_marked_line_is_found_among_wrks_own_summary() {
        let result = WrkResult::parse(OUTPUT).unwrap();
        assert_eq!((result.requests, result.duration_us), (266, 1_038_522));
        assert_eq!((result.p50_us, result.p90_us, result.p99_us, result.p999_us), (88, 120, 300, 2458));
        assert_eq!(result.errors, Errors { connect: 1, read: 2, write: 3, timeout: 4, status: 5 });
        assert_eq!(result.errors.sum(), 15);
        assert!((result.requests_per_second() - 256.13).abs() < 0.01);
    }

    #[test]
    fn a_run_without_a_result_or_without_an_answer_is_an_error() {
        assert!(WrkResult::parse("unable to connect to 127.0.0.1:1 Connection refused\n").is_err());
        assert!(WrkResult::parse(&OUTPUT.replace("\"requests\":266", "\"requests\":0")).is_err());
        assert!(WrkResult::parse(&OUTPUT.replace("\"p50_us\":88,", "")).is_err());
    }
}
