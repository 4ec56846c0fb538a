//! A listener that plays the control plane for processes which nobody manages: it answers the two calls of a
//! `JOB`, and the announcement of an instance that listens.

use std::net::{IpAddr, TcpListener};

use anyhow::{Context as _, Result, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::Value;

use super::wire::Wire;
use crate::wait::monotonic_ns;

/// Id of every execution, as long as one of picofaas.
pub(super) const EXECUTION_ID: &str = "0123456789abcdef0123456789abcdef01234567";
pub(super) const TOKEN: &str = "0123456789abcdef0123456789abcdef";
pub(super) const TRACE_ID: &str = "0123456789abcdef0123456789abcdef";

/// Time that a process is told it has.
const DEADLINE_MS: u32 = 10_000;
/// Until a process must have connected. That of a pod on a busy machine takes its time.
const CONNECT_PATIENCE: Timespec = Timespec { tv_sec: 60, tv_nsec: 0 };

pub(super) struct FakeControlPlane {
    listener: TcpListener,
    url: String,
}

/// The result of a `JOB`.
pub(super) struct Posted {
    /// When it was read whole.
    pub at_ns: i64,
    /// A success.
    pub result: Value,
}

impl FakeControlPlane {
    /// On a free port of an address of this machine.
    pub(super) fn at(ip: IpAddr) -> Result<Self> {
        let listener = TcpListener::bind((ip, 0)).with_context(|| format!("cannot bind to {ip}"))?;
        let url = format!("http://{}", listener.local_addr()?);
        Ok(Self { listener, url })
    }

    /// Value of `PICOFAAS_RUNTIME_URL` for processes.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Gives the next process its input, and takes its result.
    pub(super) fn serve_job(&self, input: &str) -> Result<Posted> {
        let mut wire = self.accept()?;
        let request = wire.receive()?.context("the function connected and asked nothing")?;
        let expected = format!("GET /v1/internal/executions/{EXECUTION_ID}/input HTTP/1.1");
        ensure!(request.start == expected, "the function asked {:?} and not {expected:?}", request.start);
        let length = input.len();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Execution-Id: {EXECUTION_ID}\r\n\
             X-Attempt: 1\r\nX-Deadline-Ms: {DEADLINE_MS}\r\nX-Trace-Id: {TRACE_ID}\r\n\
             traceparent: 00-{TRACE_ID}-0123456789abcdef-01\r\nContent-Length: {length}\r\n\r\n"
        );
        wire.send(&head, input.as_bytes())?;
        // A runtime may take another connection for its second call.
        let posted = match wire.receive()? {
            Some(posted) => posted,
            None => {
                wire = self.accept()?;
                wire.receive()?.context("the function connected again and posted nothing")?
            }
        };
        let at_ns = monotonic_ns();
        let expected = format!("POST /v1/internal/executions/{EXECUTION_ID}:complete HTTP/1.1");
        ensure!(posted.start == expected, "the function asked {:?} and not {expected:?}", posted.start);
        wire.send("HTTP/1.1 204 No Content\r\n\r\n", b"")?;
        let result: Value = serde_json::from_slice(&posted.body).context("the result is not JSON")?;
        ensure!(result["success"] == true, "the function failed: {result}");
        Ok(Posted { at_ns, result })
    }

    /// Takes the announcement of the next instance; when it had been read.
    pub(super) fn serve_announcement(&self) -> Result<i64> {
        let mut wire = self.accept()?;
        let request = wire.receive()?.context("an instance connected and said nothing")?;
        let at_ns = monotonic_ns();
        let expected = "POST /v1/internal/instances HTTP/1.1";
        ensure!(request.start == expected, "an instance asked {:?} and not {expected:?}", request.start);
        wire.send("HTTP/1.1 204 No Content\r\n\r\n", b"")?;
        Ok(at_ns)
    }

    /// Waits for the next connection.
    fn accept(&self) -> Result<Wire> {
        // A process that ends before it connects would be waited for for ever.
        let mut polled = [PollFd::new(&self.listener, PollFlags::IN)];
        let ready = poll(&mut polled, Some(&CONNECT_PATIENCE)).context("cannot wait for a connection")?;
        ensure!(ready > 0, "the function did not connect within {} s", CONNECT_PATIENCE.tv_sec);
        let (stream, _) = self.listener.accept().context("cannot accept")?;
        Wire::over(stream)
    }
}
