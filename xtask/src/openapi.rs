//! `cargo xtask test --only openapi`: what openapi.yaml says is what a server does.
//!
//! | part | is |
//! |---|---|
//! | lint | redocly, with warnings as errors |
//! | examples | each request that the document shows is made, and each answer that it shows is had: `xtask/openapi/examples.py` |
//! | made-up requests | schemathesis, right and wrong ones by the document's schemas, the same each time: `xtask/openapi/schemathesis.toml`, `hooks.py` |
//! | afterwards | the server serves, and has not grown |
//!
//! The server is the debug build, whose assertions and overflow checks end it where a request gets
//! that far. It may not run what comes over HTTP.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::ends::Ends;
use crate::folder::Folder;
use crate::http;
use crate::process::Process;
use crate::repository::Repository;
use crate::toolbox::{self, Unavailable};
use crate::wait;

/// From a server's start until it must serve.
const START_PATIENCE: Duration = Duration::from_secs(120);

/// `--max-payload-bytes`, in MiB: what the server may hold of payloads and outputs.
const PAYLOAD_MIB_MAX: u64 = 64;
/// Resident memory that it may hold after all requests, in MiB: the payloads, as much again for its
/// tables and its code, which take less, and no more.
const RESIDENT_MIB_MAX: u64 = 2 * PAYLOAD_MIB_MAX;

impl Ends {
    fn note(&mut self, part: &str, passed: bool) {
        println!("-- {part}: {}", if passed { "passed" } else { "FAILED" });
        if !passed {
            self.failed.push(part.to_owned());
        }
    }
}

pub(crate) fn run(repository: &Repository) -> Result<Ends> {
    let mut ends = Ends::default();
    match toolbox::redocly() {
        Ok(redocly) => ends.note("lint", lint(repository, &redocly)?),
        Err(Unavailable(why)) => ends.skipped.push(format!("lint: {why}")),
    }
    match toolbox::python_programs(&files(repository).join("requirements.txt")) {
        Ok(programs) => requests(repository, &programs, &mut ends)?,
        Err(Unavailable(why)) => ends.skipped.push(format!("examples and made-up requests: {why}")),
    }
    Ok(ends)
}

fn files(repository: &Repository) -> PathBuf {
    repository.root().join("xtask/openapi")
}

fn lint(repository: &Repository, redocly: &Path) -> Result<bool> {
    let mut command = Command::new(redocly);
    command.arg("lint").arg("--config").arg(files(repository).join("redocly.yaml")).arg("openapi.yaml");
    passes(toolbox::quiet(&mut command).current_dir(repository.root()))
}

fn requests(repository: &Repository, programs: &Path, ends: &mut Ends) -> Result<()> {
    for arguments in [
        ["build", "--workspace", "--bins"].as_slice(),
        &["build", "--package", "picofaas-runtime", "--example", "faulty"],
    ] {
        if !passes(&mut repository.cargo(arguments))? {
            bail!("cargo {} failed", arguments.join(" "));
        }
    }
    let folder = Folder::make("openapi")?;
    let mut server = TestedServer::start(repository, folder.path())?;
    let outcome = on(repository, programs, folder.path(), &mut server, ends);
    if outcome.is_err() || !ends.failed.is_empty() {
        println!("the end of what the server said:\n{}", server.last_lines());
    }
    outcome?;
    server.stop()
}

fn on(
    repository: &Repository,
    programs: &Path,
    folder: &Path,
    server: &mut TestedServer,
    ends: &mut Ends,
) -> Result<()> {
    let document = repository.root().join("openapi.yaml");
    let url = |port: u16| format!("http://127.0.0.1:{port}");
    let [clients, management, runtime] = server.ports;

    let mut examples = Command::new(programs.join("python"));
    examples.arg(files(repository).join("examples.py")).arg(&document);
    examples.args([url(clients), url(management), url(runtime)]).arg(folder.join("handover"));
    ends.note("examples", passes(examples.env("PYTHONDONTWRITEBYTECODE", "1"))?);

    // Most of them on the listener of clients, whose code is the more exposed one.
    let runs: [(&str, u16, &[&str]); 3] = [
        (
            "made-up requests of clients",
            clients,
            &[
                "--max-examples=30",
                "--exclude-tag=runtime",
                // Only operators are served these.
                "--exclude-operation-id-regex=^(readyz|metrics|page|debugState)$",
            ],
        ),
        ("made-up requests of operators", management, &["--max-examples=10", "--exclude-tag=runtime"]),
        (
            "made-up requests of runtimes",
            runtime,
            // They have no links, which the fourth phase follows.
            &["--max-examples=30", "--include-tag=runtime", "--phases=examples,coverage,fuzzing"],
        ),
    ];
    for (part, port, arguments) in runs {
        let mut schemathesis = Command::new(programs.join("schemathesis"));
        schemathesis.arg("--config-file").arg(files(repository).join("schemathesis.toml"));
        schemathesis.arg("run").arg(&document).args(["--checks=all", "--url", &url(port)]).args(arguments);
        schemathesis.env("SCHEMATHESIS_HOOKS", files(repository).join("hooks.py"));
        schemathesis.env("PYTHONDONTWRITEBYTECODE", "1").env("NO_PROXY", "127.0.0.1");
        // It leaves its files in a folder that goes.
        ends.note(part, passes(toolbox::quiet(&mut schemathesis).current_dir(folder))?);
        server.process.check_alive()?;
    }
    ends.note("the server serves and has not grown", server.is_well()?);
    Ok(())
}

/// Whether the command succeeded; what it prints is shown.
fn passes(command: &mut Command) -> Result<bool> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command.stdin(Stdio::null()).status().with_context(|| format!("cannot run {program}"))?;
    Ok(status.success())
}

