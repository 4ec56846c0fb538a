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
pub(super) const VARIABLE: &str = "PICOFAAS_CLUSTER";

/// From SIGTERM to SIGKILL. Short, because nothing that they could still write is kept.
const TERM_PATIENCE: Duration = Duration::from_secs(1);

/// From SIGKILL to giving up: a process in a call that the kernel does not end.
const KILL_PATIENCE: Duration = Duration::from_secs(10);

/// Whether a process is of this cluster. One that has ended and was not reaped is not, and neither is, for a
/// moment, one that is becoming another program: it has no environment then.
pub(super) fn carries(pid: Pid, layout: &Layout) -> bool {
    let Ok(environment) = fs::read(format!("/proc/{}/environ", pid.as_raw_pid())) else { return false };
    let mark = format!("{VARIABLE}={}", layout.root().display());
    environment.split(|&byte| byte == 0).any(|entry| entry == mark.as_bytes())
}

/// Every process of this cluster but those in containers, whose environment is their own.
pub(super) fn all(layout: &Layout) -> Result<Vec<Pid>> {
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
pub(super) fn end_all(layout: &Layout, daemons: &[&str]) -> Result<()> {
    let of_daemons = || daemons.iter().filter_map(|name| daemon::process(layout, name)).collect::<Vec<_>>();
    signal(&of_daemons(), Signal::TERM)?;
    // Daemons that are not gone by then are killed with the rest.
    wait::until(TERM_PATIENCE, || Ok(of_daemons().is_empty().then_some(())))?;
    let ended = wait::until(KILL_PATIENCE, || {
        // Again each time: one that was just being started was not in the list.
        let left = all(layout)?;
        signal(&left, Signal::KILL)?;
        Ok(left.is_empty().then_some(()))
    })?;
    if ended.is_none() {
        bail!("processes {:?} are still there after SIGKILL", all(layout)?);
    }
    Ok(())
}

pub(super) fn signal(pids: &[Pid], signal: Signal) -> Result<()> {
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
    fn the_processes_of_a_cluster_are_ended_and_those_of_another_folder_are_not() {
        let root = format!("/tmp/picofaas-processes-{}", std::process::id());
        let mut ours = sleeper(&root);
        let mut others = sleeper(&format!("{root}-not"));
        let layout = Layout::at(Path::new(&root)).unwrap();
        wait::until(KILL_PATIENCE, || Ok(carries(Pid::from_child(&ours), &layout).then_some(())))
            .unwrap()
            .expect("it carries the mark when it has become its program");

        end_all(&layout, &[]).unwrap();
        assert!(!ours.wait().unwrap().success());
        assert!(all(&layout).unwrap().is_empty());
        assert!(others.try_wait().unwrap().is_none(), "another cluster's process was ended");
        others.kill().unwrap();
        others.wait().unwrap();
    }
}
