//! Programs over the limit of memory that they share with the watchdog, in a group that the test makes.

use std::fs;
use std::path::{Path, PathBuf};

use picofaas_child::cgroup::{CgroupVersion, Controller, hierarchies};
use picofaas_contract::patience::until;
use rustix::process::Signal;
use serde_json::json;

use crate::control_plane::{ControlPlane, TAKEN};
use crate::http_server::python;
use crate::instance::{Instance, Process, shell};
use crate::wire::invocation;
use crate::worker_program::each;

/// Bytes that the watchdog and its program may have together.
const LIMIT_BYTES: u64 = 64 << 20;
/// Takes more, piece by piece.
const TAKE: &str = "\ntaken = []\nwhile True: taken.append(bytearray(b'x' * (1 << 20)))";
const SAID: &str = "it went over its memory limit of 64 MiB (resources.limits.memory)";

/// A group of version 1, which the kernel does not kill as a whole, as it does where picofaas or kubelet make
/// one of version 2; so it is for the watchdog to say.
struct Group {
    folder: PathBuf,
    /// Its parent, from which it takes processes.
    parent: PathBuf,
}

impl Group {
    /// Makes one. `None` where this machine does not let us.
    fn make() -> Option<Self> {
        let read = |file: &str| fs::read_to_string(file).unwrap();
        let found = hierarchies(&read("/proc/self/cgroup"), &read("/proc/self/mountinfo"));
        let parent = found
            .into_iter()
            .find(|one| one.version == CgroupVersion::One && one.controllers.contains(&Controller::Memory))?;
        let made = tempfile::Builder::new().prefix("watchdog-").tempdir_in(&parent.own).ok()?;
        let group = Self { folder: made.keep(), parent: parent.own };
        fs::write(group.folder.join("memory.limit_in_bytes"), LIMIT_BYTES.to_string()).ok()?;
        // Where swap is not counted, the file is not there.
        let _ = fs::write(group.folder.join("memory.memsw.limit_in_bytes"), LIMIT_BYTES.to_string());
        Some(group)
    }

    /// Starts something as a member: in version 1 a thread can be one alone, and so is what it starts.
    fn start<T>(&self, start: impl FnOnce() -> T) -> T {
        enter(&self.folder);
        let started = start();
        enter(&self.parent);
        started
    }
}

/// Makes this thread a member of a group.
fn enter(group: &Path) {
    fs::write(group.join("tasks"), "0").unwrap();
}

impl Drop for Group {
    fn drop(&mut self) {
        // It fails while its last process is ending.
        if !std::thread::panicking() {
            until(|| format!("{} has members", self.folder.display()), || fs::remove_dir(&self.folder).ok());
        }
    }
}

/// A server that takes memory itself where it is posted `"take"`, and in a child of its own for `"fork"`.
fn greedy_server() -> String {
    python(&format!(
        r#"
import os, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        told = self.rfile.read(int(self.headers["Content-Length"]))
        if told == b'"take"' or told == b'"fork"' and os.fork() == 0:
            exec({TAKE:?})
        if told == b'"fork"':
            os.wait()
            self.close_connection = True
            return
        self.send_response(200)
        self.send_header("Content-Length", "1")
        self.end_headers()
        self.wfile.write(b"1")
    def log_message(self, *arguments): pass
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()"#
    ))
}

