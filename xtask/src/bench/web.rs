//! `cargo xtask bench web`: functions that answer HTTP as it is, beside nginx in front of the same server.
//!
//! Both pass bodies on as they come (nginx with `proxy_buffering off` and `proxy_request_buffering off`). They are
//! measured one after the other in each round, in alternating order, and the figure is the ratio of each round.

mod backend;
mod raw;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Serialize;
use serde_json::json;

use super::cpu::Snapshot;
use super::machine::Machine;
use super::report::{Spread, table};
use super::run::Run;
use super::server::Server;
use super::tested::Tested;
use super::wrk::Load;
use super::{memory, nginx};
use crate::process::Process;
use crate::repository::Repository;
use crate::toolbox::{self, Unavailable};
use crate::wait::{Stopwatch, let_pass};

const FUNCTION: &str = "bench";
/// Connections that are upgraded and idle.
const IDLE_CONNECTIONS: u32 = 1000;
/// Time for memory to settle.
const SETTLE: Duration = Duration::from_secs(2);

#[derive(clap::Args, Serialize)]
pub(super) struct WebOptions {
    /// Length of one measurement of small requests
    #[arg(long, value_name = "S", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,
    /// Times everything is measured
    #[arg(long, value_name = "R", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Size of the body of an upload and of a download, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    mib: u32,
    /// Measure only small requests at a raw handler of the Rust runtime, and calls beside them
    #[arg(long)]
    raw: bool,
    /// Where to write every measurement [default: bench-results/<time>-web.json]
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    #[serde(flatten)]
    tested: Tested,
}

/// One proxy.
struct WebSubject {
    name: &'static str,
    port: u16,
    /// In front of the path.
    prefix: &'static str,
    process: u32,
}

/// One figure of one proxy in one round.
#[derive(Debug, Serialize)]
struct WebFigure {
    row: String,
    subject: &'static str,
    /// From 1.
    round: u32,
    value: f64,
}

pub(super) fn run(repository: &Repository, options: &WebOptions) -> Result<ExitCode> {
    if let Err(Unavailable(why)) = toolbox::debian_programs(&[toolbox::WRK, toolbox::NGINX]) {
        bail!("{why}");
    }
    let machine = Machine::read(&[("wrk", "--version"), ("nginx", "-v")])?;
    let folder = repository.target().join("xtask/bench-web");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let binary = options.tested.binary(repository)?;
    let run = Run::begin(repository, machine)?;
    if options.raw {
        let server = Server::start(&binary, &options.tested.arguments(), &folder, "picofaas")?;
        let figures = raw::measure(repository, options, &server, &folder)?;
        server.stop()?;
        return finish(&run, options, &figures, None);
    }
    let upstream = backend::start()?;
    let template = repository.root().join("benches/nginx/streaming-proxy.conf");
    let (proxy, proxy_port): (Process, u16) = nginx::start(&template, &folder, &upstream.to_string())?;
    let server = Server::start(&binary, &options.tested.arguments(), &folder, "picofaas")?;
    server.register(&json!({
        "name": FUNCTION,
        "executionMode": "POOL",
        "endpointUrl": format!("http://{upstream}"),
        "web": { "maxConnections": 2 * IDLE_CONNECTIONS },
        "concurrency": 256,
        "queueSize": 4096,
        "timeoutMs": 300_000,
    }))?;
    let subjects = [
        WebSubject { name: "nginx", port: proxy_port, prefix: "", process: proxy.id() },
        WebSubject { name: "picofaas", port: server.port, prefix: "/fn/bench", process: server.process.id() },
    ];
    let script = repository.root().join("benches/wrk/invoke.lua");
    let mut figures = Vec::new();
    for round in 1..=options.rounds {
        let mut turn: Vec<&WebSubject> = subjects.iter().collect();
        if round % 2 == 0 {
            turn.reverse();
        }
        for subject in turn {
            for (row, value) in subject.measure(options, &script)? {
                println!("round {round}, {}: {row} {value:.2}", subject.name);
                figures.push(WebFigure { row, subject: subject.name, round, value });
            }
        }
    }
    let idle_kib = subjects[1].idle_connections_kib()?;
    server.stop()?;
    drop(proxy);
    finish(&run, options, &figures, Some(idle_kib))
}

