//! One server: its process, its log, its readiness and its end.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use picofaas_runtime::{Context, HandlerError};
use tokio::time::{sleep, timeout};

use super::endpoint::Endpoint;
use super::exchange::{Connections, ExchangeError};
use super::in_flight::InFlight;
use super::port::Port;
use super::response::Response;
use super::web_connections::{WebConnection, WebConnections};
use crate::child::Child;
use crate::children::Children;
use crate::exit_reason::ExitReason;
use crate::last_line::LastLine;
use crate::limits::{EXIT_WAIT, PROBE_PAUSE_MAX, PROBE_PAUSE_MIN, PROBE_TIMEOUT};
use crate::log_pipe::LogPipe;
use crate::notify::Notify;
use crate::program::Program;

/// A server that was started.
pub(crate) struct Server {
    child: Child,
    children: Rc<Children>,
    port: Port,
    connections: Connections,
    web_connections: WebConnections,
    stdout: Rc<LogPipe>,
    stderr: Rc<LogPipe>,
    /// A request was given up, and the server was not probed since.
    wants_probe: Cell<bool>,
    /// Its end in words, once it has ended.
    exit: RefCell<Option<ExitReason>>,
    /// It ended by itself, and its last lines may say why.
    exited_by_itself: Cell<bool>,
    last_key: Cell<u32>,
    /// Notified of a wanted probe and of the end.
    notify: Notify,
}

impl Server {
    /// Starts a server; it is not ready yet.
    pub(crate) fn start(
        program: &Program,
        endpoint: &Endpoint,
        children: &Rc<Children>,
        in_flight: &Rc<InFlight>,
    ) -> Result<Self, String> {
        let port = Port::take(endpoint.port).map_err(|error| match endpoint.port {
            Some(port) => format!("port {port} (WATCHDOG_HTTP_PORT) is not free for the server: {error}"),
            None => format!("no free port for the server: {error}"),
        })?;
        let mut command = program.command();
        command.env("PORT", port.number.to_string());
        let (child, pipes) =
            Child::start(&mut command, children).map_err(|error| program.failed(&error).to_string())?;
        let lost = "a standard stream that was asked for is there";
        let forward = |pipe| LogPipe::forward_for_server(pipe, Rc::clone(in_flight));
        Ok(Self {
            child,
            children: Rc::clone(children),
            connections: Connections::new(port.number, &endpoint.path),
            web_connections: WebConnections::new(port.number),
            port,
            stdout: forward(pipes.stdout.expect(lost)),
            stderr: forward(pipes.stderr.expect(lost)),
            wants_probe: Cell::new(false),
            exit: RefCell::default(),
            exited_by_itself: Cell::new(false),
            last_key: Cell::new(0),
            notify: Notify::default(),
        })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port.number
    }

    /// Waits until it is ready: until it accepts a connection or, where there is a path for
    /// that, answers there with 2xx.
    pub(crate) async fn wait_until_ready(&self, health: Option<&str>) {
        let mut pause = PROBE_PAUSE_MIN;
        loop {
            match health {
                None => {
                    // The connection is kept: the server waits for a request on it now.
                    if matches!(timeout(PROBE_TIMEOUT, self.connections.open()).await, Ok(Ok(()))) {
                        return;
                    }
                }
                Some(path) => {
                    let probed = timeout(PROBE_TIMEOUT, self.connections.probe(path)).await;
                    if matches!(probed, Ok(Ok(200..=299))) {
                        return;
                    }
                }
            }
            // No event tells that another process listens, or is healthy: it is asked again.
            sleep(pause).await;
            pause = PROBE_PAUSE_MAX.min(pause + pause / 4);
        }
    }

    /// Begins an attempt and returns its key.
    pub(crate) fn begin_attempt(&self, context: &Context) -> u32 {
        let key = self.last_key.get().wrapping_add(1);
        self.last_key.set(key);
        for log in [&self.stdout, &self.stderr] {
            log.begin_attempt(key, context.execution_id());
        }
        key
    }

    /// Ends an attempt.
    pub(crate) fn end_attempt(&self, key: u32) {
        for log in [&self.stdout, &self.stderr] {
            log.end_attempt(key);
        }
    }

