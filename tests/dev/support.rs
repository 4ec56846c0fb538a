//! A folder of functions, and `picofaas dev` on it.

#![expect(clippy::unwrap_used, reason = "where a test cannot go on, it ends there")]
#![expect(clippy::disallowed_types, reason = "a test waits for lines that a thread of its own reads")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long anything may take: only what hangs takes longer, on a busy machine, too.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often it is looked whether something has happened.
const LOOK: Duration = Duration::from_millis(20);

/// The function: a server on its socket that answers with what its file `word` held at its start.
/// An input that is not empty comes back, too.
pub(crate) const SERVER: &str = r#"#!/usr/bin/env python3
import json, os, socketserver
from http.server import BaseHTTPRequestHandler

word = "WORD"

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self, value, status=200):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        self.answer({})
    def do_POST(self):
        given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if word == "FAILING":
            error = {"code": "NO_LUCK", "message": "not on attempt " + self.headers["X-Attempt"]}
            self.answer({"error": error}, 500)
            return
        # AT CALL
        self.answer({"word": word, "env": os.environ.get("EXTRA"), "pid": os.getpid(), "given": given["input"]})
    def address_string(self):
        return "picofaas"
    def log_message(self, *arguments):
        pass

class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

# AT START
print("hello from " + word, flush=True)
Server(os.environ["PICOFAAS_SOCKET"], Handler).serve_forever()
"#;

/// Calls `done` again and again until it has something to say.
///
/// # Panics
/// When it takes too long, with what was waited for.
#[expect(clippy::disallowed_methods, reason = "here the tests' own time enters")]
pub(crate) fn until<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(value) = done() {
            return value;
        }
        assert!(begun.elapsed() < PATIENCE, "waited too long for {what}");
        // sleep: another process does the work, and it can only be asked.
        std::thread::sleep(LOOK);
    }
}

/// Whether a process runs; one that is dead but not waited for does not.
pub(crate) fn runs(pid: u64) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    status.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

/// A folder of functions, with a cache folder of its own.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        fs::create_dir(folder.0.path().join("functions")).unwrap();
        folder
    }

    /// Where the functions are.
    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().join("functions")
    }

    /// The path of a file that is no source of any function, for a line of shell.
    pub(crate) fn outside(&self, file: &str) -> String {
        self.0.path().join(file).to_str().unwrap().to_owned()
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        let file = self.path().join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        // In one step, so that no look falls between two halves.
        let whole = file.with_file_name(".whole");
        fs::write(&whole, text).unwrap();
        fs::rename(whole, file).unwrap();
    }

    /// A function that is built by a shell command; it says `word`.
    pub(crate) fn function(&self, name: &str, word: &str) {
        self.source(name, word);
        self.manifest(name, "env: []");
    }

    pub(crate) fn source(&self, name: &str, word: &str) {
        self.write(&format!("{name}/function.src"), &SERVER.replace("WORD", word));
    }

    /// A function that runs a line of Python when it starts, and one at each call.
    pub(crate) fn writing(&self, name: &str, at_start: &str, at_call: &str) {
        let text =
            SERVER.replace("WORD", "one").replace("# AT START", at_start).replace("# AT CALL", at_call);
        self.write(&format!("{name}/function.src"), &text);
        self.manifest(name, "env: []");
    }

    /// Another word of a function that writes; the rest stays.
    pub(crate) fn other_word(&self, name: &str, before: &str, word: &str) {
        let text = fs::read_to_string(self.path().join(name).join("function.src")).unwrap();
        let line = |word: &str| format!("word = \"{word}\"");
        assert!(text.contains(&line(before)), "{text}");
        self.write(&format!("{name}/function.src"), &text.replace(&line(before), &line(word)));
    }

    /// Its manifest, with one more field of `spec`. Each build adds a line to `builds.log`.
    pub(crate) fn manifest(&self, name: &str, field: &str) {
        let log = self.0.path().join("builds.log");
        let text = format!(
            "apiVersion: picofaas.dev/v1
kind: Function
metadata:
  name: {name}
  annotations: {{picofaas.dev/example-input: '{{\"it''s\": [1, \"a b\"]}}'}}
spec:
  executionMode: WARM
  local:
    build:
      - [sh, -c, 'echo {name} >> {}']
      - [sh, -c, '! grep BROKEN function.src && cp function.src server && chmod +x server']
    command: [./server]
  {field}
",
            log.display()
        );
        self.write(&format!("{name}/function.yaml"), &text);
    }

    /// A function that is built by a line of shell, which is to make `server` of `function.src`.
    pub(crate) fn built_by(&self, name: &str, line: &str) {
        self.source(name, "one");
        let build = serde_json::json!([["sh", "-c", line]]);
        self.write(
            &format!("{name}/function.yaml"),
            &format!(
                "apiVersion: picofaas.dev/v1\nkind: Function\nmetadata: {{name: {name}}}\nspec:\n  \
                 executionMode: WARM\n  local: {{build: {build}, command: [./server]}}\n"
            ),
        );
    }

    /// How often a function was built.
    pub(crate) fn builds(&self, name: &str) -> usize {
        let log = fs::read_to_string(self.0.path().join("builds.log")).unwrap_or_default();
        log.lines().filter(|line| *line == name).count()
    }

    pub(crate) fn dev(&self) -> Dev {
        self.dev_with(&[])
    }

    /// On one file of the folder.
    pub(crate) fn dev_of(&self, file: &str) -> Dev {
        Dev::start(&self.path().join(file), &self.0.path().join("cache"), &[])
    }

    pub(crate) fn dev_with(&self, flags: &[&str]) -> Dev {
        Dev::start(&self.path(), &self.0.path().join("cache"), flags)
    }
}