/// Keeps the figures and prints them.
fn finish(
    run: &Run<'_>,
    options: &WebOptions,
    figures: &[WebFigure],
    idle_kib: Option<f64>,
) -> Result<ExitCode> {
    let results = json!({ "figures": figures, "idleConnectionKib": idle_kib });
    run.save(options.json.as_deref(), "-web", options, &results)?;
    println!("\n{}", report(figures)?);
    if let Some(idle_kib) = idle_kib {
        println!("an upgraded connection that is idle, of {IDLE_CONNECTIONS}: {idle_kib:.1} KiB");
    }
    println!("{}\ncommit: {}, scheduler: {}", run.machine, run.commit, options.tested.scheduler);
    Ok(ExitCode::SUCCESS)
}

impl WebSubject {
    fn measure(&self, options: &WebOptions, script: &std::path::Path) -> Result<Vec<(String, f64)>> {
        let mut rows = Vec::new();
        for connections in [1, 32] {
            let url = format!("http://127.0.0.1:{}{}/small", self.port, self.prefix);
            let load = Load { script, url: &url, connections };
            load.run(1).context("warming up")?;
            let before = Snapshot::of_tree(self.process)?;
            let (result, _) = load.run(options.seconds)?;
            let used = Snapshot::of_tree(self.process)?.since(&before).total_ns;
            ensure!(result.errors.sum() == 0, "{}: {:?}", self.name, result.errors);
            let at = |figure: &str| format!("{figure} at {connections}");
            rows.push((at("requests/s"), result.requests_per_second()));
            rows.push((at("p50 µs"), result.p50_us as f64));
            rows.push((at("p99 µs"), result.p99_us as f64));
            rows.push((at("CPU µs/request"), used as f64 / 1e3 / result.requests as f64));
        }
        let bytes = options.mib as usize * 1024 * 1024;
        let before = memory::resident_kib(self.process)?;
        rows.push(("MiB/s down".to_owned(), f64::from(options.mib) / self.download(bytes)?));
        rows.push(("MiB/s up".to_owned(), f64::from(options.mib) / self.upload(bytes)?));
        let more = memory::resident_kib(self.process)?.saturating_sub(before);
        rows.push(("MiB more of memory".to_owned(), more as f64 / 1024.0));
        rows.push(("ms between tokens, p50".to_owned(), self.token_gap_ms()?));
        Ok(rows)
    }

