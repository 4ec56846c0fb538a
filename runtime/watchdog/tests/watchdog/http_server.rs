//! The server of `server.py` behind the watchdog, and what lets it go on.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::instance::Instance;

/// Something that a server waits for until a test opens it.
pub(crate) struct Fifo {
    directory: TempDir,
    gate: File,
}

/// The command of the server.
pub(crate) fn command() -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/watchdog/server.py");
    serde_json::to_string(&["python3", "-S", script]).unwrap()
}

/// A Python program as a command.
pub(crate) fn python(script: &str) -> String {
    serde_json::to_string(&["python3", "-S", "-c", script]).unwrap()
}

/// The server behind a watchdog, with more of an environment.
pub(crate) fn start(more: &[(&str, &str)]) -> Instance {
    Instance::running("http", &command(), more)
}

/// The body that has the server write bytes of an answer.
pub(crate) fn write(bytes: &str) -> String {
    json!({"input": {"do": "write", "bytes": bytes}}).to_string()
}

/// The same; it closes the connection behind them.
pub(crate) fn write_and_close(bytes: &str) -> String {
    json!({"input": {"do": "write", "bytes": bytes, "close": true}}).to_string()
}

/// A request as the server got it.
pub(crate) fn told(instance: &Instance) -> Value {
    instance.connect().invoke("", r#"{"input":{"do":"tell"}}"#).json()
}

impl Fifo {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fifo");
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        let gate = File::options().read(true).write(true).open(&path).unwrap();
        Self { directory, gate }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("fifo")
    }

    /// Waits for a byte that somebody else gives.
    pub(crate) fn wait_for_byte(&mut self) {
        self.gate.read_exact(&mut [0]).unwrap();
    }

    /// Lets so many go on, who wait or will.
    pub(crate) fn open(&mut self, count: usize) {
        self.gate.write_all(&vec![0; count]).unwrap();
    }

    /// The body that has the server wait for it.
    pub(crate) fn wait(&self) -> String {
        json!({"input": {"do": "wait", "for": self.path()}}).to_string()
    }
}
