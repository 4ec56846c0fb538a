//! Leaves behind what an invocation can leave behind, and tells what it finds of others before it.

use std::convert::Infallible;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde::Serialize;

/// Name of the threads that are left, and of the variable of the processes.
const MARK: &str = "RESIDUE";

/// Traces of earlier invocations.
#[derive(Serialize)]
pub(super) struct Found {
    /// Invocations that this process had.
    memory: u32,
    /// Threads that they left.
    threads: usize,
    /// Processes that they left.
    processes: usize,
    /// Whether one changed the working directory.
    directory: bool,
    /// Whether one left a file in the folder for temporary ones.
    file: bool,
}

pub(super) async fn residue(input: serde_json::Value) -> Result<Found, Infallible> {
    static MEMORY: AtomicU32 = AtomicU32::new(0);
    // By the test, so that those of other tests do not count.
    let mark = format!("{MARK}={input}");
    let file = folder().join(mark.replace(['/', '"'], "-"));
    let found = Found {
        memory: MEMORY.fetch_add(1, Ordering::Relaxed),
        threads: threads(),
        processes: processes(&mark),
        directory: std::env::current_dir().is_ok_and(|current| current == folder()),
        file: file.exists(),
    };
    leave(&input.to_string(), &file).expect("it can leave all of that");
    Ok(found)
}

/// A folder that may be written to: an image of nothing but this program has one alone.
fn folder() -> PathBuf {
    Some(std::env::temp_dir()).filter(|folder| folder.is_dir()).unwrap_or_else(|| "/dev/shm".into())
}

fn leave(mark: &str, file: &PathBuf) -> io::Result<()> {
    fs::write(file, "left")?;
    std::thread::Builder::new().name(MARK.to_owned()).spawn(std::thread::park)?;
    let loading = Command::new(std::env::current_exe()?)
        .env(MARK, mark)
        .env("CONTRACT_LOAD_MS", "600000")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    // Nobody waits for it: that is what it is for.
    drop(loading);
    std::env::set_current_dir(folder())
}

fn threads() -> usize {
    let names = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    names
        .filter(|task| fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name.trim() == MARK))
        .count()
}

fn processes(mark: &str) -> usize {
    let has_mark = |environment: Vec<u8>| {
        environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
    };
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    all.filter(|process| fs::read(process.path().join("environ")).is_ok_and(has_mark)).count()
}
