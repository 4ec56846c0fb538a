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
        let mut child = Command::new(env!("CARGO_BIN_EXE_word-stats-rust"))
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
    assert!(include_str!("../README.md").lines().any(|line| line == format!("# {output}")), "{output}");
}

#[test]
fn without_top_n_there_are_ten_and_a_misspelt_field_is_named() {
    let instance = Instance::start();
    let answer = instance.invoke(r#"{"text":"a b c d e f g h i j k l"}"#);
    let stats: serde_json::Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!((&stats["uniqueWords"], stats["topWords"].as_array().unwrap().len()), (&12.into(), 10));
    let refused = instance.invoke(r#"{"text":"a","topn":1}"#);
    assert!(
        refused.starts_with("HTTP/1.1 400 ") && refused.contains("input.topn: unknown field"),
        "{refused}"
    );
}
