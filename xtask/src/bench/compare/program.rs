//! The function that is called, in each runtime: its program, its environment, and how it is started.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Result;
use clap::ValueEnum;
use serde::Serialize;
use serde_json::{Value, json};

use super::address::FunctionAddress;
use crate::bench::build;
use crate::bench::runtimes::fixtures;
use crate::bench::server::log_file;
use crate::process::Process;
use crate::repository::Repository;
use crate::toolbox::Unavailable;

/// Of the function; each has one that returns its input.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, ValueEnum, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum FunctionRuntime {
    /// The Rust runtime's example `echo`
    Rust,
    /// The Python runtime
    Python,
    /// The Java runtime with the archive of its classes
    Java,
    /// The watchdog in the mode `http` in front of the Rust echo
    Watchdog,
}

/// A function's program, wherever it is to listen.
pub(super) struct FunctionProgram {
    command: Vec<String>,
    environment: BTreeMap<&'static str, String>,
}

impl FunctionRuntime {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Python => "python",
            Self::Java => "java",
            Self::Watchdog => "watchdog http",
        }
    }
}

impl FunctionProgram {
    /// Builds one; `rust` is the Rust function where that is given.
    pub(super) fn build(
        repository: &Repository,
        runtime: FunctionRuntime,
        rust: Option<&Path>,
        folder: &Path,
    ) -> Result<Result<Self, Unavailable>> {
        let echo = || match rust {
            Some(file) => Ok(file.to_path_buf()),
            None => build(repository, &fixtures::ECHO, "examples/echo"),
        };
        let text = |path: &Path| path.display().to_string();
        let mut environment = BTreeMap::new();
        let command = match runtime {
            FunctionRuntime::Rust => vec![text(&echo()?)],
            FunctionRuntime::Python => {
                let programs = match fixtures::python(repository, folder) {
                    Ok(programs) => programs,
                    Err(unavailable) => return Ok(Err(unavailable)),
                };
                environment.insert("HANDLER", "python_echo:handle".to_owned());
                environment.insert("PYTHONPATH", text(&repository.root().join("benches/runtimes")));
                // Compiled modules would land in the tree.
                environment.insert("PYTHONPYCACHEPREFIX", text(&folder.join("pycache")));
                environment.insert("PICOFAAS_PYTHON", text(&programs.join("python3")));
                vec![text(&fixtures::watchdog(repository)?), "python".to_owned()]
            }
            FunctionRuntime::Java => {
                let classes = match fixtures::java(repository) {
                    Ok(classes) => classes,
                    Err(unavailable) => return Ok(Err(unavailable)),
                };
                environment.insert("HANDLER", "echo".to_owned());
                let archive = format!("-XX:SharedArchiveFile={}", text(&classes.join("faulty.jsa")));
                let jar = text(&classes.join("faulty.jar"));
                ["java", &archive, "-XX:+UseSerialGC", "-jar", &jar].map(str::to_owned).to_vec()
            }
            FunctionRuntime::Watchdog => {
                environment.insert("WATCHDOG_MODE", "http".to_owned());
                environment.insert("WATCHDOG_HTTP_PATH", "/invoke".to_owned());
                environment.insert("WATCHDOG_INPUT", "envelope".to_owned());
                environment.insert("WATCHDOG_CMD", serde_json::to_string(&[echo()?])?);
                vec![text(&fixtures::watchdog(repository)?)]
            }
        };
        Ok(Ok(Self { command, environment }))
    }

    /// Starts it at `address`, with as little of our environment as picofaas gives.
    pub(super) fn start(&self, address: &FunctionAddress, folder: &Path) -> Result<Process> {
        let log = log_file(folder, "upstream")?;
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]).env_clear().current_dir(folder);
        for name in ["PATH", "HOME"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.envs(&self.environment);
        match address {
            FunctionAddress::Tcp(port) => command.env("PORT", port.to_string()),
            FunctionAddress::Unix(path) => command.env("PICOFAAS_SOCKET", path),
        };
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Process::start("the function", &mut command)
    }

    /// The same in the specification of a function, of which picofaas starts it.
    pub(super) fn in_specification(&self, specification: &mut Value) {
        let variables = self.environment.iter().map(|(name, value)| json!({ "name": name, "value": value }));
        specification["local"] = json!({ "command": self.command });
        specification["env"] = variables.collect();
    }
}
