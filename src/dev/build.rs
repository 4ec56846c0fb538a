//! One run of `local.build`.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::rc::Rc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{ChildStderr, ChildStdout, Command};

use super::terminal::{command_line, say, set_in};
use crate::clock::Clock;
use crate::error::excerpt;
use crate::exit::{Exit, describe};
use crate::instances::local::children::{Children, Started};
use crate::instances::local::process::resolve;
use crate::logs::output::{Lines, OutputStream, OwnExecution, Writer, follow};
use crate::logs::tail::Tail;

/// Lines of a failed build that are shown, the last ones.
const SHOWN_LINES_MAX: usize = 200;
/// Period of reports of a build that goes on.
const STILL: Duration = Duration::from_secs(10);
/// Longest wait for the final output of a command. Something it left running in the
/// background may hold its output open for ever.
const FINAL_OUTPUT_WAIT: Duration = Duration::from_millis(500);

/// Lines of a build that succeeded which are shown, from its first warning on.
const WARNED_LINES_MAX: usize = 40;

/// A request to build a function.
#[derive(Debug)]
pub(crate) struct BuildRequest {
    /// The function's name.
    pub name: String,
    /// The folder in which its commands run.
    pub directory: PathBuf,
    /// Longest time that all of its commands may take together.
    pub limit: Duration,
}

/// A failed build.
#[derive(Debug)]
pub(crate) struct BuildError {
    /// The command, as one would type it.
    pub command: String,
    /// The way it ended.
    pub how: String,
    /// The last of what it wrote.
    pub output: String,
}

impl BuildError {
    /// The failure in one line, with the last line that was written.
    #[must_use]
    pub(crate) fn in_a_line(&self) -> String {
        let Self { command, how, output } = self;
        let last = output.lines().rev().map(str::trim).find(|line| !line.is_empty()).map(without_colours);
        let last = last.map_or_else(String::new, |line| format!(": {}", excerpt(&line)));
        format!("{command}: {how}{last}")
    }
}

/// Runs the commands that build a function in its folder, in order, with our own environment and
/// nothing to read. Dropped early, it kills what runs. Answers how long it took.
///
/// # Errors
/// The first command that cannot be started, does not exit with status 0, or is not over in time.
pub(crate) async fn build(
    request: &BuildRequest,
    commands: &[Vec<String>],
    children: &Rc<Children>,
) -> Result<Duration, BuildError> {
    let name = &request.name;
    let clock = Clock::start();
    for command in commands {
        say(&format!("building {name}: {} …", command_line(command)));
        let written = run(request, command, clock, children).await?;
        if let Some(warnings) = warnings(&written) {
            say(&format!("{name}: a warning of its build: {}\n{}", command_line(command), set_in(&warnings)));
        }
    }
    Ok(elapsed(clock))
}

/// Answers what the command wrote last.
async fn run(
    request: &BuildRequest,
    command: &[String],
    clock: Clock,
    children: &Rc<Children>,
) -> Result<Vec<String>, BuildError> {
    let BuildRequest { name, directory, limit } = request;
    let written = Rc::new(RefCell::new(VecDeque::new()));
    let failure = |how: String| BuildError {
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
        .map_err(|error| failure(not_started(program, &error)))?;
    let started = children.started(child.id());
    let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let group = Group { group, started: Some(started) };
    let read = read_output(name, child.stdout.take(), child.stderr.take(), last_lines(&written));
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
            () = tokio::time::sleep(limit.saturating_sub(elapsed(clock))) => {
                return Err(failure(format!(
                    "the build was not over after {} s and was killed; --build-timeout SECONDS gives builds longer",
                    limit.as_secs()
                )));
            }
        };
        if !all_read {
            // Output that comes later than that is not waited for.
            let _ = tokio::time::timeout(FINAL_OUTPUT_WAIT, read).await;
        }
        status
    };
    match status {
        Ok(status) => {
            group.ended();
            if status.success() {
                Ok(written.take().into())
            } else {
                Err(failure(describe(Exit::from(status))))
            }
        }
        Err(error) => Err(failure(format!("cannot be waited for: {error}"))),
    }
}

/// A sink that keeps the last lines of a build.
fn last_lines(written: &Rc<RefCell<VecDeque<String>>>) -> Lines {
    let written = written.clone();
    Lines::to(move |line| {
        let mut written = written.borrow_mut();
        if written.len() == SHOWN_LINES_MAX {
            written.pop_front();
        }
        written.push_back(line.text.to_owned());
    })
}

