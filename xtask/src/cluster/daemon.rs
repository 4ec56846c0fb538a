//! One daemon: a process in a session of its own that goes on when the chore ends, known by a mark.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, WaitOptions, waitpid};

use super::layout::Layout;
use super::marked;

/// Of the log, when it failed.
const LOG_LINES: usize = 12;

/// How a daemon is started.
pub struct Daemon {
    pub name: &'static str,
    pub program: PathBuf,
    pub arguments: Vec<String>,
    pub environment: Vec<(&'static str, String)>,
}

impl Daemon {
    /// Starts it beside us. Its environment is ours no more than `PATH`, and carries the mark of the
    /// cluster, by which it and what it starts are found again.
    pub fn start(&self, layout: &Layout) -> Result<()> {
        let place = || format!("cannot start {} ({})", self.name, self.program.display());
        let log = File::create(layout.log(self.name)).with_context(place)?;
        // setsid becomes the daemon, because a child of ours is not the leader of a group.
        let mut command = Command::new("setsid");
        command.arg(&self.program).args(&self.arguments).current_dir(layout.root()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", layout.root()).env(marked::VARIABLE, layout.root());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(log.try_clone().with_context(place)?).stderr(log);
        let child = command.spawn().with_context(place)?;
        layout.write(&format!("pids/{}", self.name), &format!("{}\n", child.id()))
    }
}

/// The process of a daemon, where it runs.
pub fn process(layout: &Layout, name: &str) -> Option<Pid> {
    // A number may be somebody else's by now.
    number(layout, name).filter(|pid| marked::carries(*pid, layout))
}

fn number(layout: &Layout, name: &str) -> Option<Pid> {
    let text = fs::read_to_string(layout.path("pids").join(name)).ok()?;
    Pid::from_raw(text.trim().parse().ok()?)
}

/// Fails with the end of the log of the first daemon that is not there any more.
pub fn check_alive(layout: &Layout, names: &[&str]) -> Result<()> {
    for name in names {
        let runs = match number(layout, name) {
            Some(pid) => marked::carries_by_now(pid, layout)?,
            None => false,
        };
        if !runs {
            bail!("{name} ended. The last lines of its log:\n{}", end_of_log(layout, name));
        }
    }
    Ok(())
}

/// Reaps the daemons that this very process started and that have ended.
pub fn reap(layout: &Layout, names: &[&str]) {
    for name in names {
        // Fails for what another process started, which init reaps.
        let _ = number(layout, name).map(|pid| waitpid(Some(pid), WaitOptions::NOHANG));
    }
}

/// What a daemon said last, indented.
pub fn end_of_log(layout: &Layout, name: &str) -> String {
    let Ok(log) = fs::read(layout.log(name)) else { return "  (there is no log)".to_owned() };
    let log = String::from_utf8_lossy(&log);
    let lines: Vec<&str> = log.lines().collect();
    let last = &lines[lines.len().saturating_sub(LOG_LINES)..];
    last.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}
