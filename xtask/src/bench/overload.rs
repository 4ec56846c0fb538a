//! `cargo xtask bench overload`: more calls than a function can do.
//!
//! A function of 5 ms with `concurrency: 8` is called by clients that give each call 100 ms. What it can do is measured
//! first, by a closed loop of 8 connections; then calls come at multiples of that rate, whatever becomes of those
//! before. A second function beside it is called at a low rate all the time.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Serialize;
use serde_json::json;

use super::compare::open_loop::SentRequest;
use super::machine::Machine;
use super::report::{Spread, table};
use super::run::Run;
use super::server::Server;
use super::tested::Tested;
use super::wrk::Load;
use crate::process::Process;
use crate::repository::Repository;
use crate::toolbox::{self, Unavailable};
use crate::wait::let_pass;

/// Time that a call of the busy function takes.
const SERVICE: Duration = Duration::from_millis(5);
/// Time that a client gives a call of it (ms).
const TIMEOUT_MS: u32 = 100;
const CONCURRENCY: u32 = 8;
/// Calls that vegeta may have under way.
const WORKERS: u32 = 1024;
/// Calls per second of the function beside.
const BESIDE_RATE: u32 = 200;
/// Rates, in hundredths of the capacity.
const LOADS: [u32; 3] = [75, 200, 400];
const NS_PER_S: f64 = 1e9;

#[derive(clap::Args, Serialize)]
pub(super) struct OverloadOptions {
    /// Length of one measurement
    #[arg(long, value_name = "S", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,
    /// Times everything is measured
    #[arg(long, value_name = "R", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Have every call begun, however late it is (dropUnreachable: false)
    #[arg(long)]
    keep_unreachable: bool,
    /// Where to write every measurement [default: bench-results/<time>-overload.json]
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    #[serde(flatten)]
    tested: Tested,
}

/// Figures of one rate in one round.
#[derive(Clone, Copy, Debug, Serialize)]
struct OverloadFigures {
    /// Of the capacity, in hundredths; 0: the function beside is alone.
    load: u32,
    /// From 1.
    round: u32,
    /// Calls per second that were to be sent.
    rate: u32,
    /// Calls per second that were sent.
    sent: f64,
    /// Calls per second that succeeded.
    good: f64,
    /// Median of the time of those (ms).
    good_p50_ms: Option<f64>,
    /// Of the function beside (ms).
    beside_p99_ms: f64,
}

pub(super) fn run(repository: &Repository, options: &OverloadOptions) -> Result<ExitCode> {
    if let Err(Unavailable(why)) = toolbox::debian_programs(&[toolbox::WRK]) {
        bail!("{why}");
    }
    let vegeta = match toolbox::vegeta() {
        Ok(program) => program,
        Err(Unavailable(why)) => bail!("{why}"),
    };
    let mut machine = Machine::read(&[("wrk", "--version")])?;
    machine.tools.push(format!("vegeta {}", toolbox::VEGETA_VERSION));
    let folder = repository.target().join("xtask/bench-overload");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let binary = options.tested.binary(repository)?;
    let run = Run::begin(repository, machine)?;
    let server = Server::start(&binary, &options.tested.arguments(), &folder, "picofaas")?;
    for (name, takes, concurrency) in [("busy", SERVICE, CONCURRENCY), ("beside", Duration::ZERO, 64)] {
        server.register(&json!({
            "name": name,
            "executionMode": "POOL",
            "endpointUrl": format!("http://{}", serve(takes)?),
            "concurrency": concurrency,
            "queueSize": 4096,
            "dropUnreachable": !options.keep_unreachable,
        }))?;
    }
    let bench = OverloadBench { vegeta, folder, port: server.port, seconds: options.seconds };
    let script = repository.root().join("benches/wrk/invoke.lua");
    let (mut figures, mut capacities) = (Vec::new(), Vec::new());
    for round in 1..=options.rounds {
        let capacity = bench.capacity(&script)?;
        println!("round {round}: {capacity:.0} calls/s can be done");
        capacities.push(capacity);
        for load in [0].into_iter().chain(LOADS) {
            let one = bench.measure(load, round, capacity)?;
            println!("round {round}, {load} %: {one:?}");
            figures.push(one);
        }
    }
    server.stop()?;
    let results = json!({ "capacities": capacities, "figures": figures });
    run.save(options.json.as_deref(), "-overload", options, &results)?;
    println!("\n{}", report(&capacities, &figures));
    println!("{}\ncommit: {}, scheduler: {}", run.machine, run.commit, options.tested.scheduler);
    Ok(ExitCode::SUCCESS)
}

