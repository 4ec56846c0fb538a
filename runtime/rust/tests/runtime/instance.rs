//! An example of this crate, running as a process.

use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use picofaas_contract::built;
use picofaas_contract::control_plane::ControlPlane;
use picofaas_contract::instance;
pub(crate) use picofaas_contract::patience::PATIENCE;
use picofaas_contract::process;
use tempfile::TempDir;

/// `faulty`, listening on a Unix socket.
pub(crate) struct Instance(instance::Instance);

/// An example.
pub(crate) struct Process(process::Process);

impl Process {
    /// Starts an example with an environment of nothing but `PATH` and `variables`.
    pub(crate) fn start(example: &str, variables: &[(&str, &str)]) -> Self {
        let program = match example {
            "faulty" => built::faulty(),
            "echo" => echo(),
            other => panic!("`{other}` is not an example of this crate"),
        };
        Self(process::Process::start(program, variables))
    }

    /// Waits for the end; the exit code (or minus the signal) and the rest of stderr.
    pub(crate) fn end(self) -> (i32, String) {
        self.0.end()
    }
}

impl Instance {
    /// Starts `faulty` with a handler.
    pub(crate) fn of(handler: &str) -> Self {
        Self::with(handler, &[])
    }

    /// Starts `faulty` with a handler and more of an environment.
    pub(crate) fn with(handler: &str, more: &[(&str, &str)]) -> Self {
        let variables = [&[("HANDLER", handler)], more].concat();
        Self(instance::Instance::start(built::faulty(), &variables))
    }

    /// Waits for the end; the exit code and the directory of the socket.
    pub(crate) fn end(self) -> (i32, TempDir) {
        let (code, _rest, directory) = self.0.end();
        (code, directory)
    }
}

/// Starts `faulty` with a handler as a JOB of a control plane.
pub(crate) fn job_of(control_plane: &ControlPlane, handler: &str, more: &[(&str, &str)]) -> Process {
    start_job(control_plane.port(), handler, more)
}

/// Starts `faulty` with a handler as a JOB of a control plane at `port`.
pub(crate) fn start_job(port: u16, handler: &str, more: &[(&str, &str)]) -> Process {
    let url = format!("http://127.0.0.1:{port}");
    let variables = [&process::Process::job_variables(&url)[..], &[("HANDLER", handler)], more].concat();
    Process::start("faulty", &variables)
}

fn echo() -> &'static Path {
    static ECHO: OnceLock<PathBuf> = OnceLock::new();
    ECHO.get_or_init(|| built::rust_example("echo"))
}

impl Deref for Process {
    type Target = process::Process;

    fn deref(&self) -> &process::Process {
        &self.0
    }
}

impl DerefMut for Process {
    fn deref_mut(&mut self) -> &mut process::Process {
        &mut self.0
    }
}

impl Deref for Instance {
    type Target = instance::Instance;

    fn deref(&self) -> &instance::Instance {
        &self.0
    }
}

impl DerefMut for Instance {
    fn deref_mut(&mut self) -> &mut instance::Instance {
        &mut self.0
    }
}
