//! An open loop: vegeta sends requests at a fixed rate, whatever becomes of those before.
//!
//! Latency is counted from the time at which a request was to be sent. Vegeta itself counts from when it was sent,
//! and says of each request when that was and which one it is: number *n* was to be sent *n* intervals after the
//! first. The time of the first is not that at which it was sent, which may be late as well, but the latest with
//! which no request was sent early: the smallest of (sent − n × interval), as vegeta waits for the time of each.

use std::fs;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Serialize;

use super::address::FunctionAddress;
use super::load_point::OPEN_CONNECTIONS;
use super::payload::Payload;
use super::subject::Running;
use crate::bench::cpu;
use crate::process::Process;

const NS_PER_S: u64 = 1_000_000_000;

/// Of all requests, from when they were to be sent.
const PERCENTILES: [f64; 3] = [0.50, 0.99, 0.999];

/// The program, and where its files go.
pub(super) struct Vegeta {
    pub program: PathBuf,
    pub folder: PathBuf,
}

/// An attack whose records were not read yet.
pub(super) struct OpenLoad {
    records: PathBuf,
    pub cpu_ns: u64,
    /// Requests per second; `None` for as many as there can be.
    rate: Option<u32>,
    seconds: u32,
}

/// Result of an open loop; times in microseconds, from when each request was to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct OpenResult {
    /// Requests per second; `None` for as many as there can be.
    pub rate: Option<u32>,
    /// Share of the rate that was answered within the time of the load, at most 1.
    pub rate_reached: Option<f64>,
    /// Number of all that were sent.
    pub requests: u64,
    pub succeeded: u64,
    /// Answered within the time of the load.
    pub requests_per_second: f64,
    pub p50_us: f64,
    pub p99_us: f64,
    pub p999_us: f64,
}

/// One request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::bench) struct SentRequest {
    pub number: u64,
    pub sent_ns: u64,
    pub took_ns: u64,
    pub is_success: bool,
}

impl Vegeta {
    /// Sends `rate` requests per second to what is running.
    pub(super) fn attack(
        &self,
        running: &Running,
        payload: &Payload,
        rate: Option<u32>,
        seconds: u32,
    ) -> Result<OpenLoad> {
        let (targets, records) = (self.folder.join("targets"), self.folder.join("attack.bin"));
        let url = match &running.target {
            FunctionAddress::Tcp(_) => running.url()?,
            // Its host is not used.
            FunctionAddress::Unix(_) => format!("http://localhost{}", running.path),
        };
        fs::write(&targets, format!("POST {url}\n")).context("cannot write a target")?;
        let mut command = Command::new(&self.program);
        command.args(["attack", "-rate", &format!("{}/1s", rate.unwrap_or(0))]);
        command.args(["-duration", &format!("{seconds}s"), "-timeout", "10s", "-max-body", "0"]);
        let workers = OPEN_CONNECTIONS.to_string();
        command.args(["-workers", &workers, "-max-workers", &workers, "-connections", &workers]);
        command.args(["-header", "Content-Type: application/json", "-header", "X-Execution-Id: bench"]);
        if let FunctionAddress::Unix(path) = &running.target {
            command.arg("-unix-socket").arg(path);
        }
        command.arg("-body").arg(&payload.body_file);
        command.arg("-targets").arg(&targets).arg("-output").arg(&records);
        let mut vegeta = Process::start("vegeta", command.stdout(Stdio::piped()))?;
        let mut output = String::new();
        vegeta.stdout()?.read_to_string(&mut output).context("cannot read what vegeta prints")?;
        // Between the end of its output and our wait() the kernel still keeps its account.
        let cpu_ns = cpu::whole_process_ns(vegeta.id())?;
        let status = vegeta.wait()?;
        ensure!(status.success(), "vegeta failed: {status}\n{output}");
        Ok(OpenLoad { records, cpu_ns, rate, seconds })
    }

    /// Reads the record of each request.
    pub(super) fn read(&self, load: &OpenLoad) -> Result<OpenResult> {
        let mut command = Command::new(&self.program);
        command.args(["encode", "-to", "csv"]).arg(&load.records);
        let output = command.output().context("cannot run vegeta encode")?;
        ensure!(output.status.success(), "vegeta encode: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).context("vegeta encode: not text")?;
        let sent: Vec<SentRequest> = text.lines().map(SentRequest::parse).collect::<Result<_>>()?;
        OpenResult::of(&sent, load.rate, load.seconds)
    }
}

impl SentRequest {
    pub(in crate::bench) fn answered_ns(&self) -> u64 {
        self.sent_ns + self.took_ns
    }

