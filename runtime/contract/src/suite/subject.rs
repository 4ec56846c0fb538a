//! A runtime under test: how it is started, and what of its manners the contract leaves open.

use std::path::PathBuf;
use std::process::Command;

use picofaas_contract::control_plane::ControlPlane;
use picofaas_contract::process::Process;

/// Stands for the function's name in values of variables.
pub const FUNCTION: &str = "{function}";

/// A runtime with its test function.
pub struct Subject {
    pub name: String,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Where it is started, if that matters.
    pub folder: Option<PathBuf>,
    /// Its environment; `{function}` in a value becomes the name of what it is to do.
    pub variables: Vec<(String, String)>,
    /// More of it that only one function needs: its name, the variable, the value.
    pub variables_of: Vec<(&'static str, String, String)>,
    /// What more is in its environment for a function that is not there.
    pub missing: Vec<(String, String)>,
    /// What the reason why it is not there must contain.
    pub missing_said: Vec<String>,
    pub manners: Manners,
}

/// What the contract leaves to each runtime, and the suite has to know.
#[derive(Clone, Copy)]
pub struct Manners {
    pub when_the_function_exits: AtExit,
    pub pace: Pace,
    pub loads: Loads,
    pub hands_on: HandsOn,
    pub missing_as_a_job: Missing,
}

/// What becomes of the instance when its function ends the process that it runs in.
#[derive(Clone, Copy)]
pub enum AtExit {
    /// It ends with it: the connection breaks.
    Ends,
    /// It answers 500 and goes on.
    Outlives,
}

/// How many invocations run at once.
#[derive(Clone, Copy)]
pub enum Pace {
    Together,
    OneByOne,
}

/// When the function is loaded.
#[derive(Clone, Copy)]
pub enum Loads {
    AtStart,
    /// For each invocation: there is nothing to wait for before the first.
    EachTime,
}

/// How a value gets through a function that returns it.
#[derive(Clone, Copy)]
pub enum HandsOn {
    /// Byte for byte, numbers of any size included.
    Bytes,
    /// As the same value.
    Values,
}

/// What a JOB does whose function is not there.
#[derive(Clone, Copy)]
pub enum Missing {
    /// It ends with another code than 0 and the reason on stderr.
    Ends,
    /// It posts a 500 with the reason.
    Posts,
}

impl Subject {
    /// The command with the environment for a function.
    pub fn command(&self, function: &str) -> Command {
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
    pub fn command_for_missing(&self) -> Command {
        let mut command = self.command("echo");
        command.envs(self.missing.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts a function as a JOB of a control plane.
    pub fn job(&self, control_plane: &ControlPlane, function: &str) -> Process {
        self.job_with(control_plane, function, &[])
    }

    /// The same with more of an environment.
    pub fn job_with(&self, control_plane: &ControlPlane, function: &str, more: &[(&str, &str)]) -> Process {
        start_job(control_plane, self.command(function).envs(more.iter().copied()))
    }
}

/// Starts a command as a JOB of a control plane.
pub fn start_job(control_plane: &ControlPlane, command: &mut Command) -> Process {
    let process = Process::spawn(command.envs(Process::job_variables(&control_plane.url())));
    control_plane.watch(&process);
    process
}
