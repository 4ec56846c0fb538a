//! The client commands of the binary, run to their end with an environment of their own.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::patience::Alarm;
use super::server::{Server, command};

/// The version as it is shown to people, with what the program was built without.
pub(crate) const VERSION: &str = match (cfg!(feature = "cluster"), cfg!(feature = "tls")) {
    (true, _) => env!("CARGO_PKG_VERSION"),
    (false, true) => concat!(env!("CARGO_PKG_VERSION"), " (without clusters)"),
    (false, false) => concat!(env!("CARGO_PKG_VERSION"), " (without clusters and TLS)"),
};

/// The binary with a home of its own, which goes to one server unless it is told otherwise.
pub(crate) struct ClientProgram {
    server: Option<String>,
    home: TempDir,
}

/// A command that ended.
#[derive(Debug)]
pub(crate) struct Said {
    /// The exit code, or minus the signal.
    pub code: i32,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl ClientProgram {
    /// Goes to a server's listener for clients.
    pub(crate) fn of(server: &Server) -> Self {
        Self::at(server.listen)
    }

    /// Goes to an address.
    pub(crate) fn at(address: SocketAddr) -> Self {
        Self { server: Some(format!("http://{address}")), ..Self::anywhere() }
    }

    /// Goes where it is told.
    pub(crate) fn anywhere() -> Self {
        Self { server: None, home: tempfile::tempdir().unwrap() }
    }

    /// URL that it goes to.
    pub(crate) fn url(&self) -> &str {
        self.server.as_deref().unwrap()
    }

    /// The folder that it is run in, and has its configuration in.
    pub(crate) fn folder(&self) -> &Path {
        self.home.path()
    }

    /// Writes a file into that folder.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Writes a manifest of a function as it is registered.
    pub(crate) fn write_manifest(&self, file: &str, specification: &Value) {
        self.write(file, manifest(specification).to_string());
    }

    /// The command, not started yet.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.command_of(command(), arguments)
    }

    /// The same of another name of the binary.
    pub(crate) fn command_of(&self, mut command: Command, arguments: &[&str]) -> Command {
        command.args(arguments).current_dir(self.folder());
        command
            .env("HOME", self.folder())
            .env("XDG_CONFIG_HOME", self.folder())
            .env_remove("NO_COLOR")
            .env_remove("KUBECONFIG");
        match &self.server {
            Some(server) => command.env("PICOFAAS_SERVER", server),
            None => command.env_remove("PICOFAAS_SERVER"),
        };
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Starts a command.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().unwrap()
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        Said::of(self.start(arguments))
    }

    /// The same with something to read.
    pub(crate) fn run_with_input(&self, arguments: &[&str], input: impl AsRef<[u8]>) -> Said {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_ref()).unwrap();
        Said::of(child)
    }
}

impl Said {
    /// Waits for the end of a command.
    pub(crate) fn of(child: Child) -> Self {
        let _alarm = Alarm::of(&child);
        let output = child.wait_with_output().unwrap();
        Self {
            code: output.status.code().unwrap_or_else(|| -output.status.signal().unwrap()),
            stdout: output.stdout,
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    /// Asserts a success with exactly this output.
    #[track_caller]
    pub(crate) fn assert_output(&self, stdout: &str) {
        assert_eq!((self.code, self.text()), (0, stdout), "{self:?}");
    }

    /// The output of a success.
    #[track_caller]
    pub(crate) fn output(&self) -> &str {
        assert_eq!(self.code, 0, "{self:?}");
        self.text()
    }

    /// Asserts a failure without output, whose message has each of the parts.
    #[track_caller]
    pub(crate) fn assert_failed(&self, code: i32, parts: &[&str]) {
        assert_eq!((self.code, self.stdout.len()), (code, 0), "{self:?}");
        for part in parts {
            assert!(self.stderr.contains(part), "no {part:?} in {:?}", self.stderr);
        }
    }
}

/// A function as it is registered, as a manifest.
pub(crate) fn manifest(specification: &Value) -> Value {
    let mut spec = specification.clone();
    let name = spec.as_object_mut().unwrap().remove("name").unwrap();
    json!({ "apiVersion": "picofaas.dev/v1", "kind": "Function", "metadata": { "name": name }, "spec": spec })
}

/// Answers one request, whatever it is, with these bytes, and closes. Gives the address, and the request.
pub(crate) fn answer_once(bytes: impl Into<Vec<u8>>) -> (SocketAddr, JoinHandle<String>) {
    let (address, requests) = answer_each(vec![bytes.into()]);
    (address, std::thread::spawn(|| requests.join().unwrap().remove(0)))
}

/// Answers as many requests, each on a connection of its own. Gives the address, and the requests.
pub(crate) fn answer_each(answers: Vec<Vec<u8>>) -> (SocketAddr, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = listener.local_addr().unwrap();
    let answered = move |bytes: Vec<u8>| {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut request, mut piece) = (Vec::new(), [0; 4096]);
        // The head is all that is looked at; a body comes with it, or is thrown away with the connection.
        while !request.windows(4).any(|end| end == b"\r\n\r\n") {
            match stream.read(&mut piece).unwrap() {
                0 => break,
                read => request.extend_from_slice(&piece[..read]),
            }
        }
        stream.write_all(&bytes).unwrap();
        String::from_utf8(request).unwrap()
    };
    (address, std::thread::spawn(move || answers.into_iter().map(answered).collect()))
}

/// An answer of JSON after which the connection is closed.
pub(crate) fn json_answer(body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
    .into_bytes()
}
