//! nginx as a plain reverse proxy.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use super::server::{free_port, log_file, wait_for_listener};
use crate::process::Process;

/// Starts one in front of `upstream`, as nginx names a server, and waits until it listens. Gives the port.
/// Its files are in `nginx` in `folder`.
pub(super) fn start(template: &Path, folder: &Path, upstream: &str) -> Result<(Process, u16)> {
    let log = log_file(folder, "nginx")?;
    let folder = folder.join("nginx");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let port = free_port()?;
    let template =
        fs::read_to_string(template).with_context(|| format!("cannot read {}", template.display()))?;
    // Root's nginx gives its workers to another user unless told otherwise, who could not write here.
    let is_root = fs::metadata("/proc/self").context("cannot read /proc")?.uid() == 0;
    let config = template
        .replace("{{user}}", if is_root { "user root;" } else { "" })
        .replace("{{folder}}", &folder.display().to_string())
        .replace("{{port}}", &port.to_string())
        .replace("{{upstream}}", upstream);
    let file = folder.join("nginx.conf");
    fs::write(&file, config).with_context(|| format!("cannot write {}", file.display()))?;
    let mut command = Command::new("nginx");
    command.arg("-p").arg(&folder).arg("-e").arg(folder.join("error.log")).arg("-c").arg(&file);
    let mut process = Process::start("nginx", command.stdout(Stdio::null()).stderr(log))?;
    wait_for_listener(&mut process, port)?;
    Ok((process, port))
}
