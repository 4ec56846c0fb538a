//! One local process of a function: its own group, a cleared environment, dead when we are.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use picofaas_child::{Child, Confinement, EnvironmentChanges, Program, Streams};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::task::AbortHandle;

use super::children::{InstanceNumber, MARK, Started};
use super::host::ProcessHost;
use super::limits::CgroupGuard;
use super::values::{ResolvedValues, write_secrets};
use crate::exit::Exit;
use crate::id::ExecutionId;
use crate::logs::output::{OutputStream, OwnExecution, Writer, follow};
use crate::logs::tail::Tail;
use crate::spec::{EnvValue, ExecutionMode, FunctionSpec};

/// The name by which `local.command` asks for the program that serves.
const OWN_NAME: &str = "picofaas";

/// Options of a process start, besides its function.
#[derive(Debug, Default)]
pub struct StartOptions {
    /// Socket that it listens on; none for a process that takes one execution and ends.
    pub socket: Option<PathBuf>,
    /// Variables of its environment that only this process has.
    pub env: Vec<(&'static str, String)>,
    /// The execution that everything it writes belongs to, where it takes only one.
    pub execution: Option<ExecutionId>,
}

/// A process that was started. All of its descendants end with it: its group, the members of its
/// cgroups, and the processes that carry its mark.
#[derive(Debug)]
pub struct Process {
    child: Child,
    host: Rc<ProcessHost>,
    socket: Option<PathBuf>,
    /// Resources that are given back once it has ended.
    resources: Option<ProcessResources>,
    exit: Option<Exit>,
    /// The last lines it wrote.
    pub tail: Tail,
    execution: OwnExecution,
}

/// Resources of a process while it runs.
#[derive(Debug)]
struct ProcessResources {
    group: Option<Pid>,
    started: Started,
    number: InstanceNumber,
    cgroups: CgroupGuard,
    followers: Vec<AbortHandle>,
}

/// The way in which the handle of a process comes to its end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum HandleEnd {
    /// The process was waited for.
    Awaited,
    /// The handle was dropped before, perhaps with the runtime.
    Dropped,
}

impl Process {
    /// Starts `local.command` of a function within its limits.
    ///
    /// # Errors
    /// It cannot be started; with the command's name.
    pub fn start(spec: &FunctionSpec, options: StartOptions, host: &Rc<ProcessHost>) -> io::Result<Self> {
        let socket = options.socket.clone();
        let execution = OwnExecution::of(options.execution);
        if let Some(socket) = &socket {
            remove_socket(socket)?;
        }
        let (number, mark) = host.children.begin();
        let spawned = host.limits.guard(spec).and_then(|(cgroups, confinement)| {
            match spawn(spec, options, host, mark, &confinement) {
                Ok(child) => Ok((child, cgroups)),
                Err(error) => {
                    host.limits.release(cgroups);
                    Err(error)
                }
            }
        });
        let (mut child, cgroups) = match spawned {
            Ok(spawned) => spawned,
            Err(error) => {
                host.children.end(number);
                // Nothing was started, so nothing is pursued.
                return Err(error);
            }
        };
        let group = child.pid();
        let pid = group.map(|pid| pid.as_raw_pid().unsigned_abs());
        let started = host.children.started(pid);
        let tail = Tail::default();
        let instance = pid.map_or_else(String::new, |pid| pid.to_string());
        let writer = Writer {
            function: spec.name.as_str().into(),
            instance: instance.into(),
            stream: OutputStream::Stdout,
            execution: execution.clone(),
        };
        if let Some(pid) = pid {
            host.running.begin(pid, writer.function.clone(), host.clock);
        }
        let mut followers = Vec::with_capacity(2);
        if let Some(stdout) = child.stdout.take() {
            let follower = follow(stdout, writer.clone(), tail.clone(), host.lines.clone());
            followers.push(tokio::task::spawn_local(follower).abort_handle());
        }
        if let Some(stderr) = child.stderr.take() {
            let writer = Writer { stream: OutputStream::Stderr, ..writer };
            let follower = follow(stderr, writer, tail.clone(), host.lines.clone());
            followers.push(tokio::task::spawn_local(follower).abort_handle());
        }
        let resources = Some(ProcessResources { group, started, number, cgroups, followers });
        Ok(Self { child, host: host.clone(), socket, resources, exit: None, tail, execution })
    }

    /// Lines that it writes from now on belong to this execution.
    pub(crate) fn belongs_to(&self, execution: ExecutionId) {
        // Lines come without a time, and are of the moment in which they are read.
        self.execution.set(execution, Duration::ZERO);
    }

    /// Its process id, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.pid().map(|pid| pid.as_raw_pid().unsigned_abs())
    }

    /// Waits until it ends. Whatever is left of it ends with it.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub async fn ended(&mut self) -> io::Result<Exit> {
        if let Some(exit) = self.exit {
            return Ok(exit);
        }
        let mut exit = Exit::from(self.child.wait().await?);
        if let Some(resources) = self.resources.take() {
            exit = resources.cgroups.judge(exit);
            resources.give_back(&self.host, HandleEnd::Awaited);
        }
        self.exit = Some(exit);
        Ok(exit)
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
        if let Some(resources) = &self.resources {
            resources.signal(signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(resources) = self.resources.take() {
            // The child itself is killed with its handle.
            resources.give_back(&self.host, HandleEnd::Dropped);
        }
        self.forget_socket();
    }
}