struct OverloadBench {
    vegeta: PathBuf,
    folder: PathBuf,
    port: u16,
    /// Of one measurement.
    seconds: u32,
}

/// Calls of one function at a fixed rate.
struct Attack {
    process: Process,
    records: PathBuf,
    rate: u32,
}

impl OverloadBench {
    fn url(&self, function: &str) -> String {
        format!("http://127.0.0.1:{}/v1/functions/{function}:invoke", self.port)
    }

    /// Calls per second that the busy function can do.
    fn capacity(&self, script: &Path) -> Result<f64> {
        let url = self.url("busy");
        let load = Load { script, url: &url, connections: CONCURRENCY };
        load.run(1).context("warming up")?;
        let (result, _) = load.run(self.seconds)?;
        ensure!(result.errors.sum() == 0, "{:?}", result.errors);
        Ok(result.requests_per_second())
    }

    fn measure(&self, load: u32, round: u32, capacity: f64) -> Result<OverloadFigures> {
        let rate = (capacity * f64::from(load) / 100.0) as u32;
        let beside = self.attack("beside", BESIDE_RATE)?;
        let busy = if load > 0 { Some(self.attack("busy", rate)?) } else { None };
        let busy = busy.map(|attack| self.records(attack)).transpose()?;
        let (_, beside) = self.records(beside)?;
        ensure!(beside.iter().all(|one| one.is_success), "a call of the function beside failed");
        let beside_p99_ms = percentile_ms(&beside, 0.99).context("no call of the function beside")?;
        let mut figures =
            OverloadFigures { load, round, rate, sent: 0.0, good: 0.0, good_p50_ms: None, beside_p99_ms };
        if let Some((seconds, mut sent)) = busy {
            figures.sent = sent.len() as f64 / seconds;
            sent.retain(|one| one.is_success);
            figures.good = sent.len() as f64 / seconds;
            figures.good_p50_ms = percentile_ms(&sent, 0.5);
        }
        Ok(figures)
    }

    fn attack(&self, function: &str, rate: u32) -> Result<Attack> {
        let [targets, body, records] =
            ["targets", "body", "records"].map(|what| self.folder.join(format!("{function}.{what}")));
        fs::write(&targets, format!("POST {}\n", self.url(function))).context("cannot write a target")?;
        fs::write(&body, "{\"input\":1}").context("cannot write a body")?;
        let mut command = Command::new(&self.vegeta);
        command.args(["attack", "-rate", &format!("{rate}/1s"), "-duration", &format!("{}s", self.seconds)]);
        let workers = WORKERS.to_string();
        command.args(["-workers", &workers, "-max-workers", &workers, "-connections", &workers]);
        command.args(["-timeout", "10s", "-max-body", "0", "-header", "Content-Type: application/json"]);
        if function == "busy" {
            command.args(["-header", &format!("X-Timeout-Ms: {TIMEOUT_MS}")]);
        }
        command.arg("-body").arg(&body).arg("-targets").arg(&targets).arg("-output").arg(&records);
        let process = Process::start("vegeta", command.stdout(Stdio::piped()))?;
        Ok(Attack { process, records, rate })
    }

