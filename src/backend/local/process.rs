//! One local process of a function: its own group, a cleared environment, dead when we are.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use picofaas_child::{Changes, Child, Gate, Program, Streams};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::task::AbortHandle;

use super::children::{InstanceNumber, MARK, Started};
use super::limits::Enclosure;
use crate::backend::Context;
use crate::backend::exit::Exit;
use crate::backend::output::{Lines, Stream, Tail, Writer, follow};
use crate::id::ExecutionId;
use crate::registry::{EnvValue, FunctionSpec};

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

/// A process that was started. Whatever becomes of it ends with it: its group, what is in its
/// cgroups, and what carries its mark.
#[derive(Debug)]
pub struct Process {
    child: Child,
    context: Rc<Context>,
    socket: Option<PathBuf>,
    /// What is given back once it has ended.
    hold: Option<Hold>,
    exit: Option<Exit>,
    /// The last lines it wrote.
    pub tail: Tail,
}

/// What a process has while it runs.
#[derive(Debug)]
struct Hold {
    group: Option<Pid>,
    started: Started,
    number: InstanceNumber,
    enclosure: Enclosure,
    followers: Vec<AbortHandle>,
}

impl Process {
    /// Starts `local.command` of a function within its limits.
    ///
    /// # Errors
    /// Where it cannot be started, with the command's name.
    pub fn start(
        spec: &FunctionSpec,
        launch: Launch,
        context: &Rc<Context>,
        lines: Lines,
    ) -> io::Result<Self> {
        let socket = launch.socket.clone();
        let execution = launch.execution;
        if let Some(socket) = &socket {
            remove_socket(socket)?;
        }
        let (number, mark) = context.children.begin();
        let spawned = context.limits.enclose(spec).and_then(|(enclosure, gate)| {
            match spawn(spec, launch, context, mark, &gate) {
                Ok(child) => Ok((child, enclosure)),
                Err(error) => {
                    context.limits.release(enclosure);
                    Err(error)
                }
            }
        });
        let (mut child, enclosure) = match spawned {
            Ok(spawned) => spawned,
            Err(error) => {
                context.children.end(number);
                // Nothing was started, so nothing is pursued.
                return Err(error);
            }
        };
        let group = child.pid();
        let pid = group.map(|pid| pid.as_raw_pid().unsigned_abs());
        let started = context.children.started(pid);
        let tail = Tail::default();
        let instance = pid.map_or_else(String::new, |pid| pid.to_string());
        let writer = Writer {
            function: spec.name.as_str().into(),
            instance: instance.into(),
            stream: Stream::Stdout,
            execution,
        };
        let mut followers = Vec::with_capacity(2);
        if let Some(stdout) = child.stdout.take() {
            let follower = follow(stdout, writer.clone(), tail.clone(), lines.clone());
            followers.push(tokio::task::spawn_local(follower).abort_handle());
        }
        if let Some(stderr) = child.stderr.take() {
            let writer = Writer { stream: Stream::Stderr, ..writer };
            let follower = follow(stderr, writer, tail.clone(), lines);
            followers.push(tokio::task::spawn_local(follower).abort_handle());
        }
        let hold = Some(Hold { group, started, number, enclosure, followers });
        Ok(Self { child, context: context.clone(), socket, hold, exit: None, tail })
    }

    /// Its process id, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.pid().map(|pid| pid.as_raw_pid().unsigned_abs())
    }

    /// Waits until it ends. Whatever is left of it ends with it.
    ///
    /// # Errors
    /// Where it cannot be waited for.
    pub async fn ended(&mut self) -> io::Result<Exit> {
        if let Some(exit) = self.exit {
            return Ok(exit);
        }
        let mut exit = Exit::from(self.child.wait().await?);
        if let Some(hold) = self.hold.take() {
            exit = hold.enclosure.judge(exit);
            hold.give_back(&self.context, true);
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
        if let Some(hold) = &self.hold {
            hold.signal(signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(hold) = self.hold.take() {
            // The child itself is killed with its handle.
            hold.give_back(&self.context, false);
        }
        self.forget_socket();
    }
}

impl Hold {
    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // It fails when the group is empty, which is what is wanted.
            let _ = kill_process_group(group, signal);
        }
    }

    /// Kills what is left and gives back what it had. The number of its group is free from here
    /// on and may become another's, so the group is not signalled again.
    fn give_back(self, context: &Context, reaped: bool) {
        self.signal(Signal::KILL);
        // Reaped or not, nobody waits for it any more: the next look at our children reaps it.
        self.started.reaped();
        context.limits.release(self.enclosure);
        // While the runtime itself ends, nothing can be spawned; the clock's next look does it.
        if context.children.end(self.number) && reaped {
            context.children.pursue();
        }
        context.last_words.borrow_mut().leave(self.followers, context.clock.now());
    }
}

/// Makes the child.
fn spawn(
    spec: &FunctionSpec,
    launch: Launch,
    context: &Context,
    mark: String,
    gate: &Gate,
) -> io::Result<Child> {
    let local = spec.local.as_ref().ok_or_else(|| io::Error::other("the function has no local.command"))?;
    let (program, arguments) =
        local.command.split_first().ok_or_else(|| io::Error::other("local.command is empty"))?;
    let directory = spec.directory.clone().unwrap_or_else(|| PathBuf::from("."));
    let flags = &context.settings.flags;
    let Launch { socket, env, execution: _ } = launch;
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
    set("MAX_BODY", flags.max_body.to_string().into());
    set("MAX_OUTPUT", flags.max_output.to_string().into());
    for variable in &spec.env {
        match &variable.value {
            EnvValue::Text(value) => set(&variable.name, value.into()),
            EnvValue::From(_) => {
                return Err(io::Error::other(format!("the value of {} is in Kubernetes", variable.name)));
            }
        }
    }
    set("FUNCTION_NAME", spec.name.as_str().into());
    set("EXECUTION_MODE", spec.execution_mode.as_str().into());
    set("TIMEOUT_MS", spec.timeout_ms.to_string().into());
    set(MARK, mark.into());
    if let Some(socket) = socket {
        set("PICOFAAS_SOCKET", socket.into());
    }
    for (name, value) in env {
        set(name, value.into());
    }
    // It is the main thread that starts processes, so their death signal comes when this process
    // ends and not when some worker thread does.
    Program::new(&resolve(program, &directory), &arguments, environment, Some(&directory))
        .and_then(|program| Child::spawn(&program, &Changes::default(), Streams::OUTPUT, gate))
        .map_err(|error| io::Error::new(error.kind(), format!("{program:?} could not be started: {error}")))
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