    /// A line of `vegeta encode -to csv`: time, status, latency, …, number, method, URL, headers. An error's text in
    /// between may hold commas.
    pub(in crate::bench) fn parse(line: &str) -> Result<Self> {
        let number = line.rsplit(',').nth(3).and_then(|number| number.parse().ok());
        let mut fields = line.split(',').map(|field| field.parse::<u64>().ok());
        let mut next = || fields.next().flatten();
        let (Some(sent_ns), Some(status), Some(took_ns), Some(number)) = (next(), next(), next(), number)
        else {
            bail!("not a record of vegeta: {line:?}");
        };
        Ok(Self { number, sent_ns, took_ns, is_success: (200..300).contains(&status) })
    }
}

impl OpenResult {
    fn of(sent: &[SentRequest], rate: Option<u32>, seconds: u32) -> Result<Self> {
        // As vegeta rounds it.
        let interval_ns = rate.map_or(0, |rate| NS_PER_S / u64::from(rate));
        let offset_ns = |one: &SentRequest| one.number * interval_ns;
        let begin_ns = sent.iter().map(|one| one.sent_ns.saturating_sub(offset_ns(one))).min();
        let begin_ns = begin_ns.context("vegeta sent not one request")?;
        let late_ns = |one: &SentRequest| match rate {
            Some(_) => one.answered_ns().saturating_sub(begin_ns + offset_ns(one)),
            None => one.took_ns,
        };
        let mut latencies_ns: Vec<u64> = sent.iter().map(late_ns).collect();
        latencies_ns.sort_unstable();
        let [p50_us, p99_us, p999_us] = PERCENTILES.map(|share| {
            // The nearest rank, from 1.
            let rank = (share * latencies_ns.len() as f64).ceil() as usize;
            latencies_ns[rank.clamp(1, latencies_ns.len()) - 1] as f64 / 1e3
        });
        let end_ns = sent.iter().map(SentRequest::answered_ns).max().unwrap_or(begin_ns);
        let planned_end_ns = begin_ns + u64::from(seconds) * NS_PER_S;
        let in_time = sent.iter().filter(|one| one.answered_ns() <= planned_end_ns).count() as f64;
        let requests_per_second = match rate {
            Some(_) => in_time / f64::from(seconds),
            None => sent.len() as f64 * NS_PER_S as f64 / end_ns.saturating_sub(begin_ns).max(1) as f64,
        };
        Ok(Self {
            rate,
            rate_reached: rate.map(|rate| (requests_per_second / f64::from(rate)).min(1.0)),
            requests: sent.len() as u64,
            succeeded: sent.iter().filter(|one| one.is_success).count() as u64,
            requests_per_second,
            p50_us,
            p99_us,
            p999_us,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(number: u64, sent_us: u64, took_us: u64) -> SentRequest {
        SentRequest { number, sent_ns: sent_us * 1000, took_ns: took_us * 1000, is_success: true }
    }

    #[test]
    fn latency_is_counted_from_when_a_request_was_to_be_sent() {
        // Every 100 ms; number 3 was sent 500 ms late and answered at once, and so it took 510 ms.
        let all: Vec<SentRequest> = (0..10)
            .map(|number| {
                sent(number, 5_000 + number * 100_000 + if number == 3 { 500_000 } else { 0 }, 10_000)
            })
            .collect();
        let result = OpenResult::of(&all, Some(10), 1).unwrap();
        assert_eq!((result.p50_us, result.p99_us), (10_000.0, 510_000.0));
        assert_eq!((result.requests, result.succeeded, result.rate_reached), (10, 10, Some(1.0)));
    }

    #[test]
    fn a_late_first_request_does_not_hide_its_own_delay() {
        let mut all: Vec<SentRequest> = (0..10).map(|number| sent(number, number * 100_000, 1_000)).collect();
        all[0].sent_ns = 50_000_000;
        let result = OpenResult::of(&all, Some(10), 1).unwrap();
        assert_eq!(result.p99_us, 51_000.0);
    }

    #[test]
    fn a_rate_that_was_not_made_is_told_by_its_share() {
        let all: Vec<SentRequest> = (0..500).map(|number| sent(number, number * 2_000, 1_000)).collect();
        let result = OpenResult::of(&all, Some(1000), 1).unwrap();
        assert_eq!(result.rate_reached, Some(0.5));
        // The last was to be sent after 499 ms, and was answered after 999.
        assert_eq!(result.p999_us, 500_000.0);
    }

    #[test]
    fn answers_after_the_end_of_the_load_do_not_count_towards_its_rate() {
        // Each was sent in time, and the second half was answered a second late.
        let took_us = |number| if number < 50 { 1_000 } else { 1_000_000 };
        let all: Vec<SentRequest> =
            (0..100).map(|number| sent(number, number * 10_000, took_us(number))).collect();
        let result = OpenResult::of(&all, Some(100), 1).unwrap();
        assert_eq!((result.rate_reached, result.requests_per_second), (Some(0.5), 50.0));
        assert_eq!(result.requests, 100);
    }

    #[test]
    fn a_record_is_read_also_where_an_error_holds_commas() {
        let line = "1700000000000000000,200,123456,40,28,,,,7,POST,http://127.0.0.1:1/invoke,Q29u";
        let expected =
            SentRequest { number: 7, sent_ns: 1_700_000_000_000_000_000, took_ns: 123_456, is_success: true };
        assert_eq!(SentRequest::parse(line).unwrap(), expected);
        let failed = "17,0,5,40,0,\"Post: read tcp, reset\",,,8,POST,http://127.0.0.1:1/invoke,";
        let expected = SentRequest { number: 8, sent_ns: 17, took_ns: 5, is_success: false };
        assert_eq!(SentRequest::parse(failed).unwrap(), expected);
        assert!(SentRequest::parse("17,200\n").is_err());
    }
}