    /// Waits for the end. Answers the seconds that the calls took to be sent, and the record of each.
    fn records(&self, mut attack: Attack) -> Result<(f64, Vec<SentRequest>)> {
        let mut output = String::new();
        attack.process.stdout()?.read_to_string(&mut output).context("cannot read what vegeta prints")?;
        let status = attack.process.wait()?;
        ensure!(status.success(), "vegeta failed: {status}\n{output}");
        let mut command = Command::new(&self.vegeta);
        command.args(["encode", "-to", "csv"]).arg(&attack.records);
        let output = command.output().context("cannot run vegeta encode")?;
        ensure!(output.status.success(), "vegeta encode: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).context("vegeta encode: not text")?;
        let sent: Vec<SentRequest> = text.lines().map(SentRequest::parse).collect::<Result<_>>()?;
        let times = || sent.iter().map(|one| one.sent_ns);
        let (Some(first), Some(last)) = (times().min(), times().max()) else { bail!("vegeta sent nothing") };
        // The last call has its interval, too.
        let seconds = (last - first) as f64 / NS_PER_S + 1.0 / f64::from(attack.rate);
        Ok((seconds, sent))
    }
}

fn percentile_ms(sent: &[SentRequest], share: f64) -> Option<f64> {
    let mut took: Vec<u64> = sent.iter().map(|one| one.took_ns).collect();
    took.sort_unstable();
    // The nearest rank, from 1.
    let rank = (share * took.len() as f64).ceil() as usize;
    took.get(rank.max(1) - 1).map(|ns| *ns as f64 / 1e6)
}

fn report(capacities: &[f64], figures: &[OverloadFigures]) -> String {
    let header = ["calls", "sent ÷ C", "good ÷ sent", "good ÷ C", "p50 of good ms", "p99 beside ÷ alone"];
    let mut lines = table(&header);
    let of_round = |all: &[OverloadFigures], value: &dyn Fn(&OverloadFigures) -> Option<f64>| {
        Spread::of(all.iter().filter_map(value).collect())
    };
    let capacity = |one: &OverloadFigures| capacities.get(one.round as usize - 1).copied();
    let alone = |one: &OverloadFigures| {
        figures
            .iter()
            .find(|other| other.load == 0 && other.round == one.round)
            .map(|other| other.beside_p99_ms)
    };
    for load in LOADS {
        let rounds: Vec<OverloadFigures> = figures.iter().filter(|one| one.load == load).copied().collect();
        lines.add_row([
            format!("{} C", f64::from(load) / 100.0),
            format!("{:.2}", of_round(&rounds, &|one| Some(one.sent / capacity(one)?))),
            format!("{:.3}", of_round(&rounds, &|one| Some(one.good / one.sent))),
            format!("{:.2}", of_round(&rounds, &|one| Some(one.good / capacity(one)?))),
            format!("{:.0}", of_round(&rounds, &|one| one.good_p50_ms)),
            format!("{:.2}", of_round(&rounds, &|one| Some(one.beside_p99_ms / alone(one)?))),
        ]);
    }
    let capacity = Spread::of(capacities.to_vec());
    format!("median (min..max) over the rounds; C is {capacity} calls/s\n{lines}")
}

/// A function that takes so long for each call. Serves for as long as the process lives, with a thread for each
/// connection.
fn serve(takes: Duration) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen")?;
    let address = listener.local_addr().context("it has no address")?;
    thread::spawn(move || {
        for stream in listener.incoming() {
            // A connection that breaks is its client's affair, who is told.
            thread::Builder::new().stack_size(128 * 1024).spawn(move || answer_all(stream?, takes)).ok();
        }
    });
    Ok(address)
}

fn answer_all(stream: TcpStream, takes: Duration) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    loop {
        let mut length = 0;
        loop {
            line.clear();
            if stream.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let Some((name, value)) = line.split_once(':') else {
                if line == "\r\n" {
                    break;
                }
                continue;
            };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
        let_pass(takes);
        stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{\"output\":1}")?;
    }
}
