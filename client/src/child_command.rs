//! A program that is run to its end, such as a compiler: its last lines are told where it fails.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus as ProcessStatus, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, kill_process_group, test_kill_process_group, waitpid};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::time::timeout;

use crate::client_error::ClientError;
use crate::exit_status::ExitStatus;
use crate::output;
use crate::printable::printable;
use crate::progress::while_waiting;
use crate::shell_word::quoted_if_needed;

/// Lines of a failed program that are shown, the last ones.
const LINES_MAX: usize = 60;

/// Bytes of a line that is kept; a longer one is kept in pieces.
const LINE_BYTES_MAX: usize = 4096;

/// Longest wait for the rest of the output. Something left in the background, such as a compiler's server, may
/// hold it open for ever.
const REST_MAX: Duration = Duration::from_millis(500);

/// Longest time that a program has to end once it was told to.
const END_MAX: Duration = Duration::from_secs(5);

/// Pause between two looks whether it has ended.
const END_LOOK: Duration = Duration::from_millis(20);

/// A program and its arguments. It has nothing to read, and ends with this program.
#[derive(Clone, Debug)]
pub(crate) struct ChildCommand {
    program: PathBuf,
    arguments: Vec<OsString>,
    folder: Option<PathBuf>,
    /// Its lines go to standard error as they come.
    is_shown: bool,
    /// How the command ends that needed it.
    blame: ExitStatus,
}

/// The last lines that were written.
#[derive(Debug, Default)]
struct Written {
    /// Each goes to standard error, too.
    is_shown: bool,
    all: VecDeque<String>,
    stdout: VecDeque<String>,
}

impl ChildCommand {
    /// A program, whose failure says that something around the function is not as it should be.
    pub(crate) fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            folder: None,
            is_shown: false,
            blame: ExitStatus::Unavailable,
        }
    }

    /// With another argument.
    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// With further arguments.
    pub(crate) fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// In a folder.
    pub(crate) fn within(self, folder: &Path) -> Self {
        Self { folder: Some(folder.to_owned()), ..self }
    }

    /// With what it writes shown as it comes.
    pub(crate) fn shown_if(self, is_shown: bool) -> Self {
        Self { is_shown, ..self }
    }

    /// With a failure that is the function's own.
    pub(crate) fn of_function(self) -> Self {
        Self { blame: ExitStatus::FunctionFailed, ..self }
    }

    /// The command as a person would type it.
    pub(crate) fn shown(&self) -> String {
        let words = std::iter::once(self.program.as_os_str()).chain(self.arguments.iter().map(AsRef::as_ref));
        let line = words.map(|word| quoted_if_needed(&word.to_string_lossy())).collect::<Vec<_>>().join(" ");
        printable(&line).into_owned()
    }

    /// Runs it, and answers the last lines of its standard output. Dropped early, it ends all that was started.
    ///
    /// # Errors
    /// It cannot be started, or does not exit with status 0: with the last lines that it wrote, unless they were shown.
    pub(crate) async fn run(&self, what: &str) -> Result<String, ClientError> {
        let written = RefCell::new(Written { is_shown: self.is_shown, ..Written::default() });
        let end = self.end(&written);
        // The line that says how long it has been would be drawn over its own.
        let ended = if self.is_shown { end.await } else { while_waiting(what, end).await };
        let how = match ended {
            Ok(status) if status.success() => {
                return Ok(joined(&written.into_inner().stdout));
            }
            Ok(status) => status.to_string(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                match self.folder.as_ref().filter(|folder| !folder.is_dir()) {
                    Some(folder) => format!("could not be started: there is no folder {}", folder.display()),
                    None => "could not be started: there is no such program".to_owned(),
                }
            }
            Err(error) => format!("could not be started: {error}"),
        };
        Err(ClientError::Program {
            command: self.shown(),
            how,
            output: if self.is_shown { String::new() } else { joined(&written.into_inner().all) },
            status: self.blame,
        })
    }

    async fn end(&self, written: &RefCell<Written>) -> std::io::Result<ProcessStatus> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        let mut child = command.process_group(0).spawn()?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let mut group = Group(group);
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let read = async {
            tokio::join!(read_lines(stdout, written, true), read_lines(stderr, written, false));
        };
        let mut read = std::pin::pin!(read);
        let mut is_read = false;
        let status = loop {
            tokio::select! {
                status = child.wait() => break status?,
                () = &mut read, if !is_read => is_read = true,
            }
        };
        // It has ended by itself, so what it left in the background is meant to stay.
        group.0 = None;
        if !is_read {
            // Output that comes later than that is not waited for.
            let _ = timeout(REST_MAX, read).await;
        }
        Ok(status)
    }
}

