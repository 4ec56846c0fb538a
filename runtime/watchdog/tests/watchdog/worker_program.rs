//! Workers in Python: what all of them need, and a watchdog that runs one.

use crate::control_plane::ControlPlane;
use crate::instance::{Instance, Process};

/// Frames by hand: `read()` gives the next sequence number and request, which is `None` where
/// it shall stop, `say(…)` writes a frame, `log(…)` a line; `until_read()` waits until
/// what it wrote for the log was read. The process ends with its input.
const FRAMES: &str = r#"
import json, os, signal, struct, sys, time
PID = os.getpid()
buffer = b""
def take(count):
    global buffer
    while len(buffer) < count:
        more = os.read(0, 1 << 20)
        if not more: sys.exit(0)
        buffer += more
    taken, buffer = buffer[:count], buffer[count:]
    return taken
def read():
    length, sequence = struct.unpack(">II", take(8))
    return sequence, json.loads(take(length)) if length else None
def put(data):
    while data: data = data[os.write(1, data):]
def say(sequence, value):
    data = json.dumps(value).encode()
    put(struct.pack(">II", len(data), sequence) + data)
def log(text): os.write(2, (str(text) + "\n").encode())
def until_read():
    import fcntl, termios
    while struct.unpack("i", fcntl.ioctl(2, termios.FIONREAD, bytes(4)))[0]: time.sleep(0.001)
def wait(path, most=1 << 10):
    fifo = os.open(path, os.O_RDWR)
    try: return os.read(fifo, most).decode()
    finally: os.close(fifo)
"#;

/// Says that it is ready and then does this with each `sequence`, `request` and its `input`.
const EACH: &str = r#"
say(0, {"ready": True})
while True:
    sequence, request = read()
    input = request["input"]
"#;

/// The command of a worker with a script of its own.
pub(crate) fn script(script: &str) -> String {
    serde_json::to_string(&["python3", "-c", &format!("{FRAMES}{script}")]).unwrap()
}

/// The command of a worker that does this with each request; its lines are indented by four.
pub(crate) fn each(lines: &str) -> String {
    let lines: String = lines.trim().lines().map(|line| format!("    {line}\n")).collect();
    script(&format!("{EACH}{lines}"))
}

/// A watchdog that serves this command as a worker.
pub(crate) fn instance(command: &str) -> Instance {
    instance_with(command, &[])
}

/// The same with more of an environment.
pub(crate) fn instance_with(command: &str, more: &[(&str, &str)]) -> Instance {
    Instance::running("worker", command, more)
}

/// The same as a JOB.
pub(crate) fn job(control_plane: &ControlPlane, command: &str, more: &[(&str, &str)]) -> Process {
    Process::job(control_plane, &[&[("WATCHDOG_MODE", "worker"), ("WATCHDOG_CMD", command)], more].concat())
}

/// A folder with a fifo in it, and the fifo's path.
pub(crate) fn fifo() -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let fifo = directory.path().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let path = fifo.to_str().unwrap().to_owned();
    (directory, path)
}
