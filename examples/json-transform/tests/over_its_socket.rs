//! The function as a process, called as an instance is called.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A test that waits longer than this for an answer has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// Killed on drop.
struct Instance {
    child: Child,
    directory: tempfile::TempDir,
}

impl Instance {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_json-transform"))
            .env("PICOFAAS_SOCKET", directory.path().join("fn.sock"))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut greeting = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut greeting).unwrap();
        assert!(greeting.starts_with("listening"), "{greeting}");
        Self { child, directory }
    }

    /// Everything that comes back, the head included.
    fn invoke(&self, input: &str) -> String {
        let mut stream = UnixStream::connect(self.directory.path().join("fn.sock")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let body = format!("{{\"input\":{input}}}");
        let head = "POST /invoke HTTP/1.1\r\nhost: fn\r\nx-execution-id: e-1\r\nconnection: close\r\ncontent-length:";
        stream.write_all(format!("{head} {}\r\n\r\n{body}", body.len()).as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // Fails only if the process has ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The input that the manifest offers to try.
fn example_input() -> &'static str {
    let manifest = include_str!("../function.yaml");
    let line = manifest.lines().find_map(|line| line.trim().strip_prefix("picofaas.dev/example-input: '"));
    line.unwrap().strip_suffix('\'').unwrap()
}

#[test]
fn the_input_in_the_manifest_gives_the_output_in_the_readme() {
    let answer = Instance::start().invoke(example_input());
    let (head, output) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(include_str!("../README.md").contains(&format!("The output is `{output}`.")), "{output}");
}

#[test]
fn a_taken_name_and_data_that_is_no_object_are_the_callers_fault() {
    let instance = Instance::start();
    let taken = instance.invoke(r#"{"data":{"a":1,"b":2},"transform":{"rename":{"a":"b"}}}"#);
    assert!(taken.starts_with("HTTP/1.1 422 ") && taken.contains("NAME_TAKEN"), "{taken}");
    let no_object = instance.invoke(r#"{"data":[]}"#);
    assert!(no_object.starts_with("HTTP/1.1 400 ") && no_object.contains("input.data: "), "{no_object}");
}
