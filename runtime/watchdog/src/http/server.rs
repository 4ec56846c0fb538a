//! One server: its process, its log, and the connections to it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::Ipv4Addr;
use std::rc::Rc;

use picofaas_runtime::client::Connection;
use picofaas_runtime::{Context, HandlerError};
use thiserror::Error;
use tokio::time::{sleep, timeout};

use super::endpoint::Endpoint;
use super::port::Port;
use super::reply::Reply;
use super::request::{Opening, question};
use super::roll::Roll;
use crate::bell::Bell;
use crate::child::Child;
use crate::children::Children;
use crate::diary::Diary;
use crate::fault;
use crate::last_line::LastLine;
use crate::limits::{ASK_MAX, END_WAIT, IDLE_CONNECTIONS_MAX, LOOK_PAUSE_MAX, LOOK_PAUSE_MIN};
use crate::program::Program;

/// A server that was started.
pub(crate) struct Server {
    child: Child,
    port: Port,
    opening: Opening,
    stdout: Rc<Diary>,
    stderr: Rc<Diary>,
    /// Connections at rest, the one that was used last at the end.
    idle: RefCell<VecDeque<Connection>>,
    /// A request was given up, and nobody has asked since whether the server is alive.
    doubted: Cell<bool>,
    /// How it ended, once it has.
    ended: RefCell<Option<String>>,
    /// It ended by itself, and its last lines may say why.
    had_reason: Cell<bool>,
    last_key: Cell<u32>,
    /// Rung for the two above.
    bell: Bell,
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub(crate) enum ExchangeError {
    /// Nothing was sent.
    #[error("the server does not accept connections on port {}: {}", .0.port, .0.reason)]
    Connect(Unreachable),
    #[error("the server's answer is not HTTP/1.1: {0}")]
    Garbage(io::Error),
    #[error("the server closed the connection before its answer was complete: {0}")]
    Lost(io::Error),
}

/// Where nobody was reached.
#[derive(Debug)]
pub(crate) struct Unreachable {
    port: u16,
    reason: io::Error,
}

impl Server {
    /// Starts a server; it is not ready yet.
    pub(crate) fn start(
        program: &Program,
        endpoint: &Endpoint,
        children: &Rc<Children>,
        roll: &Rc<Roll>,
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
        let keep = |pipe| Diary::keep_for(pipe, Rc::clone(roll));
        Ok(Self {
            child,
            opening: Opening::new(&endpoint.path, port.number),
            port,
            stdout: keep(pipes.stdout.expect(lost)),
            stderr: keep(pipes.stderr.expect(lost)),
            idle: RefCell::default(),
            doubted: Cell::new(false),
            ended: RefCell::default(),
            had_reason: Cell::new(false),
            last_key: Cell::new(0),
            bell: Bell::default(),
        })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port.number
    }

    /// Waits until it is ready: until it accepts a connection or, where there is a path for
    /// that, says so.
    pub(crate) async fn ready(&self, health: Option<&str>) {
        let mut pause = LOOK_PAUSE_MIN;
        loop {
            match health {
                None => {
                    if let Ok(Ok(connection)) = timeout(ASK_MAX, self.connect()).await {
                        // It waits for a request now, so it is given one when there is one.
                        self.idle.borrow_mut().push_back(connection);
                        return;
                    }
                }
                Some(path) => {
                    if matches!(timeout(ASK_MAX, self.ask(path)).await, Ok(Ok(200..=299))) {
                        return;
                    }
                }
            }
            sleep(pause).await;
            pause = LOOK_PAUSE_MAX.min(pause + pause / 4);
        }
    }

    /// Has an attempt from now on; its key.
    pub(crate) fn begin(&self, context: &Context) -> u32 {
        let key = self.last_key.get().wrapping_add(1);
        self.last_key.set(key);
        for diary in [&self.stdout, &self.stderr] {
            diary.begin(key, context.execution_id());
        }
        key
    }

    /// Has an attempt no more.
    pub(crate) fn end_of(&self, key: u32) {
        for diary in [&self.stdout, &self.stderr] {
            diary.end(key);
        }
    }

    /// Waits until it has ended by itself, and says how.
    pub(crate) async fn end(&self) -> String {
        let status = self.child.ended().await;
        // What it wrote last has the reason.
        self.stdout.catch_up(true);
        self.stderr.catch_up(true);
        self.had_reason.set(true);
        let last = self.stderr.last_line_at_start().or(self.stdout.last_line_at_start());
        let how = status.map_or_else(|error| format!("cannot be waited for: {error}"), fault::how);
        format!("the server {how}{last}")
    }

    /// Waits until it is stuck: until a request was given up and it does not say anything to the
    /// question whether it is alive.
    pub(crate) async fn stuck(&self, path: &str) -> String {
        loop {
            self.bell.when(|| self.doubted.replace(false).then_some(())).await;
            let alive = async {
                while self.ask(path).await.is_err() {
                    sleep(LOOK_PAUSE_MAX).await;
                }
            };
            if timeout(ASK_MAX, alive).await.is_err() {
                let seconds = ASK_MAX.as_secs();
                return format!("the server did not answer GET {path} within {seconds} s and was ended");
            }
        }
    }

