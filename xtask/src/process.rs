//! A child process that does not outlive this one.

use std::io::Write as _;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::wait;

/// From SIGTERM to SIGKILL.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// Runs beside each process, holds the other end of a pipe, and ends the process when that pipe closes
/// without the word `reaped`: also when we are interrupted or killed and no destructor of ours runs.
const WATCHER: &str = r#"
trap '' INT TERM HUP
read -r word
[ "$word" = reaped ] && exit 0
kill -TERM "$1" 2>/dev/null || exit 0
tries=0
while kill -0 "$1" 2>/dev/null && [ "$tries" -lt 30 ]; do
  sleep 0.1
  tries=$((tries + 1))
done
kill -KILL "$1" 2>/dev/null
"#;

/// A running child. Dropping it ends it by its id: SIGTERM first, SIGKILL when that is not enough.
pub(crate) struct Process {
    name: String,
    child: Child,
    watcher: Child,
    watcher_input: ChildStdin,
    ended: bool,
}

impl Process {
    /// Starts `command`, which `name` calls in messages. Its standard input is empty.
    pub(crate) fn start(name: &str, command: &mut Command) -> Result<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {name} ({program})"))?;
        match watch(child.id()) {
            Ok((watcher, watcher_input)) => {
                Ok(Self { name: name.to_owned(), child, watcher, watcher_input, ended: false })
            }
            Err(error) => {
                child.kill().with_context(|| format!("cannot end {name}"))?;
                child.wait().with_context(|| format!("cannot wait for {name}"))?;
                Err(error)
            }
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The pipe to its standard output, where the command asked for one. Gives it once.
    pub(crate) fn stdout(&mut self) -> Result<ChildStdout> {
        match self.child.stdout.take() {
            Some(stdout) => Ok(stdout),
            None => bail!("the output of {} is not piped", self.name),
        }
    }

    /// Fails when the process is not there any more.
    pub(crate) fn check_alive(&mut self) -> Result<()> {
        match self.child.try_wait().with_context(|| format!("cannot look after {}", self.name))? {
            Some(status) => bail!("{} ended by itself: {status}", self.name),
            None => Ok(()),
        }
    }

    /// Waits until it ends by itself.
    pub(crate) fn wait(mut self) -> Result<ExitStatus> {
        let status = self.child.wait().with_context(|| format!("cannot wait for {}", self.name))?;
        self.dismiss_watcher()?;
        Ok(status)
    }

    /// Ends it.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        let name = &self.name;
        let child = &mut self.child;
        if child.try_wait()?.is_none() {
            terminate(child.id())?;
            if wait::until(STOP_PATIENCE, || Ok(child.try_wait()?))?.is_none() {
                eprintln!(
                    "warning: {name} is still there {} s after SIGTERM: killed",
                    STOP_PATIENCE.as_secs()
                );
                child.kill().with_context(|| format!("cannot kill {name}"))?;
                child.wait().with_context(|| format!("cannot wait for {name}"))?;
            }
        }
        self.dismiss_watcher()
    }

    fn dismiss_watcher(&mut self) -> Result<()> {
        self.ended = true;
        self.watcher_input.write_all(b"reaped\n").context("cannot tell the watcher")?;
        self.watcher.wait().context("cannot wait for the watcher")?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.ended
            && let Err(error) = self.end()
        {
            eprintln!("warning: {} (process {}) may still run: {error:#}", self.name, self.child.id());
        }
    }
}

fn watch(id: u32) -> Result<(Child, ChildStdin)> {
    let mut watcher = Command::new("sh")
        .args(["-c", WATCHER, "watcher", &id.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start sh")?;
    match watcher.stdin.take() {
        Some(input) => Ok((watcher, input)),
        None => bail!("the watcher has no pipe"),
    }
}

/// By the shell's own `kill`: the program of that name is not on every machine.
fn terminate(id: u32) -> Result<()> {
    let status = Command::new("sh")
        .args(["-c", "kill -TERM \"$1\"", "terminate", &id.to_string()])
        .status()
        .context("cannot run sh")?;
    if status.success() { Ok(()) } else { bail!("cannot send SIGTERM to process {id}: {status}") }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::path::Path;

    use super::*;

    fn is_there(id: u32) -> bool {
        Path::new(&format!("/proc/{id}")).exists()
    }

    #[test]
    fn a_dropped_process_is_gone() {
        let process = Process::start("sleeper", Command::new("sleep").arg("600")).unwrap();
        let id = process.id();
        assert!(is_there(id));
        drop(process);
        assert!(!is_there(id));
    }

    #[test]
    fn a_process_that_ended_is_noticed() {
        let mut process = Process::start("quitter", Command::new("sh").args(["-c", "exit 3"])).unwrap();
        let noticed = wait::until(STOP_PATIENCE, || Ok(process.check_alive().err())).unwrap().unwrap();
        assert!(noticed.to_string().contains("quitter ended by itself"), "{noticed}");
    }

    #[test]
    fn the_watcher_ends_a_process_whose_owner_vanished() {
        let mut command = Command::new("sleep");
        let mut orphan = command.arg("600").stdout(Stdio::piped()).spawn().unwrap();
        let (mut watcher, pipe) = watch(orphan.id()).unwrap();
        // The kernel does this with our end of the pipe when we are killed.
        drop(pipe);
        let mut output = String::new();
        orphan.stdout.take().unwrap().read_to_string(&mut output).unwrap();
        assert!(!orphan.wait().unwrap().success());
        watcher.wait().unwrap();
    }
}
