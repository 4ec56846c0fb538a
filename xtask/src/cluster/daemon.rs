//! One daemon: a process in a session of its own that goes on when the chore ends, known by its number and its beginning.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, WaitOptions, waitpid};

use super::layout::Layout;
use super::processes;

/// Of the log, when it failed.
const LOG_LINES: usize = 12;

/// How a daemon is started.
pub(super) struct Daemon {
    pub name: &'static str,
    pub program: PathBuf,
    pub arguments: Vec<String>,
    pub environment: Vec<(&'static str, String)>,
}

impl Daemon {
    /// Starts it beside us. Its environment is ours no more than `PATH`, and carries the mark of the
    /// cluster, by which it and what it starts are found again.
    pub(super) fn start(&self, layout: &Layout) -> Result<()> {
        let place = || format!("cannot start {} ({})", self.name, self.program.display());
        let log = File::create(layout.log(self.name)).with_context(place)?;
        // setsid becomes the daemon, because a child of ours is not the leader of a group.
        let mut command = Command::new("setsid");
        command.arg(&self.program).args(&self.arguments).current_dir(layout.root()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", layout.root()).env(processes::VARIABLE, layout.root());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(log.try_clone().with_context(place)?).stderr(log);
        let child = command.spawn().with_context(place)?;
        let began =
            beginning(Pid::from_child(&child)).with_context(|| format!("{} ended at once", self.name))?;
        layout.write(&format!("pids/{}", self.name), &format!("{} {began}\n", child.id()))
    }
}

/// The process of a daemon, where it runs.
pub(super) fn process(layout: &Layout, name: &str) -> Option<Pid> {
    let (pid, began) = noted(layout, name)?;
    // A number may be somebody else's by now, who began later.
    (beginning(pid)? == began).then_some(pid)
}

fn noted(layout: &Layout, name: &str) -> Option<(Pid, u64)> {
    let text = fs::read_to_string(layout.path("pids").join(name)).ok()?;
    let (pid, began) = text.trim().split_once(' ')?;
    Some((Pid::from_raw(pid.parse().ok()?)?, began.parse().ok()?))
}

/// When a process began, in the kernel's ticks since the machine did; `None` of one that has ended, reaped or
/// not. It stays the same whatever program the process becomes.
fn beginning(pid: Pid) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_pid())).ok()?;
    // The name of the program, in parentheses, may have any byte in it.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    // The 22nd field of proc_pid_stat(5); the state, which is gone, is the 3rd.
    fields.nth(18)?.parse().ok()
}

/// Fails with the end of the log of the first daemon that is not there any more.
pub(super) fn check_alive(layout: &Layout, names: &[&str]) -> Result<()> {
    match names.iter().find(|name| process(layout, name).is_none()) {
        None => Ok(()),
        Some(name) => bail!("{name} ended. The last lines of its log:\n{}", end_of_log(layout, name)),
    }
}

/// Reaps the daemons that this very process started and that have ended.
pub(super) fn reap(layout: &Layout, names: &[&str]) {
    for name in names {
        // Fails for what another process started, which init reaps.
        let _ = noted(layout, name).map(|(pid, _)| waitpid(Some(pid), WaitOptions::NOHANG));
    }
}

/// The last lines of a daemon's log, indented.
pub(super) fn end_of_log(layout: &Layout, name: &str) -> String {
    let Ok(log) = fs::read(layout.log(name)) else { return "  (there is no log)".to_owned() };
    let log = String::from_utf8_lossy(&log);
    let lines: Vec<&str> = log.lines().collect();
    let last = &lines[lines.len().saturating_sub(LOG_LINES)..];
    last.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_from_its_very_beginning_to_its_end_though_it_becomes_another_program() {
        // Each exec is a moment without an environment; of so many, some are met.
        for _ in 0..200 {
            let mut child = Command::new("setsid").args(["sleep", "600"]).spawn().unwrap();
            let pid = Pid::from_child(&child);
            let began = beginning(pid);
            assert!(began.is_some() && (0..20).all(|_| beginning(pid) == began));
            child.kill().unwrap();
            // Until it is reaped it has ended as well.
            while beginning(pid).is_some() {
                std::thread::yield_now();
            }
            child.wait().unwrap();
            assert_eq!(beginning(pid), None);
        }
    }
}
