//! A fresh process per call and nothing else: what no control plane can be faster than.
//!
//! A worker starts the function's program, answers its two calls on a listener of its own, and waits for its
//! end. There is no queue, no record, no client and no other thread in between.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::Value;

use super::{INPUT_TEXT, TIMEOUT_MS};
use crate::bench::wire::Wire;
use crate::wait::Stopwatch;

/// What every call is named, as long as a name of picofaas.
const EXECUTION_ID: &str = "0123456789abcdef0123456789abcdef01234567";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const TRACE_ID: &str = "0123456789abcdef0123456789abcdef";

/// From a process's start until it must have connected.
const CONNECT_PATIENCE: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

/// One that calls, over and over.
pub struct Worker<'a> {
    program: &'a Path,
    log: &'a File,
    listener: TcpListener,
    url: String,
}

/// How long one call took, from just before its process was started.
pub struct Times {
    /// Until its result was read.
    pub completed: Duration,
    /// Until its process had ended and was waited for.
    pub reaped: Duration,
}

impl<'a> Worker<'a> {
    /// One that starts `program`, whose words go to `log`.
    pub fn new(program: &'a Path, log: &'a File) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot bind to 127.0.0.1")?;
        let url = format!("http://{}", listener.local_addr()?);
        Ok(Self { program, log, listener, url })
    }

    /// One call, whose result must be its input.
    pub fn call(&mut self) -> Result<Times> {
        let watch = Stopwatch::start();
        let mut child = self.start()?;
        let completed = match self.serve() {
            Ok(()) => watch.elapsed(),
            Err(error) => {
                // It may have ended by itself, which the error then says.
                let _ = child.kill();
                child.wait().context("cannot wait for the function")?;
                return Err(error);
            }
        };
        let status = child.wait().context("cannot wait for the function")?;
        ensure!(status.success(), "the function ended with {status} after it had posted its result");
        Ok(Times { completed, reaped: watch.elapsed() })
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
                ("PICOFAAS_RUNTIME_URL", &self.url),
                ("PICOFAAS_TOKEN", TOKEN),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(self.log.try_clone().context("cannot share the log")?)
            .process_group(0);
        command.spawn().with_context(|| format!("cannot start {}", self.program.display()))
    }

    /// Answers the process's two calls.
    fn serve(&self) -> Result<()> {
        let mut wire = self.accept()?;
        let request = wire.receive()?.context("the function connected and asked nothing")?;
        let expected = format!("GET /v1/internal/executions/{EXECUTION_ID}/input HTTP/1.1");
        ensure!(request.start == expected, "the function asked {:?} and not {expected:?}", request.start);
        let body = super::body();
        let length = body.len();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Execution-Id: {EXECUTION_ID}\r\n\
             X-Attempt: 1\r\nX-Deadline-Ms: {TIMEOUT_MS}\r\nX-Trace-Id: {TRACE_ID}\r\n\
             traceparent: 00-{TRACE_ID}-0123456789abcdef-01\r\nContent-Length: {length}\r\n\r\n"
        );
        wire.send(&head, body.as_bytes())?;
        // A runtime may take another connection for its second call.
        let posted = match wire.receive()? {
            Some(posted) => posted,
            None => {
                wire = self.accept()?;
                wire.receive()?.context("the function connected again and posted nothing")?
            }
        };
        let expected = format!("POST /v1/internal/executions/{EXECUTION_ID}:complete HTTP/1.1");
        ensure!(posted.start == expected, "the function asked {:?} and not {expected:?}", posted.start);
        wire.send("HTTP/1.1 204 No Content\r\n\r\n", b"")?;
        let result: Value = serde_json::from_slice(&posted.body).context("the result is not JSON")?;
        ensure!(
            result["success"] == true && result["output"]["text"] == INPUT_TEXT,
            "not the function's answer: {result}"
        );
        Ok(())
    }

    /// Waits for the process's connection.
    fn accept(&self) -> Result<Wire> {
        // One that ends before it connects would be waited for for ever.
        let mut polled = [PollFd::new(&self.listener, PollFlags::IN)];
        let ready = poll(&mut polled, Some(&CONNECT_PATIENCE)).context("cannot wait for a connection")?;
        ensure!(ready > 0, "the function did not connect within {} s: see the log", CONNECT_PATIENCE.tv_sec);
        let (stream, _) = self.listener.accept().context("cannot accept")?;
        Wire::over(stream)
    }
}
