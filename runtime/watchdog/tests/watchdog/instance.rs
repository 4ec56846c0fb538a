//! The watchdog, running as a process.

use std::ops::{Deref, DerefMut};
use std::path::Path;

use picofaas_contract::control_plane::ControlPlane;
pub(crate) use picofaas_contract::patience::PATIENCE;
pub(crate) use picofaas_contract::process::wait_for_end;
use picofaas_contract::{instance, process};

pub(crate) const WATCHDOG: &str = env!("CARGO_BIN_EXE_picofaas-watchdog");

/// The watchdog.
pub(crate) struct Process(process::Process);

/// The watchdog, listening on a Unix socket.
pub(crate) struct Instance(instance::Instance);

/// The command of a shell that runs `script`.
pub(crate) fn shell(script: &str) -> String {
    serde_json::to_string(&["sh", "-c", script]).unwrap()
}

impl Process {
    /// Starts it with an environment of nothing but `PATH` and `variables`.
    pub(crate) fn start(variables: &[(&str, &str)]) -> Self {
        Self(process::Process::start(Path::new(WATCHDOG), variables))
    }

    /// Starts it as a JOB of a control plane.
    pub(crate) fn job(control_plane: &ControlPlane, variables: &[(&str, &str)]) -> Self {
        let url = control_plane.url();
        Self::start(&[&process::Process::job_variables(&url), variables].concat())
    }

    /// Waits for the end; the exit code (or minus the signal) and the rest of stderr.
    pub(crate) fn end(self) -> (i32, String) {
        self.0.end()
    }
}

impl Instance {
    /// Starts the watchdog in a mode, with a shell's script as its program.
    pub(crate) fn of(mode: &str, script: &str) -> Self {
        Self::with(mode, script, &[])
    }

    /// The same with more of an environment.
    pub(crate) fn with(mode: &str, script: &str, more: &[(&str, &str)]) -> Self {
        Self::running(mode, &shell(script), more)
    }

    /// The same with any command.
    pub(crate) fn running(mode: &str, command: &str, more: &[(&str, &str)]) -> Self {
        let variables = [&[("WATCHDOG_MODE", mode), ("WATCHDOG_CMD", command)], more].concat();
        Self(instance::Instance::start(Path::new(WATCHDOG), &variables))
    }

    /// Waits for the end; the exit code and the rest of stderr.
    pub(crate) fn end(self) -> (i32, String) {
        let (code, rest, _directory) = self.0.end();
        (code, rest)
    }
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
