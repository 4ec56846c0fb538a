//! Subjects of a measurement: programs that answer `POST /invoke` with its input, and how each is started.

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use serde::Serialize;

use super::fixtures::RuntimeFixtures;
use crate::bench::server::log_file;
use crate::toolbox::Unavailable;

/// Threads that answer in Flask's one worker.
const FLASK_THREADS: &str = "4";

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum RuntimeSubject {
    /// The Rust runtime's example `echo`.
    Rust,
    /// The watchdog with a process of `sh` for each request.
    Shell,
    /// The watchdog in front of the Rust echo as an HTTP server.
    Http,
    /// The Python runtime.
    Python,
    /// The Java runtime with the archive of its classes.
    Java,
    JavaWithoutArchive,
    Flask,
    Uvicorn,
}

/// Where a subject listens.
#[derive(Clone, Copy)]
pub(super) enum Address<'a> {
    Port(u16),
    Socket(&'a Path),
}

impl RuntimeSubject {
    pub(super) const ALL: [Self; 8] = [
        Self::Rust,
        Self::Shell,
        Self::Http,
        Self::Python,
        Self::Java,
        Self::JavaWithoutArchive,
        Self::Flask,
        Self::Uvicorn,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Shell => "watchdog + sh",
            Self::Http => "watchdog + server",
            Self::Python => "python",
            Self::Java => "java",
            Self::JavaWithoutArchive => "java without archive",
            Self::Flask => "flask",
            Self::Uvicorn => "uvicorn",
        }
    }

    /// A line for the foot of the report.
    pub(super) fn what(self) -> &'static str {
        match self {
            Self::Rust => "the Rust runtime's example echo, profile release",
            Self::Shell => {
                "the watchdog, profile dist and static, WATCHDOG_MODE=stdio, a process of sh per request"
            }
            Self::Http => "the same watchdog, WATCHDOG_MODE=http, in front of that Rust echo",
            Self::Python => {
                "the same watchdog, mode python, with the package as pip installs it and one worker process"
            }
            Self::Java => "the Java runtime, -XX:+UseSerialGC, with the archive of its classes",
            Self::JavaWithoutArchive => "the same with the archive that the JDK brings alone",
            Self::Flask => "Flask under gunicorn, 1 gthread worker with 4 threads",
            Self::Uvicorn => {
                "an ASGI function under uvicorn --http httptools --loop asyncio, without access log"
            }
        }
    }

    /// Why it cannot be measured here.
    pub(super) fn unavailable(self, fixtures: &RuntimeFixtures) -> Option<&Unavailable> {
        match self {
            Self::Python => fixtures.python.as_ref().err(),
            Self::Java | Self::JavaWithoutArchive => fixtures.java.as_ref().err(),
            Self::Rust | Self::Shell | Self::Http | Self::Flask | Self::Uvicorn => None,
        }
    }

    /// The command that serves at `address`. Its words go into a file of the fixtures's folder.
    pub(super) fn command(self, fixtures: &RuntimeFixtures, address: Address<'_>) -> Result<Command> {
        let mut command = match self {
            Self::Rust => bare(&fixtures.echo),
            Self::Shell => {
                let mut command = bare(&fixtures.watchdog);
                let script = fixtures.sources.join("echo.sh");
                command.env("WATCHDOG_MODE", "stdio");
                command.env("WATCHDOG_CMD", serde_json::to_string(&["sh".as_ref(), script.as_path()])?);
                command
            }
            Self::Http => {
                let mut command = bare(&fixtures.watchdog);
                command.env("WATCHDOG_MODE", "http").env("WATCHDOG_HTTP_PATH", "/invoke");
                command.env("WATCHDOG_INPUT", "envelope");
                command.env("WATCHDOG_CMD", serde_json::to_string(&[&fixtures.echo])?);
                command
            }
            Self::Python => {
                let mut command = bare(&fixtures.watchdog);
                command.arg("python").env("HANDLER", "python_echo:handle");
                command.env("PICOFAAS_PYTHON", fixtures.python()?.join("python3"));
                command
            }
            Self::Java => fixtures.java(&["-XX:SharedArchiveFile=faulty.jsa"])?,
            Self::JavaWithoutArchive => fixtures.java(&[])?,
            Self::Flask => {
                let mut command = bare(fixtures.peers.join("gunicorn"));
                command.args(["--workers", "1", "--worker-class", "gthread", "--threads", FLASK_THREADS]);
                command.arg("--bind").arg(match address {
                    Address::Port(port) => format!("127.0.0.1:{port}"),
                    Address::Socket(path) => format!("unix:{}", path.display()),
                });
                command.arg("flask_echo:app");
                command
            }
            Self::Uvicorn => {
                let mut command = bare(fixtures.peers.join("uvicorn"));
                command.args(["--http", "httptools", "--loop", "asyncio", "--lifespan", "off"]);
                command.args(["--no-access-log", "--log-level", "warning"]);
                match address {
                    Address::Port(port) => command.args(["--host", "127.0.0.1", "--port", &port.to_string()]),
                    Address::Socket(path) => command.arg("--uds").arg(path),
                };
                command.arg("uvicorn_echo:app");
                command
            }
        };
        match address {
            Address::Port(port) => command.env("PORT", port.to_string()),
            Address::Socket(path) => command.env("PICOFAAS_SOCKET", path),
        };
        if command.get_current_dir().is_none() {
            command.current_dir(&fixtures.sources);
        }
        let log = self.log(fixtures)?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        // Compiled modules would land in the tree.
        command.env("PYTHONPYCACHEPREFIX", fixtures.folder.join("pycache"));
        Ok(command)
    }

    fn log(self, fixtures: &RuntimeFixtures) -> Result<File> {
        log_file(&fixtures.folder, &self.name().replace(' ', "-"))
    }
}

impl fmt::Display for RuntimeSubject {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

impl RuntimeFixtures {
    fn python(&self) -> Result<&Path> {
        self.python.as_deref().ok().context("the Python runtime is not there")
    }

    fn java(&self, flags: &[&str]) -> Result<Command> {
        let folder = self.java.as_deref().ok().context("the Java runtime is not there")?;
        let mut command = bare("java");
        command.args(flags).args(["-XX:+UseSerialGC", "-jar", "faulty.jar"]);
        command.env("HANDLER", "echo").current_dir(folder);
        Ok(command)
    }

    pub(super) fn wanted(&self, subject: RuntimeSubject) -> bool {
        self.subjects.is_empty() || self.subjects.contains(&subject)
    }

    /// Subjects of a question that are wanted and can be measured.
    pub(super) fn available(&self, subjects: &[RuntimeSubject]) -> Vec<RuntimeSubject> {
        let is_there =
            |subject: &RuntimeSubject| self.wanted(*subject) && subject.unavailable(self).is_none();
        subjects.iter().copied().filter(is_there).collect()
    }
}

/// A command with as little of our environment as picofaas gives.
fn bare(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear();
    for name in ["PATH", "HOME"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}