    /// Posts an input and reads the response.
    pub(crate) async fn exchange(&self, context: &Context, input: &[u8]) -> Result<Response, ExchangeError> {
        self.web_connections.close_idle();
        self.connections.exchange(context, input).await
    }

    /// A connection for a web request. A server that serves one connection at a time has to be rid of those for
    /// inputs first.
    pub(crate) async fn connect_web(&self, may_be_used: bool) -> Result<WebConnection, ExchangeError> {
        self.connections.close_idle();
        self.web_connections.connect(may_be_used).await
    }

    /// Keeps a connection for another web request.
    pub(crate) fn keep_web(&self, connection: WebConnection) {
        self.web_connections.put_idle(connection);
    }

    /// Waits until it has ended by itself, and says how.
    pub(crate) async fn exited(&self) -> ExitReason {
        let status = self.child.ended().await;
        // Its last lines have the reason.
        self.stdout.drain(true);
        self.stderr.drain(true);
        self.exited_by_itself.set(true);
        let last = self.stderr.start_line().or(self.stdout.start_line());
        let how = status.map_or_else(
            |error| ExitReason::new(format!("cannot be waited for: {error}")),
            |status| ExitReason::of(status, self.children.memory()),
        );
        how.named("the server").with(last)
    }

    /// Waits until it is unresponsive: until a request was given up and no probe of its liveness is
    /// answered.
    pub(crate) async fn unresponsive(&self, path: &str) -> ExitReason {
        loop {
            self.notify.until(|| self.wants_probe.replace(false).then_some(())).await;
            let alive = async {
                while self.connections.probe(path).await.is_err() {
                    // As above: it is asked again.
                    sleep(PROBE_PAUSE_MAX).await;
                }
            };
            if timeout(PROBE_TIMEOUT, alive).await.is_err() {
                let seconds = PROBE_TIMEOUT.as_secs();
                let how = format!("the server did not answer GET {path} within {seconds} s and was ended");
                return ExitReason::new(how);
            }
        }
    }

    /// Ends it: SIGTERM, and SIGKILL if need be.
    pub(crate) async fn kill(&self) {
        self.child.end().await;
    }

    /// Passes on its log so far. Lines from before a response came before it, and the event loop
    /// learns of both at once.
    pub(crate) fn drain_ready_log(&self) {
        self.stdout.drain_ready();
        self.stderr.drain_ready();
    }

    /// Sets how it ended, for the requests that it had.
    pub(crate) fn set_exit(&self, how: ExitReason) {
        self.connections.close();
        self.web_connections.close();
        self.exit.replace(Some(how));
        self.notify.notify_waiters();
    }

    /// Has it probed: a request was given up, and it may not work at all.
    pub(crate) fn request_probe(&self) {
        self.wants_probe.set(true);
        self.notify.notify_waiters();
    }

    /// Its end in words, if it has ended. The end of its connections is seen a moment before its own.
    pub(crate) async fn exit_noticed(&self) -> Option<ExitReason> {
        timeout(EXIT_WAIT, self.notify.until(|| self.exit.borrow().clone())).await.ok()
    }

    /// The failure of an attempt without a response.
    pub(crate) async fn error_of(&self, error: ExchangeError, key: u32) -> HandlerError {
        match error {
            ExchangeError::Connect(_) => HandlerError::internal(error),
            ExchangeError::Malformed(_) => HandlerError::internal(error).not_retryable(),
            ExchangeError::Lost(_) => match self.exit_noticed().await {
                Some(how) => how.error(&self.last_line(key)),
                // One of its processes, which the server goes on without.
                None => match self.children.memory().kill_of_connection() {
                    Some(over_limit) => {
                        let event = "a process of the server was killed";
                        ExitReason::over_limit(event, over_limit).error(&LastLine::Nothing)
                    }
                    None => HandlerError::internal(error),
                },
            },
        }
    }

    /// Its last line as the caller of an attempt may read it.
    fn last_line(&self, key: u32) -> LastLine {
        if !self.exited_by_itself.get() {
            return LastLine::Nothing;
        }
        self.stderr.last_line(key).or(self.stdout.last_line(key))
    }
}
