//! `picofaas serve`, as a bench starts it: on free ports, with its log in a file.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::memory;
use crate::http;
use crate::process::Process;
use crate::wait::{self, Stopwatch};

/// From a server's start until it must answer.
pub(super) const START_PATIENCE: Duration = Duration::from_secs(60);

/// Of the end of a log, in an error.
const LOG_LINES_SHOWN: usize = 4;

/// A picofaas that is ready.
pub(crate) struct Server {
    pub process: Process,
    /// Where clients call.
    pub port: u16,
    pub management_port: u16,
    /// From its start until `GET /readyz` was 200.
    pub ready_after: Duration,
}

impl Server {
    /// Starts one and waits until it is ready. What it logs goes into `<name>.log` in `folder`.
    pub(crate) fn start(binary: &Path, arguments: &[String], folder: &Path, name: &str) -> Result<Self> {
        Self::start_at("127.0.0.1:0", binary, arguments, folder, name)
    }

    /// The same, which instances reach at the address `runtime`.
    pub(super) fn start_at(
        runtime: &str,
        binary: &Path,
        arguments: &[String],
        folder: &Path,
        name: &str,
    ) -> Result<Self> {
        let [port, management_port] = [free_port()?, free_port()?];
        let log = log_file(folder, name)?;
        let mut command = Command::new(binary);
        command.arg("serve");
        for (flag, port) in [("--listen", port), ("--management-listen", management_port)] {
            command.arg(flag).arg(format!("127.0.0.1:{port}"));
        }
        command.args(["--runtime-listen", runtime]);
        command.args(arguments).stdout(log.try_clone()?).stderr(log);
        let started = Stopwatch::start();
        let mut process = Process::start("picofaas", &mut command)?;
        let ready = wait::until(START_PATIENCE, || {
            process.check_alive()?;
            let answer = http::request(management_port, "GET", "/readyz", &[], "");
            // Refused until it listens: that is what is waited for.
            Ok(answer.ok().filter(|answer| answer.status == 200))
        });
        let ready_after = started.elapsed();
        let place = || end_of_log(&folder.join(format!("{name}.log")));
        if ready.with_context(place)?.is_none() {
            bail!("GET /readyz was not 200 within {} s: {}", START_PATIENCE.as_secs(), place());
        }
        Ok(Self { process, port, management_port, ready_after })
    }

    /// Creates a function.
    pub(crate) fn register(&self, spec: &Value) -> Result<()> {
        let headers = [("Content-Type", "application/json")];
        let created =
            http::request(self.management_port, "POST", "/v1/functions", &headers, &spec.to_string())?;
        if created.status != 201 {
            bail!("POST /v1/functions: {} {}", created.status, String::from_utf8_lossy(&created.body));
        }
        Ok(())
    }

    /// Waits until a function has so many ready instances.
    pub(crate) fn until_ready(&self, function: &str, count: u64) -> Result<()> {
        self.until_there_are("/status/ready", function, count)
    }

    /// Waits until a function has so many instances ahead of its calls.
    pub(super) fn until_ahead(&self, function: &str, count: u64) -> Result<()> {
        self.until_there_are("/status/standby/ready", function, count)
    }

    fn until_there_are(&self, pointer: &str, function: &str, count: u64) -> Result<()> {
        let path = format!("/v1/functions/{function}");
        let ready = wait::until(START_PATIENCE, || {
            let answer = http::request(self.port, "GET", &path, &[], "")?;
            let function: Value = serde_json::from_slice(&answer.body).context("not JSON")?;
            Ok((function.pointer(pointer).and_then(Value::as_u64) >= Some(count)).then_some(()))
        })?;
        ready.with_context(|| format!("{function} has not {count} ready instances: see the log"))
    }

    /// Its resident memory in kibibytes, without that of its children.
    pub(super) fn resident_kib(&self) -> Result<u64> {
        memory::resident_kib(self.process.id())
    }

    pub(crate) fn stop(self) -> Result<()> {
        self.process.stop()
    }
}

/// A port nobody listens on now. Somebody could take it before its server starts, which then says so.
pub(crate) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot bind to 127.0.0.1")?;
    Ok(listener.local_addr()?.port())
}

/// File for the output of a server, of its last start only: a terminal would cost CPU.
pub(super) fn log_file(folder: &Path, name: &str) -> Result<File> {
    let file = folder.join(format!("{name}.log"));
    File::create(&file).with_context(|| format!("cannot write {}", file.display()))
}

/// Where a log is and what it ends with: why a server does not start.
fn end_of_log(file: &Path) -> String {
    // The path alone says enough where it cannot be read.
    let log = fs::read_to_string(file).unwrap_or_default();
    let lines: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).collect();
    let end = &lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..];
    [&[&*format!("see {}", file.display())], end].concat().join("\n  ")
}

/// Waits until a process accepts connections on a port.
pub(crate) fn wait_for_listener(process: &mut Process, port: u16) -> Result<()> {
    let connected = wait::until(START_PATIENCE, || {
        process.check_alive()?;
        // Refused until it listens: that is what is waited for.
        Ok(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok())
    })?;
    match connected {
        Some(_) => Ok(()),
        None => bail!("nobody listens on port {port} after {} s", START_PATIENCE.as_secs()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::binary::tests::script;
    use crate::folder::Folder;

    #[test]
    fn a_server_that_does_not_start_is_told_with_the_end_of_its_log() {
        let folder = Folder::make("no-start").unwrap();
        let lines =
            "echo old news; echo; for i in 1 2 3; do echo; echo $i; done; echo \"$1: no such flag\"; exit 2";
        let binary = script(&folder, "picofaas", lines);
        let error = Server::start(&binary, &[], folder.path(), "old").err().unwrap();
        let error = format!("{error:#}");
        assert!(error.contains("old.log\n  1\n  2\n  3\n  serve: no such flag: "), "{error}");
        assert!(error.contains("ended by itself: exit status: 2"), "{error}");
    }
}