/// The server, and what is behind it.
struct TestedServer {
    process: Process,
    endpoint: Process,
    log: PathBuf,
    /// Of clients, operators and runtimes.
    ports: [u16; 3],
}

impl TestedServer {
    fn start(repository: &Repository, folder: &Path) -> Result<Self> {
        let built = repository.target().join("debug");
        let echo = built.join("examples/faulty");
        let socket = folder.join("pool.sock");
        let mut command = Command::new(&echo);
        command.env("HANDLER", "echo").env("PICOFAAS_SOCKET", &socket);
        let endpoint = Process::start("the endpoint", command.stdout(Stdio::null()).stderr(Stdio::null()))?;
        for (name, spec) in functions(&built, &echo, &socket, folder) {
            let manifest = format!(
                "apiVersion: picofaas.dev/v1\nkind: Function\nmetadata: {{name: {name}}}\nspec: {spec}\n"
            );
            let file = folder.join(format!("{name}.yaml"));
            fs::write(&file, manifest).with_context(|| format!("cannot write {}", file.display()))?;
        }
        let log = folder.join("server.log");
        let mut command = Command::new(built.join("picofaas"));
        command.arg("serve").arg("--functions").arg(folder).arg("--drain=0").env_remove("RUST_LOG");
        for listener in ["--listen", "--management-listen", "--runtime-listen"] {
            command.args([listener, "127.0.0.1:0"]);
        }
        command.arg(format!("--max-payload-bytes={}", PAYLOAD_MIB_MAX << 20));
        // Results promised to made-up requests make room again.
        command.arg("--retention=10");
        let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut process = Process::start("picofaas", command.stdout(output.try_clone()?).stderr(output))?;
        let ports = wait::until(START_PATIENCE, || {
            process.check_alive()?;
            Ok(ports(&fs::read_to_string(&log)?))
        });
        let said = || format!("the server said:\n{}", fs::read_to_string(&log).unwrap_or_default());
        let Some(ports) = ports.with_context(said)? else { bail!("it does not serve; {}", said()) };
        Ok(Self { process, endpoint, log, ports })
    }

    /// Whether both functions that nobody may delete answer, and memory is within its limit.
    fn is_well(&mut self) -> Result<bool> {
        self.process.check_alive()?;
        let mut well = true;
        for function in ["echo", "pool"] {
            let path = format!("/v1/functions/{function}:invoke");
            let answer = http::request(self.ports[0], "POST", &path, &[], "{\"input\":\"still there\"}")?;
            let body = String::from_utf8_lossy(&answer.body);
            if answer.status != 200 || !body.contains("\"output\":\"still there\"") {
                println!("POST {path}: {} {body}", answer.status);
                well = false;
            }
        }
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let Some(resident_kib) =
            resident.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok())
        else {
            bail!("/proc does not say how much memory the server holds");
        };
        println!("the server holds {} MiB, of at most {RESIDENT_MIB_MAX}", resident_kib / 1024);
        Ok(well && resident_kib / 1024 <= RESIDENT_MIB_MAX)
    }

    fn last_lines(&self) -> String {
        const LINES: usize = 40;
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LINES)..].join("\n")
    }

    fn stop(self) -> Result<()> {
        self.process.stop()?;
        self.endpoint.stop()
    }
}

/// The functions that are there from the start, each with its specification: `word-stats-rust` and `job`
/// for the examples, `echo` and `pool` for made-up requests.
fn functions(
    built: &Path,
    echo: &Path,
    socket: &Path,
    folder: &Path,
) -> [(&'static str, serde_json::Value); 4] {
    let handover = folder.join("handover");
    let job = format!(
        "echo $EXECUTION_ID $PICOFAAS_TOKEN > {0}.new && mv {0}.new {0} && exec sleep 60",
        handover.display()
    );
    [
        (
            "word-stats-rust",
            serde_json::json!({
                "executionMode": "WARM",
                "image": "registry.example/word-stats-rust:1",
                "local": { "build": [["true"]], "command": [built.join("word-stats-rust")] },
                "timeoutMs": 5000,
                "concurrency": 8,
                "instanceConcurrency": 4,
                "replicas": { "min": 1, "max": 2 },
            }),
        ),
        (
            "job",
            serde_json::json!({
                "executionMode": "JOB",
                "local": { "command": ["sh", "-c", job] },
                "timeoutMs": 60_000,
            }),
        ),
        (
            "echo",
            serde_json::json!({
                "executionMode": "WARM",
                "local": { "command": [echo] },
                "env": [{ "name": "HANDLER", "value": "echo" }],
            }),
        ),
        (
            "pool",
            serde_json::json!({
                "executionMode": "POOL",
                "endpointUrl": format!("unix:{}", socket.display()),
            }),
        ),
    ]
}

/// The ports in the line that says that the server serves; `None` where there is none yet.
fn ports(log: &str) -> Option<[u16; 3]> {
    let line = log.lines().find(|line| line.contains(" serving "))?;
    let port = |field: &str| -> Option<u16> {
        let (_, rest) = line.split_once(&format!(" {field}="))?;
        rest.split_whitespace().next()?.rsplit_once(':')?.1.parse().ok()
    };
    Some([port("listen")?, port("management")?, port("runtime")?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ports_are_those_of_the_line_that_says_that_it_serves() {
        let line =
            "I picofaas: serving listen=127.0.0.1:1 management=127.0.0.1:2 runtime=127.0.0.1:3 policy=park";
        assert_eq!(ports(&format!("starts listen=127.0.0.1:0\n{line}\n")), Some([1, 2, 3]));
        assert_eq!(ports("starts listen=127.0.0.1:0\n"), None);
    }
}
