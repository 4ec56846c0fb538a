//! One local process of a function: its own group, a cleared environment, dead when we are.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};

use super::output::{Lines, Tail, follow};
use crate::config::ServeArgs;
use crate::id::ExecutionId;
use crate::registry::FunctionSpec;

/// What a process is started for, besides its function.
#[derive(Debug, Default)]
pub struct Launch {
    /// Where it is to listen; none for a process that takes one execution and ends.
    pub socket: Option<PathBuf>,
    /// Variables of its environment that only this process has.
    pub env: Vec<(&'static str, String)>,
    /// The execution that everything it writes belongs to, where it takes only one.
    pub execution: Option<ExecutionId>,
}

/// A process that was started.
#[derive(Debug)]
pub struct Process {
    child: Child,
    group: Option<Pid>,
    socket: Option<PathBuf>,
    /// The last lines it wrote.
    pub tail: Tail,
}

impl Process {
    /// Starts `local.command` of a function.
    ///
    /// # Errors
    /// Where it cannot be started, with the command's name.
    #[expect(unsafe_code, reason = "a death signal can only be asked for between fork and exec")]
    pub fn start(spec: &FunctionSpec, launch: Launch, limits: &ServeArgs, lines: Lines) -> io::Result<Self> {
        let local =
            spec.local.as_ref().ok_or_else(|| io::Error::other("the function has no local.command"))?;
        let (program, arguments) =
            local.command.split_first().ok_or_else(|| io::Error::other("local.command is empty"))?;
        let directory = spec.directory.clone().unwrap_or_else(|| PathBuf::from("."));
        let Launch { socket, env, execution: _ } = launch;
        if let Some(socket) = &socket {
            remove_socket(socket)?;
        }
        let mut command = Command::new(resolve(program, &directory));
        command
            .args(arguments)
            .args(&spec.args)
            .current_dir(&directory)
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .envs(std::env::var_os("HOME").map(|home| ("HOME", home)))
            .env("MAX_BODY", limits.max_body.to_string())
            .env("MAX_OUTPUT", limits.max_output.to_string())
            .envs(spec.env.iter().map(|variable| (&variable.name, &variable.value)))
            .env("FUNCTION_NAME", spec.name.as_str())
            .env("EXECUTION_MODE", spec.execution_mode.as_str())
            .env("TIMEOUT_MS", spec.timeout_ms.to_string())
            .envs(socket.as_ref().map(|socket| ("PICOFAAS_SOCKET", socket)))
            .envs(env)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        // SAFETY: between fork and exec only prctl is called, which is async-signal-safe, and
        // nothing is allocated or locked. It is the main thread that starts processes, so the
        // signal comes when this process ends and not when some worker thread does.
        unsafe {
            command.pre_exec(|| {
                rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
                Ok(())
            });
        }
        let mut child = command.spawn().map_err(|error| {
            io::Error::new(error.kind(), format!("{program:?} could not be started: {error}"))
        })?;
        let tail = Tail::default();
        let name = spec.name.to_string();
        if let Some(stdout) = child.stdout.take() {
            tokio::task::spawn_local(follow(stdout, name.clone(), tail.clone(), lines.clone()));
        }
        if let Some(stderr) = child.stderr.take() {
            tokio::task::spawn_local(follow(stderr, name, tail.clone(), lines));
        }
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        Ok(Self { child, group, socket, tail })
    }

    /// Its process id, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits until it ends. Whatever is left of its group ends with it.
    ///
    /// # Errors
    /// Where it cannot be waited for.
    pub async fn ended(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait().await?;
        self.signal(Signal::KILL);
        Ok(status)
    }

    /// Asks it to end, and makes it end after `patience`.
    pub async fn stop(&mut self, patience: Duration) {
        self.signal(Signal::TERM);
        if tokio::time::timeout(patience, self.ended()).await.is_err() {
            tracing::warn!(pid = self.pid(), ?patience, "did not end after SIGTERM and is killed");
            self.signal(Signal::KILL);
            // A killed process ends; only the kernel can delay it.
            let _ = self.ended().await;
        }
        self.forget_socket();
    }

    /// Kills its whole group; [`Process::ended`] tells when it is gone.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    fn forget_socket(&self) {
        if let Some(socket) = &self.socket {
            // Left behind, it is a file that the folder's end removes.
            let _ = remove_socket(socket);
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // It fails when the group is empty, which is what is wanted.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        self.forget_socket();
    }
}

/// A command with a slash is relative to the function's folder; one without is looked up in PATH.
#[must_use]
pub fn resolve(program: &str, directory: &Path) -> PathBuf {
    if program.contains('/') {
        let path = directory.join(program);
        std::path::absolute(&path).unwrap_or(path)
    } else {
        PathBuf::from(program)
    }
}

fn remove_socket(socket: &Path) -> io::Result<()> {
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// How a process ended, for people.
#[must_use]
pub fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("it exited with status {code}"),
        (None, Some(signal)) => format!("signal {signal} ended it"),
        (None, None) => "it ended".to_owned(),
    }
}

/// How much of what a process wrote is told as the reason of its end, in bytes.
const REASON_BYTES_MAX: usize = 2000;

/// A reason, and the last of what the process wrote.
#[must_use]
pub fn with_tail(reason: &str, process: &Process) -> String {
    let tail = process.tail.text();
    if tail.is_empty() {
        return format!("{reason}, and wrote nothing");
    }
    let start = tail.len().saturating_sub(REASON_BYTES_MAX);
    let start = (start..tail.len()).find(|at| tail.is_char_boundary(*at)).unwrap_or(0);
    format!("{reason}; it wrote: {}", &tail[start..])
}
