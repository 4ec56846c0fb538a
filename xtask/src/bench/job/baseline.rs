//! A fresh process per call and nothing else: what no control plane can be faster than.
//!
//! A worker starts the function's program, answers its two calls on a listener of its own, and waits for its
//! end. There is no queue, no execution store, no client and no other thread in between.

use std::fs::File;
use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::{INPUT_TEXT, TIMEOUT_MS};
use crate::bench::fake_control_plane::{EXECUTION_ID, FakeControlPlane, TOKEN, TRACE_ID};
use crate::wait::Stopwatch;

/// One that calls, over and over.
pub(super) struct Worker<'a> {
    program: &'a Path,
    log: &'a File,
    control_plane: FakeControlPlane,
}

/// How long one call took, from just before its process was started.
pub(super) struct JobTimes {
    /// Until its result was read.
    pub completed: Duration,
    /// Until its process had ended and was waited for.
    pub reaped: Duration,
}

impl<'a> Worker<'a> {
    /// One that starts `program`, whose words go to `log`.
    pub(super) fn new(program: &'a Path, log: &'a File) -> Result<Self> {
        Ok(Self { program, log, control_plane: FakeControlPlane::at(Ipv4Addr::LOCALHOST.into())? })
    }

    /// One call, whose result must be its input.
    pub(super) fn call(&mut self) -> Result<JobTimes> {
        let watch = Stopwatch::start();
        let mut child = self.start()?;
        let completed = match self.control_plane.serve_job(&super::body()) {
            Ok(posted) => {
                let took = watch.elapsed();
                let result = posted.result;
                ensure!(result["output"]["text"] == INPUT_TEXT, "not the function's answer: {result}");
                took
            }
            Err(error) => {
                // It may have ended by itself, which the error then says.
                let _ = child.kill();
                child.wait().context("cannot wait for the function")?;
                return Err(error);
            }
        };
        let status = child.wait().context("cannot wait for the function")?;
        ensure!(status.success(), "the function ended with {status} after it had posted its result");
        Ok(JobTimes { completed, reaped: watch.elapsed() })
    }

    /// With the environment that picofaas gives. The standard library takes `posix_spawn` for this, which is
    /// faster than a `fork` of this process would be.
    fn start(&self) -> Result<Child> {
        let mut command = Command::new(self.program);
        command
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .envs(std::env::var_os("HOME").map(|home| ("HOME", home)))
            .envs([
                ("MAX_BODY", "1048576"),
                ("MAX_OUTPUT", "1048576"),
                ("FUNCTION_NAME", "job"),
                ("EXECUTION_MODE", "JOB"),
                ("TIMEOUT_MS", &TIMEOUT_MS.to_string()),
                ("EXECUTION_ID", EXECUTION_ID),
                ("TRACE_ID", TRACE_ID),
                ("PICOFAAS_RUNTIME_URL", self.control_plane.url()),
                ("PICOFAAS_TOKEN", TOKEN),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(self.log.try_clone().context("cannot share the log")?)
            .process_group(0);
        command.spawn().with_context(|| format!("cannot start {}", self.program.display()))
    }
}
