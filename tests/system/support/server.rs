//! `picofaas serve` as a child process, from its start to its end.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread::JoinHandle;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::client::{Answer, Client};
use super::patience::{Alarm, eventually};
use super::scrape::Scrape;
use super::specification::warm;

/// A function that every server has and no test breaks.
pub(crate) const BYSTANDER: &str = "bystander";

/// A running server; killed on drop if it still runs.
pub(crate) struct Server {
    child: Child,
    /// Reads stderr to its end.
    stderr: Option<JoinHandle<String>>,
    /// Its output until it served.
    pub greeting: String,
    /// Where clients call.
    pub listen: SocketAddr,
    /// Where operators call.
    pub management: SocketAddr,
    /// Where runtimes call.
    pub runtime: SocketAddr,
    /// Done before it is told to end, or killed.
    pub before_end: Option<fn(&Self)>,
    _state: TempDir,
}

/// How a process ended.
#[derive(Debug)]
pub(crate) struct End {
    /// The exit code, or minus the signal.
    pub code: i32,
    pub stderr: String,
}

impl Server {
    /// Starts a server on free ports, with more flags, and registers the bystander.
    pub(crate) fn start(flags: &[&str]) -> Self {
        let server = Self::start_bare(&[&["--allow-local-exec"], flags].concat());
        server.register(&warm(BYSTANDER, "echo"));
        server
    }

    /// Starts a server with nothing but these flags and free ports of the loopback device.
    pub(crate) fn start_bare(flags: &[&str]) -> Self {
        Self::start_at("127.0.0.1:0", flags)
    }

    /// Starts a server whose clients come in at an address, whose port is 0.
    pub(crate) fn start_at(listen: &str, flags: &[&str]) -> Self {
        Self::start_on(listen, "127.0.0.1:0", flags)
    }

    /// Starts a server that resolves names by a file of its own instead of the machine's, which can be
    /// written anew. Where a process may not have files of its own, says why.
    pub(crate) fn start_with_hosts(hosts: &Path) -> Result<Self, String> {
        let own_files = ["unshare", "--map-root-user", "--mount"];
        let trial = Command::new(own_files[0]).args(&own_files[1..]).arg("true").output();
        match trial {
            Ok(trial) if trial.status.success() => {}
            Ok(trial) => return Err(String::from_utf8_lossy(&trial.stderr).into_owned()),
            Err(error) => return Err(format!("unshare: {error}")),
        }
        let mut command = child_of(Command::new(own_files[0]));
        command.args(&own_files[1..]).args(["sh", "-c", "mount --bind \"$0\" /etc/hosts && exec \"$@\""]);
        command.arg(hosts).arg(env!("CARGO_BIN_EXE_picofaas"));
        Ok(Self::start_by(command, "127.0.0.1:0", "127.0.0.1:0", &[]))
    }

    /// Starts a server that listens for clients and for runtimes at addresses.
    pub(crate) fn start_on(listen: &str, runtime_listen: &str, flags: &[&str]) -> Self {
        Self::start_by(command(), listen, runtime_listen, flags)
    }

    /// The same, by a command that runs the binary with what follows.
    pub(crate) fn start_by(mut command: Command, listen: &str, runtime_listen: &str, flags: &[&str]) -> Self {
        let state = tempfile::tempdir().unwrap();
        let management: &[&str] = if flags.contains(&"--management-listen") {
            &[]
        } else {
            &["--management-listen", "127.0.0.1:0"]
        };
        let mut child = command
            .args(["serve", "--listen", listen, "--runtime-listen", runtime_listen])
            .args(management)
            .arg("--state-dir")
            .arg(state.path())
            .args(flags)
            .spawn()
            .unwrap();
        let alarm = Alarm::of(&child);
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut seen = String::new();
        let serving = loop {
            let start = seen.len();
            if stderr.read_line(&mut seen).unwrap() == 0 {
                let status = child.wait().unwrap();
                panic!("the server ended with {status} before it served:\n{seen}");
            }
            if seen[start..].contains(" serving ") {
                break seen[start..].to_owned();
            }
        };
        drop(alarm);
        let address = |field: &str| {
            let (_, rest) = serving.split_once(&format!(" {field}=")).unwrap_or_else(|| panic!("{serving}"));
            let address: SocketAddr =
                rest.split_whitespace().next().unwrap().parse().unwrap_or_else(|_| panic!("{serving}"));
            // One that listens everywhere is called here.
            SocketAddr::from((Ipv4Addr::LOCALHOST, address.port()))
        };
        let (listen, management, runtime) = (address("listen"), address("management"), address("runtime"));
        let greeting = seen.clone();
        let stderr = std::thread::spawn(move || read_on(stderr, seen));
        Self {
            child,
            stderr: Some(stderr),
            greeting,
            listen,
            management,
            runtime,
            before_end: None,
            _state: state,
        }
    }

