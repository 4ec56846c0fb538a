//! The processes of a cluster. Each daemon carries the cluster's folder in its environment, and whatever it
//! starts inherits it: a shim, a plugin. Numbers in files could be somebody else's by now; this cannot.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, getpid, kill_process};

use super::daemon;
use super::layout::Layout;
use crate::wait;

/// Its value is the folder.
pub const VARIABLE: &str = "PICOFAAS_CLUSTER";

/// From SIGTERM to SIGKILL. Short, because nothing that they could still write is kept.
const TERM_PATIENCE: Duration = Duration::from_secs(1);

/// From SIGKILL to giving up: a process in a call that the kernel does not end.
const KILL_PATIENCE: Duration = Duration::from_secs(10);

/// What the kernel may take to put a process's environment in place when it becomes another program.
const EXEC_PATIENCE: Duration = Duration::from_secs(1);

/// Whether a process is of this cluster. One that has ended and was not reaped is not.
pub fn carries(pid: Pid, layout: &Layout) -> bool {
    environment(pid).is_some_and(|environment| has_mark(&environment, layout))
}

/// The same of a process that was started a moment ago: in the middle of an exec it has no environment.
pub fn carries_by_now(pid: Pid, layout: &Layout) -> Result<bool> {
    let known = wait::until(EXEC_PATIENCE, || {
        Ok(match environment(pid) {
            Some(environment) if environment.is_empty() && has_memory(pid) => None,
            Some(environment) => Some(has_mark(&environment, layout)),
            None => Some(false),
        })
    })?;
    Ok(known.unwrap_or(false))
}

fn environment(pid: Pid) -> Option<Vec<u8>> {
    fs::read(format!("/proc/{}/environ", pid.as_raw_pid())).ok()
}

/// What has ended has none, and neither has a thread of the kernel.
fn has_memory(pid: Pid) -> bool {
    fs::read_link(format!("/proc/{}/exe", pid.as_raw_pid())).is_ok()
}

fn has_mark(environment: &[u8], layout: &Layout) -> bool {
    let mark = format!("{VARIABLE}={}", layout.root().display());
    environment.split(|&byte| byte == 0).any(|entry| entry == mark.as_bytes())
}

/// Every process of this cluster but those in containers, whose environment is their own.
pub fn processes(layout: &Layout) -> Result<Vec<Pid>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").context("cannot read /proc")? {
        let name = entry.context("cannot read /proc")?.file_name();
        let number = name.to_str().and_then(|name| name.parse().ok());
        let Some(pid) = number.and_then(Pid::from_raw) else { continue };
        if pid != getpid() && carries(pid, layout) {
            found.push(pid);
        }
    }
    Ok(found)
}

/// Ends every process of this cluster but those in containers: the daemons by SIGTERM, and by SIGKILL what is
/// there then. Shims would outlive containerd, and wait for it to come again.
pub fn end_all(layout: &Layout, daemons: &[&str]) -> Result<()> {
    let of_daemons = || daemons.iter().filter_map(|name| daemon::process(layout, name)).collect::<Vec<_>>();
    signal(&of_daemons(), Signal::TERM)?;
    // Those that are not gone by then are killed with the rest.
    wait::until(TERM_PATIENCE, || Ok(of_daemons().is_empty().then_some(())))?;
    let ended = wait::until(KILL_PATIENCE, || {
        // Again each time: one that was just being started was not in the list.
        let left = processes(layout)?;
        signal(&left, Signal::KILL)?;
        Ok(left.is_empty().then_some(()))
    })?;
    if ended.is_none() {
        bail!("processes {:?} are still there after SIGKILL", processes(layout)?);
    }
    Ok(())
}

pub fn signal(pids: &[Pid], signal: Signal) -> Result<()> {
    for &pid in pids {
        match kill_process(pid, signal) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(error) => bail!("cannot send a signal to process {}: {error}", pid.as_raw_pid()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::{Child, Command};

    use super::*;

    fn sleeper(mark: &str) -> Child {
        Command::new("sleep").arg("600").env(VARIABLE, mark).spawn().unwrap()
    }

    #[test]
    fn a_process_is_found_from_its_very_beginning_though_it_becomes_one_program_after_another() {
        let root = format!("/tmp/picofaas-marked-early-{}", std::process::id());
        let layout = Layout::at(Path::new(&root)).unwrap();
        // Each exec is a moment without an environment; of so many, some are met.
        for _ in 0..200 {
            let mut child =
                Command::new("setsid").args(["sleep", "600"]).env(VARIABLE, &root).spawn().unwrap();
            let pid = Pid::from_child(&child);
            let seen = (0..20).all(|_| carries_by_now(pid, &layout).unwrap());
            child.kill().unwrap();
            child.wait().unwrap();
            assert!(seen, "a process that runs was taken for one that does not");
        }
        assert!(!carries_by_now(Pid::from_raw(2).unwrap(), &layout).unwrap(), "a thread of the kernel");
    }

    #[test]
    fn the_processes_of_a_cluster_are_ended_and_those_of_another_folder_are_not() {
        let root = format!("/tmp/picofaas-marked-{}", std::process::id());
        let mut ours = sleeper(&root);
        let mut others = sleeper(&format!("{root}-not"));
        let layout = Layout::at(Path::new(&root)).unwrap();

        end_all(&layout, &[]).unwrap();
        assert!(!ours.wait().unwrap().success());
        assert!(processes(&layout).unwrap().is_empty());
        assert!(others.try_wait().unwrap().is_none(), "another cluster's process was ended");
        others.kill().unwrap();
        others.wait().unwrap();
    }
}