impl ProcessResources {
    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // It fails when the group is empty, which is what is wanted.
            let _ = kill_process_group(group, signal);
        }
    }

    /// Kills what is left and gives its resources back. The number of its group is free from here
    /// on and may become another's, so the group is not signalled again.
    fn give_back(self, host: &ProcessHost, end: HandleEnd) {
        self.signal(Signal::KILL);
        if let Some(group) = self.group {
            host.running.end(group.as_raw_pid().unsigned_abs(), host.clock);
        }
        // Reaped or not, nobody waits for it any more: the next look at our children reaps it.
        self.started.reaped();
        host.limits.release(self.cgroups);
        // While the runtime itself ends, nothing can be spawned; the clock's next look does it.
        if host.children.end(self.number) && end == HandleEnd::Awaited {
            host.children.pursue();
        }
        host.final_output.borrow_mut().add(self.followers, host.clock.now());
    }
}

/// Makes the child.
fn spawn(
    spec: &FunctionSpec,
    options: StartOptions,
    host: &ProcessHost,
    mark: String,
    confinement: &Confinement,
) -> io::Result<Child> {
    let local = spec.local.as_ref().ok_or_else(|| io::Error::other("the function has no local.command"))?;
    let (program, arguments) =
        local.command.split_first().ok_or_else(|| io::Error::other("local.command is empty"))?;
    let directory = spec.directory.clone().unwrap_or_else(|| PathBuf::from("."));
    let StartOptions { socket, env, execution: _ } = options;
    let arguments: Vec<String> = arguments.iter().chain(&spec.args).cloned().collect();
    // A later one of a name replaces an earlier one: the function's own those before it, and what
    // a function relies on the function's own.
    let mut environment = BTreeMap::new();
    let mut set = |name: &str, value: OsString| drop(environment.insert(OsString::from(name), value));
    for name in ["PATH", "HOME"] {
        if let Some(value) = std::env::var_os(name) {
            set(name, value);
        }
    }
    set("MAX_BODY", host.max_body.to_string().into());
    set("MAX_OUTPUT", host.max_output.to_string().into());
    let ResolvedValues { variables, secrets } = resolve_values(spec, host)?;
    if !secrets.is_empty() {
        let folder = host.secrets.join(spec.name.as_str());
        write_secrets(&folder, &secrets)?;
        set("PICOFAAS_SECRETS", folder.into());
    }
    for (name, value) in variables {
        set(&name, value.into());
    }
    for variable in &spec.env {
        match &variable.value {
            EnvValue::Text(value) => set(&variable.name, value.into()),
            // Among the variables that were looked up.
            EnvValue::From(_) => {}
        }
    }
    set("FUNCTION_NAME", spec.name.as_str().into());
    // How it comes to its work: one that was started ahead is called, as a WARM one is.
    let mode = if socket.is_some() { ExecutionMode::Warm } else { spec.execution_mode };
    set("EXECUTION_MODE", mode.as_str().into());
    set("TIMEOUT_MS", spec.timeout_ms.to_string().into());
    set(MARK, mark.into());
    if let Some(socket) = socket {
        set("PICOFAAS_SOCKET", socket.into());
    }
    for (name, value) in env {
        set(name, value.into());
    }
    host.locale.add_to(&mut environment);
    let named =
        |error: io::Error| io::Error::new(error.kind(), format!("{program:?} could not be started: {error}"));
    let file = file_of(program, &directory, host).map_err(named)?;
    // It is the main thread that starts processes, so their death signal comes when this process
    // ends and not when some worker thread does.
    Program::new(&file, &arguments, environment, Some(&directory))
        .and_then(|program| {
            Child::spawn(&program, &EnvironmentChanges::default(), Streams::OUTPUT, confinement)
        })
        .map_err(named)
}

/// Values of the references of a function, as they are now.
fn resolve_values(spec: &FunctionSpec, host: &ProcessHost) -> io::Result<ResolvedValues> {
    host.values.resolve(spec).map_err(|missing| {
        let missing: Vec<String> = missing.iter().map(ToString::to_string).collect();
        io::Error::other(missing.join("; "))
    })
}

/// The file of a program of `local.command`. Ours is the one that serves, whatever `PATH` says: a function that
/// begins with the watchdog then needs nothing that is installed.
fn file_of(program: &str, directory: &Path, host: &ProcessHost) -> io::Result<PathBuf> {
    if program == OWN_NAME {
        return host.program.clone().map_err(io::Error::other);
    }
    Ok(resolve(program, directory))
}

/// A command with a slash is relative to the function's folder; one without is looked up in PATH.
#[must_use]
pub(crate) fn resolve(program: &str, directory: &Path) -> PathBuf {
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