    fn ask(&self, method: &str, path: &str, headers: &str) -> Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], self.port)))?;
        stream.set_read_timeout(Some(Duration::from_secs(300)))?;
        stream.set_nodelay(true)?;
        let mut stream = BufReader::with_capacity(256 * 1024, stream);
        let head = format!("{method} {}{path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n", self.prefix);
        stream.get_mut().write_all(head.as_bytes())?;
        Ok(stream)
    }

    /// Seconds that a body of so many bytes took to come.
    fn download(&self, bytes: usize) -> Result<f64> {
        let watch = Stopwatch::start();
        let mut stream = self.ask("GET", &format!("/bytes={bytes}"), "")?;
        expect_status(&mut stream, "200")?;
        let mut left = bytes;
        while left > 0 {
            let came = stream.fill_buf()?.len();
            ensure!(came > 0, "{}: {left} bytes of an answer are missing", self.name);
            stream.consume(came);
            left = left.saturating_sub(came);
        }
        Ok(watch.elapsed().as_secs_f64())
    }

    /// Seconds that a body of so many bytes took to go.
    fn upload(&self, bytes: usize) -> Result<f64> {
        let watch = Stopwatch::start();
        let mut stream = self.ask("PUT", "/sink", &format!("Content-Length: {bytes}\r\n"))?;
        let piece = vec![b'x'; 256 * 1024];
        let mut left = bytes;
        while left > 0 {
            let now = left.min(piece.len());
            stream.get_mut().write_all(&piece[..now])?;
            left -= now;
        }
        expect_status(&mut stream, "200")?;
        Ok(watch.elapsed().as_secs_f64())
    }

    /// Time between two tokens of a stream, the middle one of all.
    fn token_gap_ms(&self) -> Result<f64> {
        let mut stream = self.ask("GET", "/tokens=1", "")?;
        expect_status(&mut stream, "200")?;
        let (mut gaps, mut watch, mut line) = (Vec::new(), Stopwatch::start(), String::new());
        while gaps.len() < backend::TOKENS as usize - 1 {
            line.clear();
            ensure!(stream.read_line(&mut line)? > 0, "{}: the tokens ended early", self.name);
            if line.starts_with("data:") {
                gaps.push(watch.elapsed().as_secs_f64() * 1e3);
                watch = Stopwatch::start();
            }
        }
        Spread::of(gaps).median().context("no token came")
    }

    /// Memory that a connection takes which was upgraded and is idle (KiB).
    fn idle_connections_kib(&self) -> Result<f64> {
        let open = |count: u32| -> Result<Vec<BufReader<TcpStream>>> {
            (0..count)
                .map(|_| {
                    let headers = "Connection: upgrade\r\nUpgrade: websocket\r\n";
                    let mut stream = self.ask("GET", "/upgrade=1", headers)?;
                    expect_status(&mut stream, "101")?;
                    stream.get_mut().write_all(b"hello")?;
                    let mut back = [0; 5];
                    stream.read_exact(&mut back)?;
                    ensure!(&back == b"hello", "it gives back something else");
                    Ok(stream)
                })
                .collect()
        };
        // The first few take what is there only once.
        let _first = open(10)?;
        let before = memory::resident_kib(self.process)?;
        let _open = open(IDLE_CONNECTIONS)?;
        let_pass(SETTLE);
        let after = memory::resident_kib(self.process)?;
        Ok(after.saturating_sub(before) as f64 / f64::from(IDLE_CONNECTIONS))
    }
}

/// Reads the head of an answer, which has to have this status.
fn expect_status(stream: &mut BufReader<TcpStream>, status: &str) -> Result<()> {
    let mut line = String::new();
    stream.read_line(&mut line).context("no answer")?;
    ensure!(line.split(' ').nth(1) == Some(status), "it answered {line:?}");
    while line != "\r\n" {
        line.clear();
        ensure!(stream.read_line(&mut line)? > 0, "the head ended early");
    }
    Ok(())
}

/// The figures of both, and the ratio of each round.
fn report(figures: &[WebFigure]) -> Result<String> {
    let mut lines = table(&["", "nginx", "picofaas", "picofaas ÷ nginx"]);
    let mut rows: Vec<&str> = Vec::new();
    for figure in figures {
        if !rows.contains(&figure.row.as_str()) {
            rows.push(&figure.row);
        }
    }
    for row in rows {
        let of = |subject: &str| -> Vec<&WebFigure> {
            figures.iter().filter(|figure| figure.row == row && figure.subject == subject).collect()
        };
        let (nginx, picofaas) = (of("nginx"), of("picofaas"));
        ensure!(nginx.len() == picofaas.len(), "a round is missing");
        let spread = |all: &[&WebFigure]| Spread::of(all.iter().map(|figure| figure.value).collect());
        let ratio = |ours: &&WebFigure| {
            let theirs = nginx.iter().find(|theirs| theirs.round == ours.round)?;
            (theirs.value > 0.0).then(|| ours.value / theirs.value)
        };
        lines.add_row([
            row.to_owned(),
            format!("{:.1}", spread(&nginx)),
            format!("{:.1}", spread(&picofaas)),
            format!("{:.2}", Spread::of(picofaas.iter().filter_map(ratio).collect())),
        ]);
    }
    Ok(format!("median (min..max) over the rounds\n{lines}"))
}