async fn read_lines(pipe: Option<impl AsyncRead + Unpin>, written: &RefCell<Written>, is_stdout: bool) {
    let Some(mut pipe) = pipe else { return };
    let (mut pending, mut piece) = (Vec::new(), [0; 4096]);
    // A pipe that cannot be read any more has ended.
    while let Ok(read @ 1..) = pipe.read(&mut piece).await {
        for &byte in &piece[..read] {
            // Progress is often drawn over the same line.
            if byte == b'\n' || byte == b'\r' || pending.len() == LINE_BYTES_MAX {
                written.borrow_mut().line(&mut pending, is_stdout);
            }
            if byte != b'\n' && byte != b'\r' {
                pending.push(byte);
            }
        }
    }
    written.borrow_mut().line(&mut pending, is_stdout);
}

impl Written {
    fn line(&mut self, bytes: &mut Vec<u8>, is_stdout: bool) {
        let line = String::from_utf8_lossy(bytes).into_owned();
        bytes.clear();
        if line.is_empty() {
            return;
        }
        if self.is_shown {
            output::say(&printable(&line));
        }
        let of_stdout = is_stdout.then(|| (&mut self.stdout, line.clone()));
        for (lines, line) in std::iter::once((&mut self.all, line)).chain(of_stdout) {
            if lines.len() == LINES_MAX {
                lines.pop_front();
            }
            lines.push_back(line);
        }
    }
}

fn joined(lines: &VecDeque<String>) -> String {
    lines.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
}

/// The process group of a child, which is ended when this is dropped: told to, and killed after [`END_MAX`].
struct Group(Option<Pid>);

impl Group {
    /// Whether nothing of a group is left. The child that leads it counts until it was waited for.
    fn is_gone(group: Pid) -> bool {
        // It fails where somebody else has waited for it.
        let _ = waitpid(Some(group), WaitOptions::NOHANG);
        test_kill_process_group(group).is_err()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let Some(group) = self.0 else { return };
        // Both fail when the group is empty, which is what is wanted.
        let _ = kill_process_group(group, Signal::TERM);
        let looks = END_MAX.as_millis() / END_LOOK.as_millis();
        for _ in 0..looks {
            if Self::is_gone(group) {
                return;
            }
            thread::park_timeout(END_LOOK);
        }
        let _ = kill_process_group(group, Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(script: &str) -> Result<String, ClientError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(ChildCommand::new("sh").args(["-c", script]).run("running"))
    }

    #[test]
    fn the_output_is_that_of_a_success_and_a_failure_has_the_last_lines_of_both() {
        assert_eq!(run("echo one; echo two >&2; printf three").unwrap(), "one\nthree");
        let failed = run("seq 1 100; echo why >&2; exit 3").unwrap_err().to_string();
        assert!(failed.starts_with("sh -c 'seq 1 100; echo why >&2; exit 3': exit status: 3\n"), "{failed}");
        let lines: Vec<&str> = failed.lines().skip(1).map(str::trim).collect();
        assert_eq!(lines.len(), LINES_MAX, "{failed}");
        assert!(lines.contains(&"why") && lines.contains(&"100") && !lines.contains(&"7"), "{failed}");
    }

    #[test]
    fn a_command_is_shown_without_control_characters_that_a_manifest_may_have() {
        let shown = ChildCommand::new("rm").args(["-rf", "x\u{1b}[2K\u{1b}[1Gmake"]).shown();
        assert_eq!(shown, "rm -rf 'x\\u{1b}[2K\\u{1b}[1Gmake'");
    }

    #[test]
    fn a_program_that_there_is_not_is_told_and_one_that_leaves_something_behind_is_not_waited_for() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let missing = runtime.block_on(ChildCommand::new("no-such-program").run("")).unwrap_err();
        assert_eq!(missing.to_string(), "no-such-program: could not be started: there is no such program");
        let command = ChildCommand::new("true").within(Path::new("/no/such/folder"));
        let missing = runtime.block_on(command.run("")).unwrap_err();
        assert_eq!(missing.to_string(), "true: could not be started: there is no folder /no/such/folder");
        assert_eq!(run("sleep 60 & echo done").unwrap(), "done");
    }
}