/// Reads both outputs of a command until their ends.
async fn read_output(name: &str, stdout: Option<ChildStdout>, stderr: Option<ChildStderr>, lines: Lines) {
    let writer = |stream| Writer {
        function: name.into(),
        instance: "build".into(),
        stream,
        execution: OwnExecution::default(),
    };
    let out = async {
        if let Some(stdout) = stdout {
            follow(stdout, writer(OutputStream::Stdout), Tail::default(), lines.clone()).await;
        }
    };
    let err = async {
        if let Some(stderr) = stderr {
            follow(stderr, writer(OutputStream::Stderr), Tail::default(), lines.clone()).await;
        }
    };
    tokio::join!(out, err);
}

/// Tells now and then that a build goes on, and what it wrote last.
async fn go_on_saying(name: &str, written: &RefCell<VecDeque<String>>, clock: Clock) -> Infallible {
    loop {
        tokio::time::sleep(STILL).await;
        let last = written.borrow().back().cloned().unwrap_or_default();
        say(&so_far(name, seconds(clock), last.trim()));
    }
}

/// The line that says how long a build has taken, and what it wrote last.
fn so_far(name: &str, seconds: f64, last: &str) -> String {
    let separator = if last.is_empty() { "" } else { "; " };
    format!("building {name}: {seconds:.0} s so far{separator}{last}")
}

/// Why a command of a build could not be started, and what to do.
fn not_started(program: &str, error: &io::Error) -> String {
    let is_path = program.contains('/');
    if !is_path && error.kind() == io::ErrorKind::NotFound {
        return format!(
            "could not be started: `{program}` is in no folder of PATH: install it, or start picofaas with its folder in PATH"
        );
    }
    if is_path && error.kind() == io::ErrorKind::PermissionDenied {
        return format!("could not be started: {error}; make it executable: chmod +x {program}");
    }
    format!("could not be started: {error}")
}

/// The lines from the first that warns on.
fn warnings(written: &[String]) -> Option<String> {
    let warns = |line: &String| {
        let plain = without_colours(line);
        let word = plain.trim_start_matches([' ', '[']).get(..7);
        word.is_some_and(|word| word.eq_ignore_ascii_case("warning"))
    };
    let lines = &written[written.iter().position(warns)?..];
    let shown = lines.iter().take(WARNED_LINES_MAX).map(String::as_str);
    let more = lines.len().saturating_sub(WARNED_LINES_MAX);
    let more = (more > 0).then(|| format!("… and {more} lines more"));
    Some(shown.chain(more.as_deref()).collect::<Vec<_>>().join("\n"))
}

/// A line without the escape sequences by which tools colour it.
fn without_colours(line: &str) -> String {
    let mut parts = line.split("\u{1b}[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push_str(
            part.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').get(1..).unwrap_or(""),
        );
    }
    plain
}

fn elapsed(clock: Clock) -> Duration {
    Duration::from_nanos(clock.now())
}

fn seconds(clock: Clock) -> f64 {
    elapsed(clock).as_secs_f64()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_build_that_warns_is_shown_from_its_first_warning_on() {
        let quiet = "Compiling x\nno warnings\nDone";
        assert_eq!(warnings(&lines(quiet)), None);
        for warning in [
            "warning: unused `x`",
            "warning no archive",
            "[WARNING] old",
            "\u{1b}[0m\u{1b}[33mWARNING: é\u{1b}[0m",
        ] {
            let written = lines(&format!("Compiling x\n{warning}\n  --> here\nDone"));
            assert_eq!(warnings(&written).unwrap(), format!("{warning}\n  --> here\nDone"));
        }
        let long = warnings(&lines(&"warning: again\n".repeat(WARNED_LINES_MAX + 7))).unwrap();
        assert!(long.ends_with("again\n… and 7 lines more"), "{long}");
    }
    #[test]
    fn a_build_that_wrote_nothing_has_no_last_line() {
        assert_eq!(so_far("greet", 10.2, "Compiling x"), "building greet: 10 s so far; Compiling x");
        assert_eq!(so_far("greet", 10.2, ""), "building greet: 10 s so far");
    }

    #[test]
    fn a_program_that_is_not_there_is_to_be_installed() {
        let absent = io::Error::from_raw_os_error(2);
        let told = not_started("cargo", &absent);
        assert!(
            told.ends_with(
                "`cargo` is in no folder of PATH: install it, or start picofaas with its folder in PATH"
            ),
            "{told}"
        );
        assert!(not_started("./prepare.sh", &absent).ends_with("No such file or directory (os error 2)"));
        let told = not_started("./prepare.sh", &io::Error::from_raw_os_error(13));
        assert!(told.ends_with("; make it executable: chmod +x ./prepare.sh"), "{told}");
    }
}
