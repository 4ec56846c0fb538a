//! Takes a cluster down when its owner vanishes: also when that is interrupted or killed and no destructor
//! of it runs.

use std::io::Write as _;
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::layout::Layout;

/// Holds the other end of a pipe. When it closes without the word `kept`, the cluster is taken down.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
read -r word
[ "$word" = kept ] && exit 0
exec "$@"
"#;

pub(super) struct Watcher {
    child: Child,
    input: ChildStdin,
}

impl Watcher {
    pub(super) fn start(layout: &Layout) -> Result<Self> {
        let this = std::env::current_exe().context("cannot tell the path of this program")?;
        // In a session of its own, so that what ends our group leaves it.
        let mut child = Command::new("setsid")
            .args(["sh", "-c", SCRIPT, "watcher"])
            .arg(this)
            .args(["cluster", "down", "--folder"])
            .arg(layout.root())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start setsid (util-linux)")?;
        match child.stdin.take() {
            Some(input) => Ok(Self { child, input }),
            None => bail!("the watcher has no pipe"),
        }
    }

    /// Ends it: the cluster stays, or has been taken down by now.
    pub(super) fn dismiss(mut self) -> Result<()> {
        self.input.write_all(b"kept\n").context("cannot tell the watcher")?;
        self.child.wait().context("cannot wait for the watcher")?;
        Ok(())
    }
}
