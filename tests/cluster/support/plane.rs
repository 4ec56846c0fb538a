//! The control plane as a process of this machine that runs functions in a cluster.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

use serde_json::{Value, json};

use super::client::{Answer, Client};
use super::namespace::Namespace;
use super::patience::eventually;

/// A running control plane; killed on drop.
pub struct Plane {
    child: Child,
    /// Reads what it writes to its end.
    log: Option<JoinHandle<String>>,
    listen: SocketAddr,
    /// Where its pods reach it.
    runtime: SocketAddr,
}

/// The address of this machine at which pods reach it.
fn node() -> String {
    std::env::var("PICOFAAS_NODE").unwrap_or_else(|_| "10.250.0.1".to_owned())
}

/// The image of the function of tests.
pub fn image() -> String {
    std::env::var("PICOFAAS_TEST_IMAGE")
        .unwrap_or_else(|_| "docker.io/picofaas/picofaas-test-function:0.1.0".to_owned())
}

/// A `WARM` function of one of the handlers of the function of tests, with what is to be different.
pub fn warm(name: &str, handler: &str, different: &Value) -> Value {
    let mut function = json!({
        "name": name,
        "executionMode": "WARM",
        "image": image(),
        "env": [{ "name": "HANDLER", "value": handler }],
        "resources": { "requests": { "cpu": "10m", "memory": "16Mi" } },
        "replicas": { "min": 1, "max": 4 },
    });
    for (key, value) in different.as_object().expect("an object") {
        function[key] = value.clone();
    }
    function
}

impl Plane {
    /// Starts one for the functions of a namespace.
    pub fn start(namespace: &Namespace) -> Self {
        let free = TcpListener::bind((node().as_str(), 0)).expect("PICOFAAS_NODE is an address of ours");
        let runtime = free.local_addr().expect("it is bound");
        drop(free);
        Self::start_at(namespace, runtime)
    }

    fn start_at(namespace: &Namespace, runtime: SocketAddr) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_picofaas"))
            .args(["serve", "--backend", "kubernetes", "--namespace", &namespace.name])
            .args(["--listen", "127.0.0.1:0", "--management-listen", "127.0.0.1:0"])
            .args(["--runtime-listen", &runtime.to_string()])
            .args(["--runtime-url", &format!("http://{runtime}")])
            .env("RUST_LOG", "info")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let mut lines = BufReader::new(child.stderr.take().expect("it is piped"));
        let mut seen = String::new();
        let serving = loop {
            let start = seen.len();
            let bytes = lines.read_line(&mut seen).expect("it writes text");
            assert!(bytes > 0, "it ended before it served:\n{seen}");
            if seen[start..].contains(" serving ") {
                break seen[start..].to_owned();
            }
        };
        let (_, rest) = serving.split_once(" listen=").expect("it says where it listens");
        let listen = rest.split_whitespace().next().and_then(|text| text.parse().ok()).expect("an address");
        let log = std::thread::spawn(move || {
            while lines.read_line(&mut seen).is_ok_and(|bytes| bytes > 0) {}
            seen
        });
        Self { child, log: Some(log), listen, runtime }
    }

    /// Ends without a word, and another one comes in its place.
    pub fn killed_and_started_again(mut self, namespace: &Namespace) -> Self {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it was killed");
        Self::start_at(namespace, self.runtime)
    }

    /// SIGTERM, and its end.
    pub fn stopped_and_started_again(mut self, namespace: &Namespace) -> Self {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
        let status = self.child.wait().expect("it ends");
        assert!(status.success(), "{status}");
        Self::start_at(namespace, self.runtime)
    }

    pub fn client(&self) -> Client {
        Client::connect(self.listen)
    }

    pub fn invoke(&self, function: &str, input: impl std::fmt::Display) -> Answer {
        self.client().invoke(function, input)
    }

    /// Creates a function or replaces it.
    #[track_caller]
    pub fn put(&self, function: &Value) {
        let name = function["name"].as_str().expect("a name");
        let answer = self.client().put(&format!("/v1/functions/{name}"), function);
        assert!(matches!(answer.status, 200 | 201), "{answer:?}");
    }

    /// The function's status.
    pub fn status(&self, function: &str) -> Value {
        self.client().get(&format!("/v1/functions/{function}")).json()["status"].clone()
    }

    /// Waits until so many instances of a function are ready, and no version of it is on its way.
    pub fn until_ready(&self, function: &str, wanted: u64) {
        self.until(function, &format!("{wanted} instances of {function} are ready"), |status| {
            status["ready"] == wanted && condition(status, "Progressing").is_none()
        });
    }

    /// Waits until a function's status is as it should be.
    pub fn until(&self, function: &str, what: &str, is_so: impl Fn(&Value) -> bool) {
        let mut client = self.client();
        let path = format!("/v1/functions/{function}");
        eventually(what, || {
            let status = client.get(&path).json()["status"].clone();
            is_so(&status).then_some(())
        });
    }
}

/// A condition of a function's status, where it has it.
pub fn condition<'a>(status: &'a Value, kind: &str) -> Option<&'a Value> {
    status["conditions"].as_array()?.iter().find(|one| one["type"] == kind)
}

impl Drop for Plane {
    fn drop(&mut self) {
        // Fails only where it has ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(log) = self.log.take()
            && let Ok(log) = log.join()
            && std::thread::panicking()
        {
            eprintln!("the control plane wrote:\n{log}");
        }
    }
}
