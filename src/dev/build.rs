//! One run of `local.build`.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::rc::Rc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Command;

use super::terminal::{command_line, say};
use crate::backend::exit::{Exit, describe};
use crate::backend::local::children::{Children, Started};
use crate::backend::local::process::resolve;
use crate::backend::output::{Lines, Stream, Tail, Writer, follow};
use crate::clock::Clock;

/// Lines of a failed build that are shown, the last ones.
const SHOWN_LINES_MAX: usize = 200;
/// How often a build that goes on says so.
const STILL: Duration = Duration::from_secs(10);
/// How long what a command wrote last may take to arrive. Something it left running in the
/// background may hold its output open for ever.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Why a build failed.
#[derive(Debug)]
pub struct Failure {
    /// The command, as one would type it.
    pub command: String,
    /// How it ended.
    pub how: String,
    /// The last of what it wrote.
    pub output: String,
}

/// Runs the commands that build a function in its folder, in order, with our own environment.
/// Dropped early, it kills what runs.
///
/// # Errors
/// The first command that cannot be started, or does not exit with status 0.
pub async fn build(
    name: String,
    commands: Vec<Vec<String>>,
    directory: PathBuf,
    children: Rc<Children>,
) -> Result<(), Failure> {
    let clock = Clock::start();
    for command in &commands {
        say(&format!("building {name}: {} …", command_line(command)));
        run(&name, command, &directory, clock, &children).await?;
    }
    say(&format!("built {name} in {:.1} s", seconds(clock)));
    Ok(())
}

async fn run(
    name: &str,
    command: &[String],
    directory: &Path,
    clock: Clock,
    children: &Rc<Children>,
) -> Result<(), Failure> {
    let written = Rc::new(RefCell::new(VecDeque::new()));
    let failure = |how: String| Failure {
        command: command_line(command),
        how,
        output: written.borrow().iter().cloned().collect::<Vec<String>>().join("\n"),
    };
    let Some((program, arguments)) = command.split_first() else {
        return Err(failure("the command is empty".to_owned()));
    };
    let mut child = Command::new(resolve(program, directory))
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|error| failure(format!("could not be started: {error}")))?;
    let started = children.started(child.id());
    let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let group = Group { group, started: Some(started) };
    let keep = written.clone();
    let lines = Lines::to(move |line| {
        let mut written = keep.borrow_mut();
        if written.len() == SHOWN_LINES_MAX {
            written.pop_front();
        }
        written.push_back(line.text.to_owned());
    });
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let read = async {
        let writer = Writer {
            function: name.into(),
            instance: "build".into(),
            stream: Stream::Stdout,
            execution: None,
        };
        let tail = Tail::default;
        let out = async {
            if let Some(stdout) = stdout {
                follow(stdout, writer.clone(), tail(), lines.clone()).await;
            }
        };
        let err = async {
            if let Some(stderr) = stderr {
                let writer = Writer { stream: Stream::Stderr, ..writer.clone() };
                follow(stderr, writer, tail(), lines.clone()).await;
            }
        };
        tokio::join!(out, err);
    };
    tokio::pin!(read);
    let status = {
        let ended = async {
            let mut all_read = false;
            loop {
                tokio::select! {
                    status = child.wait() => break (status, all_read),
                    () = &mut read, if !all_read => all_read = true,
                }
            }
        };
        let (status, all_read) = tokio::select! {
            ended = ended => ended,
            never = go_on_saying(name, &written, clock) => match never {},
        };
        if !all_read {
            // What comes later than that is not waited for.
            let _ = tokio::time::timeout(LAST_WORDS, read).await;
        }
        status
    };
    match status {
        Ok(status) => {
            group.ended();
            if status.success() { Ok(()) } else { Err(failure(describe(Exit::from(status)))) }
        }
        Err(error) => Err(failure(format!("cannot be waited for: {error}"))),
    }
}

/// Tells now and then that a build goes on, and what it wrote last.
async fn go_on_saying(name: &str, written: &RefCell<VecDeque<String>>, clock: Clock) -> Infallible {
    loop {
        tokio::time::sleep(STILL).await;
        let last = written.borrow().back().cloned().unwrap_or_default();
        say(&format!("building {name}: {:.0} s so far; {}", seconds(clock), last.trim()));
    }
}

fn seconds(clock: Clock) -> f64 {
    Duration::from_nanos(clock.now()).as_secs_f64()
}

/// The process group of a command, which is killed when this is dropped.
struct Group {
    group: Option<Pid>,
    started: Option<Started>,
}

impl Group {
    /// Its command has ended by itself. What it left in the background, such as a compiler's
    /// server, is meant to stay.
    fn ended(mut self) {
        self.group = None;
        if let Some(started) = self.started.take() {
            started.reaped();
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            // It fails when the group is empty, which is what is wanted.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}