#[test]
fn a_program_over_the_limit_of_memory_is_told_so_in_every_mode_and_the_next_request_is_served() {
    let take = format!("python3 -c \"{TAKE}\"");
    let worker = each(&format!("if input != 'ok': exec({TAKE:?})\nsay(sequence, {{'output': 1}})"));
    for (mode, command, input, who) in [
        (
            "stdio",
            shell(&format!("read -r input; test $input = '\"ok\"' && echo 1 && exit; exec {take}")),
            "take",
            "the program",
        ),
        // As a shell tells of a child that was killed.
        (
            "stdio",
            shell(&format!("read -r input; test $input = '\"ok\"' && echo 1 && exit; {take}; exit $?")),
            "take",
            "the program",
        ),
        ("worker", worker, "take", "the worker"),
        ("http", greedy_server(), "take", "the server"),
        ("http", greedy_server(), "fork", "a process of the server"),
    ] {
        let Some(group) = Group::make() else {
            println!("not looked at: no cgroup of version 1 can be made here");
            return;
        };
        let instance = group.start(|| Instance::running(mode, &command, &[]));
        for _ in 0..2 {
            let answer = instance.connect().invoke("", &json!({"input": input}).to_string());
            assert_eq!(answer.failure(), (500, "OUT_OF_MEMORY".to_owned()), "{mode}: {}", answer.message());
            assert!(
                answer.message().starts_with(&format!("{who} was killed: {SAID}")),
                "{}",
                answer.message()
            );
            assert_eq!(instance.connect().invoke("", r#"{"input":"ok"}"#).text(), "1", "{mode}");
        }
    }
}

/// A server whose requests are taken by a process of its own, and by another after that one's end. The process takes
/// memory when it has eight requests at once, as `"take"`.
fn prefork_server() -> String {
    python(&format!(
        r#"
import os, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
every = threading.Barrier(8)
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        if self.rfile.read(int(self.headers["Content-Length"])) == b'"take"':
            every.wait()
            exec({TAKE:?})
        self.send_response(200)
        self.send_header("Content-Length", "1")
        self.end_headers()
        self.wfile.write(b"1")
    def log_message(self, *arguments): pass
server = ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler)
while os.fork(): os.wait()
server.serve_forever()"#
    ))
}

#[test]
fn all_requests_of_a_process_of_the_server_are_told_that_it_was_over_the_limit_of_memory() {
    let Some(group) = Group::make() else { return };
    let instance = group.start(|| Instance::running("http", &prefork_server(), &[]));
    for _ in 0..2 {
        let mut asked: Vec<_> = (0..8).map(|_| instance.connect()).collect();
        for one in &mut asked {
            one.send(invocation("", r#"{"input":"take"}"#));
        }
        for one in &mut asked {
            let answer = one.receive();
            assert_eq!(answer.failure(), (500, "OUT_OF_MEMORY".to_owned()), "{}", answer.message());
        }
        assert_eq!(instance.connect().invoke("", r#"{"input":"ok"}"#).text(), "1");
    }
    // A watchdog that is killed would leave the process of the server behind.
    instance.signal(Signal::TERM);
    assert_eq!(instance.end().0, 0);
}

#[test]
fn a_kill_that_is_not_for_memory_is_not_called_so() {
    let Some(group) = Group::make() else { return };
    let instance = group.start(|| Instance::of("stdio", "kill -9 $$"));
    let answer = instance.connect().invoke("", r#"{"input":1}"#);
    assert_eq!(answer.failure(), (500, "HANDLER_ERROR".to_owned()));
    assert_eq!(answer.message(), "the program was killed by SIGKILL");
}

#[test]
fn a_job_over_the_limit_of_memory_posts_that_it_was_also_where_it_had_not_begun() {
    let take = format!("python3 -c \"{TAKE}\"");
    for (mode, command) in [("stdio", shell(&take)), ("worker", shell(&take)), ("http", python(TAKE))] {
        let Some(group) = Group::make() else { return };
        let control_plane = ControlPlane::open();
        let variables = [("WATCHDOG_MODE", mode), ("WATCHDOG_CMD", command.as_str())];
        let job = group.start(|| Process::job(&control_plane, &variables));
        let mut caller = control_plane.hand_out("", r#"{"input":1}"#);
        let completion = caller.request().json();
        caller.answer(TAKEN);
        assert_eq!(completion["error"]["code"], "OUT_OF_MEMORY", "{mode}: {completion}");
        assert_eq!(job.end().0, 0);
    }
}
