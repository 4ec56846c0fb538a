//! Small requests at a raw handler of the Rust runtime, and calls of a handler of JSON beside them: each through picofaas,
//! and through nginx in front of a process of the same function.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use super::super::cpu::Snapshot;
use super::super::server::{Server, free_port, log_file, wait_for_listener};
use super::super::wrk::Load;
use super::super::{build, nginx};
use super::{WebFigure, WebOptions};
use crate::process::Process;
use crate::repository::Repository;

/// A kind of request.
struct Kind {
    name: &'static str,
    /// The example of the Rust runtime.
    example: &'static str,
    /// The path at the function itself.
    at_function: &'static str,
    /// The path at picofaas.
    at_picofaas: &'static str,
}

const KINDS: [Kind; 2] = [
    Kind { name: "web", example: "raw", at_function: "/web/small", at_picofaas: "/fn/raw/small" },
    Kind {
        name: "invoke",
        example: "echo",
        at_function: "/invoke",
        at_picofaas: "/v1/functions/echo:invoke",
    },
];

/// One way to a function.
struct Way {
    kind: &'static str,
    subject: &'static str,
    url: String,
    process: u32,
}

/// Measures all ways in each round, in alternating order.
pub(super) fn measure(
    repository: &Repository,
    options: &WebOptions,
    server: &Server,
    folder: &Path,
) -> Result<Vec<WebFigure>> {
    let script = repository.root().join("benches/wrk/invoke.lua");
    let template = repository.root().join("benches/nginx/streaming-proxy.conf");
    let (mut ways, mut processes) = (Vec::new(), Vec::new());
    for kind in &KINDS {
        let Kind { name, example, at_function, at_picofaas } = *kind;
        let program =
            build(repository, &["--package", "picofaas-runtime", "--example", example], "examples")?
                .join(example);
        let folder = folder.join(name);
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let port = free_port()?;
        let mut command = Command::new(&program);
        command.env("EXECUTION_MODE", "WARM").env("PORT", port.to_string()).stdin(Stdio::null());
        let mut process = Process::start(example, command.stderr(log_file(&folder, example)?))?;
        wait_for_listener(&mut process, port)?;
        let (proxy, proxy_port) = nginx::start(&template, &folder, &format!("127.0.0.1:{port}"))?;
        let mut function = json!({
            "name": example,
            "executionMode": "WARM",
            "local": { "command": [program] },
            "replicas": { "min": 1, "max": 1 },
            "concurrency": 256,
            "instanceConcurrency": 256,
            "queueSize": 4096,
        });
        if name == "web" {
            function["web"] = json!({});
        }
        server.register(&function)?;
        server.until_ready(example, 1)?;
        ways.push(Way {
            kind: name,
            subject: "nginx",
            url: format!("http://127.0.0.1:{proxy_port}{at_function}"),
            process: proxy.id(),
        });
        ways.push(Way {
            kind: name,
            subject: "picofaas",
            url: format!("http://127.0.0.1:{}{at_picofaas}", server.port),
            process: server.process.id(),
        });
        processes.push((process, proxy));
    }
    let mut figures = Vec::new();
    for round in 1..=options.rounds {
        for connections in [1, 32] {
            let mut turn: Vec<&Way> = ways.iter().collect();
            if round % 2 == 0 {
                turn.reverse();
            }
            for way in turn {
                figures.extend(way.measure(options, &script, connections, round)?);
            }
        }
    }
    drop(processes);
    Ok(figures)
}

impl Way {
    /// The CPU time of the proxy. The worker of nginx is a child of its process, and so is the function one of picofaas,
    /// whose work is none of the proxy's.
    fn cpu(&self) -> Result<Snapshot> {
        if self.subject == "nginx" {
            Snapshot::of_tree(self.process)
        } else {
            Snapshot::of_process(self.process)
        }
    }

    fn measure(
        &self,
        options: &WebOptions,
        script: &Path,
        connections: u32,
        round: u32,
    ) -> Result<Vec<WebFigure>> {
        let load = Load { script, url: &self.url, connections };
        load.run(1).context("warming up")?;
        let before = self.cpu()?;
        let (result, _) = load.run(options.seconds)?;
        let used = self.cpu()?.since(&before).total_ns;
        ensure!(result.errors.sum() == 0, "{} {}: {:?}", self.kind, self.subject, result.errors);
        let figure = |name: &str, value: f64| {
            let row = format!("{}, {name} at {connections}", self.kind);
            println!("round {round}, {}: {row} {value:.2}", self.subject);
            WebFigure { row, subject: self.subject, round, value }
        };
        Ok(vec![
            figure("requests/s", result.requests_per_second()),
            figure("p50 µs", result.p50_us as f64),
            figure("p99 µs", result.p99_us as f64),
            figure("CPU µs/request", used as f64 / 1e3 / result.requests as f64),
        ])
    }
}