/// A `picofaas dev` that runs.
pub(crate) struct Dev {
    process: Child,
    lines: std::sync::mpsc::Receiver<String>,
    said: Vec<String>,
    /// Said lines before this one were waited for.
    seen: usize,
    pub address: String,
    /// Address of the management listener.
    pub management: String,
}

impl Dev {
    fn start(folder: &Path, cache: &Path, flags: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_picofaas"))
            .arg("dev")
            .arg(folder)
            .args([
                "--listen",
                "127.0.0.1:0",
                "--management-listen",
                "127.0.0.1:0",
                "--runtime-listen",
                "127.0.0.1:0",
            ])
            .args(flags)
            .env("XDG_CACHE_HOME", cache)
            .env_remove("RUST_LOG")
            // Open and silent, as a terminal is: what reads from it waits.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = process.stdout.take().unwrap();
        let (tell, lines) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    break;
                }
            }
        });
        let (address, management) = (String::new(), String::new());
        let mut dev = Self { process, lines, said: Vec::new(), seen: 0, address, management };
        let line = dev.line("functions are served on http://");
        let address = |nth| line.split("http://").nth(nth).and_then(|rest| rest.split([',', ';']).next());
        dev.address = address(1).unwrap().to_owned();
        dev.management = address(2).unwrap().to_owned();
        dev
    }

    /// Waits for a line that holds this text, after those that were waited for before. Other lines may come
    /// for ever, and are not waited for.
    #[expect(clippy::disallowed_methods, reason = "here, too, the tests' own time enters")]
    pub(crate) fn line(&mut self, text: &str) -> String {
        let begun = Instant::now();
        loop {
            while self.seen < self.said.len() {
                self.seen += 1;
                if self.said[self.seen - 1].contains(text) {
                    return self.said[self.seen - 1].clone();
                }
            }
            match self.lines.recv_timeout(PATIENCE.saturating_sub(begun.elapsed())) {
                Ok(line) => self.said.push(line),
                Err(error) => panic!("no line with {text:?} came ({error}); it said:\n{}", self.all()),
            }
        }
    }

    /// Whether some line that has come holds this text.
    pub(crate) fn has_said(&mut self, text: &str) -> bool {
        self.said.extend(self.lines.try_iter());
        self.said.iter().any(|line| line.contains(text))
    }

    /// All it has said so far.
    pub(crate) fn all(&self) -> String {
        self.said.join("\n")
    }

    fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Calls a function with an empty input: the status, and the body.
    pub(crate) fn call(&self, name: &str) -> (String, serde_json::Value) {
        self.ask(&format!("v1/functions/{name}:invoke"), "-d '{\"input\":{}}'")
    }

    /// Runs a line of the shell in which `ADDRESS` is the listener for clients.
    pub(crate) fn run(&self, line: &str) {
        shell(&line.replace("ADDRESS", &self.address));
    }

    /// Sends a request to a path of the listener for clients: the status, and the body.
    pub(crate) fn ask(&self, path: &str, flags: &str) -> (String, serde_json::Value) {
        let said = shell(&format!(
            "curl -s -H 'content-type: application/json' -w '\\n%{{http_code}}' http://{}/{path} {flags}",
            self.address
        ));
        let (body, status) = said.rsplit_once('\n').unwrap();
        (status.to_owned(), serde_json::from_str(body).unwrap_or_default())
    }

    /// Waits until a function answers with this value of this field.
    pub(crate) fn answers(&self, name: &str, field: &str, value: &str) -> serde_json::Value {
        until(&format!("{name} to answer {field} {value}"), || {
            let (status, answer) = self.call(name);
            (status == "200" && answer["output"][field] == value).then(|| answer["output"].clone())
        })
    }

    /// The account of all functions, for the message of a failed test.
    fn statuses(&self) -> String {
        shell(&format!("curl -s -m 5 http://{}/v1/functions", self.address))
    }

    /// Sends a signal and waits for the end.
    pub(crate) fn end(mut self, signal: &str) -> ExitStatus {
        shell(&format!("kill -{signal} {}", self.pid()));
        until("the end", || self.process.try_wait().unwrap())
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.said.extend(self.lines.try_iter());
            eprintln!("it said:\n{}\nand its functions are: {}", self.all(), self.statuses());
        }
        if matches!(self.process.try_wait(), Ok(None)) {
            shell(&format!("kill -TERM {}", self.pid()));
            // Its end is some test's business; here nothing may be left behind.
            let _ = self.process.wait();
        }
    }
}

/// Runs a line as somebody would who pasted it.
pub(crate) fn shell(line: &str) -> String {
    let output = Command::new("sh").args(["-c", line]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}