    /// Ends it: SIGTERM, and SIGKILL if need be.
    pub(crate) async fn kill(&self) {
        self.child.end().await;
    }

    /// Passes on what it has written for the log so far. What was written before an answer came
    /// before it, and the event loop learns of both at once.
    pub(crate) fn glance_at_log(&self) {
        self.stdout.glance();
        self.stderr.glance();
    }

    /// Takes note of how it ended, for the requests that it had.
    pub(crate) fn over(&self, how: String) {
        self.idle.borrow_mut().clear();
        self.ended.replace(Some(how));
        self.bell.ring();
    }

    /// A request was given up: it may not work at all.
    pub(crate) fn doubt(&self) {
        self.doubted.set(true);
        self.bell.ring();
    }

    /// How it ended, if it has. The end of its connections is seen a moment before its own.
    pub(crate) async fn ended_by_now(&self) -> Option<String> {
        timeout(END_WAIT, self.bell.when(|| self.ended.borrow().clone())).await.ok()
    }

    /// The failure of an attempt that has no answer.
    pub(crate) async fn explain(&self, error: ExchangeError, key: u32) -> HandlerError {
        match error {
            ExchangeError::Connect(_) | ExchangeError::Garbage(_) => HandlerError::internal(error),
            ExchangeError::Lost(_) => match self.ended_by_now().await {
                Some(how) => HandlerError::internal(format!("{how}{}", self.last_line(key))),
                None => HandlerError::internal(error),
            },
        }
    }

    /// What an attempt may be told of its last lines.
    fn last_line(&self, key: u32) -> LastLine {
        if !self.had_reason.get() {
            return LastLine::Nothing;
        }
        self.stderr.last_line(key).or(self.stdout.last_line(key))
    }

    /// Posts an input and reads the answer.
    pub(crate) async fn exchange(&self, context: &Context, input: &[u8]) -> Result<Reply, ExchangeError> {
        let head = self.opening.head(context, input.len());
        let mut idle = self.take_idle();
        // How a connection that was kept had ended before the request was read.
        let mut stale = None;
        loop {
            let was_idle = idle.is_some();
            let mut connection = match idle.take() {
                Some(connection) => connection,
                None => match self.connect().await {
                    Ok(connection) => connection,
                    // Not closed but ended, perhaps of this very request.
                    Err(_) if let Some(stale) = stale => return Err(ExchangeError::Lost(stale)),
                    Err(reason) => {
                        let port = self.port.number;
                        return Err(ExchangeError::Connect(Unreachable { port, reason }));
                    }
                },
            };
            connection.send(&mut [IoSlice::new(head.as_bytes()), IoSlice::new(input)]).await;
            let mut location = None;
            let received = connection
                .head(|name, value| {
                    if name.eq_ignore_ascii_case("location") {
                        location = Some(String::from_utf8_lossy(value).into_owned());
                    }
                })
                .await;
            let answered = match received {
                Ok(head) => head,
                Err(error) if was_idle && connection.was_left_unread(&error).await => {
                    stale = Some(error);
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    return Err(ExchangeError::Garbage(error));
                }
                Err(error) => return Err(ExchangeError::Lost(error)),
            };
            let body = match connection.body(answered, context.output_bytes_max()).await {
                Ok(body) => body,
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    return Err(ExchangeError::Garbage(error));
                }
                Err(error) => return Err(ExchangeError::Lost(error)),
            };
            if connection.is_reusable() {
                self.put_idle(connection);
            }
            return Ok(Reply { status: answered.status, location, body });
        }
    }

    /// The connection that was used last and is still open.
    fn take_idle(&self) -> Option<Connection> {
        let mut idle = self.idle.borrow_mut();
        loop {
            let connection = idle.pop_back()?;
            if connection.is_quiet() {
                return Some(connection);
            }
        }
    }

    fn put_idle(&self, connection: Connection) {
        let mut idle = self.idle.borrow_mut();
        // What the server has closed goes, a little with each request.
        if idle.front().is_some_and(|oldest| idle.len() >= IDLE_CONNECTIONS_MAX || !oldest.is_quiet()) {
            idle.pop_front();
        }
        if self.ended.borrow().is_none() {
            idle.push_back(connection);
        }
    }

    async fn connect(&self) -> io::Result<Connection> {
        Connection::open((Ipv4Addr::LOCALHOST, self.port.number)).await
    }

    /// The status of what the server answers to a GET.
    async fn ask(&self, path: &str) -> io::Result<u16> {
        let mut connection = self.connect().await?;
        let question = question(path, self.port.number);
        connection.send(&mut [IoSlice::new(question.as_bytes())]).await;
        Ok(connection.head(|_, _| {}).await?.status)
    }
}