    /// A new connection to the listener for clients.
    pub(crate) fn client(&self) -> Client {
        Client::connect(self.listen)
    }

    /// A new connection to the management listener.
    pub(crate) fn operator(&self) -> Client {
        Client::connect(self.management)
    }

    /// Creates a function, which must be accepted.
    #[track_caller]
    pub(crate) fn register(&self, specification: &Value) {
        let answer = self.create(specification);
        assert_eq!(answer.status, 201, "{answer:?}");
    }

    /// Tries to create a function.
    pub(crate) fn create(&self, specification: &Value) -> Answer {
        self.client().post("/v1/functions", specification)
    }

    /// Invokes once, on a connection of its own.
    pub(crate) fn invoke(&self, name: &str, input: impl std::fmt::Display) -> Answer {
        self.client().invoke(name, input)
    }

    /// The function as it is read.
    pub(crate) fn function(&self, name: &str) -> Value {
        let answer = self.client().get(&format!("/v1/functions/{name}"));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// Waits until a number in the function's status is as it should be.
    pub(crate) fn until_status(&self, name: &str, field: &str, wanted: u64) {
        let mut client = self.client();
        let mut last = Value::Null;
        eventually(&format!("{field} of {name} is {wanted}"), || {
            last = client.get(&format!("/v1/functions/{name}")).json()["status"].clone();
            (last[field] == wanted).then_some(())
        });
    }

    /// Asserts that the bystander is served.
    #[track_caller]
    pub(crate) fn assert_others_are_served(&self) {
        assert_eq!(self.invoke(BYSTANDER, "\"still there\"").output(), "still there");
    }

    pub(crate) fn scrape(&self) -> Scrape {
        Scrape::of(&mut self.operator())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(last) = self.before_end
            && matches!(signal, Signal::TERM | Signal::KILL)
        {
            last(self);
        }
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> End {
        let _alarm = Alarm::of(&self.child);
        let stderr = self.stderr.take().unwrap().join().unwrap();
        let status = self.child.wait().unwrap();
        End { code: status.code().unwrap_or_else(|| -status.signal().unwrap()), stderr }
    }

    /// SIGTERM, and its end.
    pub(crate) fn stop(self) -> End {
        self.signal(Signal::TERM);
        self.end()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(last) = self.before_end
            && matches!(self.child.try_wait(), Ok(None))
        {
            last(self);
        }
        // Fails only if the process has ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(stderr) = self.stderr.take()
            && let Ok(stderr) = stderr.join()
            && std::thread::panicking()
        {
            eprintln!("the server wrote:\n{stderr}");
        }
    }
}

/// Runs the binary in a folder to its end; it must not come to serve, nor leave anything behind.
pub(crate) fn run(arguments: &[&str], folder: &Path) -> End {
    let mut child = command().args(arguments).current_dir(folder).env("TMPDIR", folder).spawn().unwrap();
    let _alarm = Alarm::of(&child);
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut seen = String::new();
    while stderr.read_line(&mut seen).unwrap() > 0 {
        if seen.contains(" serving ") {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("it serves:\n{seen}");
        }
    }
    let status = child.wait().unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(!name.starts_with("picofaas"), "{name} was left behind");
    }
    End { code: status.code().unwrap_or_else(|| -status.signal().unwrap()), stderr: seen }
}

/// The binary, with nothing of the environment that could change what it does.
pub(crate) fn command() -> Command {
    child_of(Command::new(env!("CARGO_BIN_EXE_picofaas")))
}

fn child_of(mut command: Command) -> Command {
    command.env_remove("RUST_LOG").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

fn read_on(mut stderr: BufReader<ChildStderr>, mut seen: String) -> String {
    // A line that is not UTF-8 ends the reading, and the test that looks for more fails.
    while stderr.read_line(&mut seen).is_ok_and(|bytes| bytes > 0) {}
    seen
}
