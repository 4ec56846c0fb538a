//! The browser.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

/// Without a screen, a user, a sandbox that root cannot have, and without calls of its own to anybody.
const FLAGS: [&str; 12] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-breakpad",
    "--disable-extensions",
    "--no-proxy-server",
];

/// A browser that shows one page; it ends with this value.
pub(crate) struct Chromium {
    child: Child,
    profile: TempDir,
}

impl Chromium {
    /// Starts with nothing that it remembers, and opens a page.
    pub(crate) fn open(url: &str) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let said = File::create(profile.path().join("said")).unwrap();
        let child = Command::new("chromium")
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", profile.path().join("data").display()))
            .arg(url)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(said)
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| {
                panic!("chromium: {error}; `cargo xtask test --only browser` installs it")
            });
        Self { child, profile }
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // Its helpers are in its group. Fails only if all have ended, which is what is wanted.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
        if std::thread::panicking()
            && let Ok(said) = std::fs::read_to_string(self.profile.path().join("said"))
        {
            eprintln!("chromium wrote:\n{said}");
        }
    }
}
