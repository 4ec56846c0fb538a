//! A runtime under test: its start, and its ways where the contract leaves them open.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use picofaas_contract::control_plane::ControlPlane;
use picofaas_contract::process::Process;

/// Stands for the function's name in values of variables.
pub(crate) const FUNCTION: &str = "{function}";

/// A text that a function has in its environment and writes last, and the locale that picofaas gives where a shell
/// has none.
pub(crate) const BEYOND_ASCII: [(&str, &str); 2] = [("CONTRACT_TEXT", "grüße 世界 🙂"), ("LANG", "C.UTF-8")];

/// A runtime with its test function.
pub(crate) struct Subject {
    pub(crate) name: String,
    /// The program and its arguments.
    pub(crate) command: Vec<String>,
    /// Its working directory, if that matters.
    pub(crate) folder: Option<PathBuf>,
    /// Its environment; `{function}` in a value becomes the name of the function.
    pub(crate) variables: Vec<(String, String)>,
    /// More of it that only one function needs: its name, the variable, the value.
    pub(crate) variables_of: Vec<(&'static str, String, String)>,
    /// More of its environment for a function that is not there.
    pub(crate) missing: Vec<(String, String)>,
    /// Texts that the reason for a missing function must contain.
    pub(crate) missing_said: Vec<String>,
    pub(crate) behaviour: Behaviour,
    /// Whether it was seen to decline frames: once is enough for all rows.
    pub(crate) declined: OnceLock<()>,
    /// Whether it was seen to refuse web requests.
    pub(crate) refused_web: OnceLock<()>,
}

/// Behaviour that the contract leaves to each runtime, and that the suite has to know.
#[derive(Clone, Copy)]
pub(crate) struct Behaviour {
    pub(crate) on_exit: OnExit,
    pub(crate) concurrency: Concurrency,
    pub(crate) loads: Loads,
    pub(crate) fidelity: Fidelity,
    pub(crate) on_missing_as_job: OnMissing,
    pub(crate) late_lines: LateLines,
    pub(crate) frames: Frames,
    pub(crate) web: Web,
    /// Whether it takes web requests over frames.
    pub(crate) web_in_frames: bool,
}

/// The instance after its function has ended the process that it runs in.
#[derive(Clone, Copy)]
pub(crate) enum OnExit {
    /// It ends with it: the connection breaks.
    Ends,
    /// It answers 500 and goes on.
    Survives,
}

/// Invocations at a time.
#[derive(Clone, Copy)]
pub(crate) enum Concurrency {
    Parallel,
    Serial,
}

/// The time at which the function is loaded.
#[derive(Clone, Copy)]
pub(crate) enum Loads {
    AtStart,
    /// For each invocation: there is nothing to wait for before the first.
    EachTime,
}

/// The fidelity of a value that a function returns as it came.
#[derive(Clone, Copy)]
pub(crate) enum Fidelity {
    /// Byte for byte, numbers of any size included.
    Bytes,
    /// As the same value.
    Values,
}

/// The behaviour of a JOB whose function is not there.
#[derive(Clone, Copy)]
pub(crate) enum OnMissing {
    /// It ends with another code than 0 and the reason on stderr.
    Ends,
    /// It posts a 500 with the reason.
    Posts,
}

/// The execution of a line that is written when its own is over.
#[derive(Clone, Copy)]
pub(crate) enum LateLines {
    /// Its own, or none.
    OwnOrNone,
    /// The only one under way: the program knows nothing of executions.
    OfTheOnly,
}

/// The answer to an opening of frames.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Frames {
    Spoken,
    /// An ordinary one of HTTP/1.1.
    Declined,
}

/// The answer to web requests.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Web {
    /// Any of its functions gives its own: they speak HTTP.
    Always,
    /// The function `web` gives its own; the others refuse them.
    Served,
    /// The same, but it never changes the protocol.
    ServedWithoutUpgrades,
    /// A refusal: all of its functions take JSON.
    Refused,
    /// The same as for any path that is not there.
    Unknown,
}

impl Subject {
    /// The command with the environment for a function.
    pub(crate) fn command(&self, function: &str) -> Command {
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]);
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        if let Some(home) = std::env::var_os("HOME") {
            command.env("HOME", home);
        }
        command.env("FUNCTION_NAME", "contract").env("TIMEOUT_MS", "30000");
        for (name, value) in &self.variables {
            command.env(name, value.replace(FUNCTION, function));
        }
        for (_, name, value) in self.variables_of.iter().filter(|(of, ..)| *of == function) {
            command.env(name, value);
        }
        command
    }

    /// The command for a function that is not there.
    pub(crate) fn command_for_missing(&self) -> Command {
        let mut command = self.command("echo");
        command.envs(self.missing.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts a function as a JOB of a control plane.
    pub(crate) fn job(&self, control_plane: &ControlPlane, function: &str) -> Process {
        self.job_with(control_plane, function, &[])
    }

    /// The same with more of an environment.
    pub(crate) fn job_with(
        &self,
        control_plane: &ControlPlane,
        function: &str,
        more: &[(&str, &str)],
    ) -> Process {
        start_job(control_plane, self.command(function).envs(more.iter().copied()))
    }
}

/// Starts a command as a JOB of a control plane.
pub(crate) fn start_job(control_plane: &ControlPlane, command: &mut Command) -> Process {
    let process = Process::spawn(command.envs(Process::job_variables(&control_plane.url())));
    control_plane.watch(&process);
    process
}
