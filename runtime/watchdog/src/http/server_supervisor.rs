//! One server after the other.

use std::cell::RefCell;
use std::pin::pin;
use std::rc::Rc;

use picofaas_runtime::HandlerError;
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::{sleep, timeout};

use super::endpoint::Endpoint;
use super::in_flight::InFlight;
use super::server::Server;
use crate::backoff::restart_delay;
use crate::children::Children;
use crate::exit_reason::ExitReason;
use crate::last_line::LastLine;
use crate::limits::{READY_WARNING_AFTER, UPTIME_MIN};
use crate::log;
use crate::notify::Notify;
use crate::program::Program;

/// Keeps one server running: a server that ends is followed by another.
pub(crate) struct ServerSupervisor {
    program: Program,
    endpoint: Endpoint,
    children: Rc<Children>,
    in_flight: Rc<InFlight>,
    state: RefCell<ServerState>,
    /// Notified when the state has changed.
    notify: Notify,
    /// The task that starts, watches and replaces servers.
    task: RefCell<Option<JoinHandle<()>>>,
}

enum ServerState {
    /// Another will be ready; the reason why none is now.
    NotReady(ExitReason),
    Ready(Rc<Server>),
    /// None will be ready any more, for this reason.
    Stopped(ExitReason),
}

impl ServerSupervisor {
    pub(crate) fn new(
        program: Program,
        endpoint: Endpoint,
        children: Rc<Children>,
        in_flight: Rc<InFlight>,
    ) -> Self {
        let state = RefCell::new(ServerState::NotReady(ExitReason::new("the server is being started")));
        Self {
            program,
            endpoint,
            children,
            in_flight,
            state,
            notify: Notify::default(),
            task: RefCell::default(),
        }
    }

    /// Starts the first server and waits until it is ready; fails where that server ends before.
    pub(crate) async fn start(self: Rc<Self>) -> Result<(), HandlerError> {
        self.program.find()?;
        let supervisor = Rc::clone(&self);
        self.task.replace(Some(spawn_local(async move { supervisor.run().await })));
        self.server().await.map(drop)
    }

    /// The server, once there is one that is ready.
    pub(crate) async fn server(&self) -> Result<Rc<Server>, HandlerError> {
        self.notify
            .until(|| match &*self.state.borrow() {
                ServerState::NotReady(_) => None,
                ServerState::Ready(server) => Some(Ok(Rc::clone(server))),
                ServerState::Stopped(reason) => Some(Err(reason.error(&LastLine::Nothing))),
            })
            .await
    }

    /// Whether the server is ready.
    pub(crate) fn health(&self) -> Result<(), HandlerError> {
        match &*self.state.borrow() {
            ServerState::Ready(_) => Ok(()),
            ServerState::NotReady(reason) | ServerState::Stopped(reason) => {
                Err(HandlerError::new(503, "NOT_READY", reason.to_string()))
            }
        }
    }

    /// Ends the server.
    pub(crate) async fn stop(&self) {
        let task = self.task.take();
        if let Some(task) = task {
            task.abort();
            // It was interrupted, or it had ended; a panic was written by the hook.
            let _ = task.await;
        }
        self.set_state(ServerState::Stopped(ExitReason::new("the watchdog is stopping")));
    }

    async fn run(&self) {
        let mut failures = 0;
        let mut worked = false;
        loop {
            let (was_useful, how) = match self.start_server().await {
                Ok(server) => {
                    worked = true;
                    self.watch(&server).await
                }
                Err(how) if !worked => return self.set_state(ServerState::Stopped(how)),
                Err(how) => (false, how),
            };
            failures = if was_useful { 0 } else { failures + 1 };
            let delay = restart_delay(failures);
            let when = if delay.is_zero() { String::new() } else { format!(" in {} ms", delay.as_millis()) };
            log::line(&format!("warning {how}; another is started{when}"));
            self.set_state(ServerState::NotReady(how));
            sleep(delay).await;
        }
    }

    /// Starts a server and waits until it is ready.
    async fn start_server(&self) -> Result<Rc<Server>, ExitReason> {
        let server = Server::start(&self.program, &self.endpoint, &self.children, &self.in_flight)
            .map_err(ExitReason::new)?;
        tokio::select! {
            biased;
            how = server.exited() => Err(how.with(" (before it was ready)")),
            () = self.ready(&server) => {
                log::line(&format!("the server is ready on port {}", server.port()));
                let server = Rc::new(server);
                self.set_state(ServerState::Ready(Rc::clone(&server)));
                Ok(server)
            }
        }
    }

    /// Waits until a server is ready, and says so where that takes long.
    async fn ready(&self, server: &Server) {
        let health = self.endpoint.health.as_deref();
        let mut ready = pin!(server.wait_until_ready(health));
        if timeout(READY_WARNING_AFTER, &mut ready).await.is_err() {
            let what = match health {
                Some(path) => format!("GET {path} (WATCHDOG_HTTP_HEALTH) is not answered with 2xx"),
                None => format!(
                    "nobody accepts connections on port {} of 127.0.0.1 (PORT of the server)",
                    server.port()
                ),
            };
            let seconds = READY_WARNING_AFTER.as_secs();
            log::line(&format!("warning the server is not ready after {seconds} s: {what}"));
            ready.await;
        }
    }

    /// Waits for the end of a server; whether it was of use, and how it ended.
    async fn watch(&self, server: &Server) -> (bool, ExitReason) {
        let path = self.endpoint.alive_path();
        let ended = async {
            tokio::select! {
                biased;
                how = server.exited() => how,
                how = server.unresponsive(path) => {
                    self.set_state(ServerState::NotReady(how.clone()));
                    server.kill().await;
                    how
                }
            }
        };
        let mut ended = pin!(ended);
        let (was_useful, how) = match timeout(UPTIME_MIN, &mut ended).await {
            Ok(how) => (false, how),
            Err(_) => (true, ended.await),
        };
        // A request that was there asks for the next server then.
        self.set_state(ServerState::NotReady(how.clone()));
        server.set_exit(how.clone());
        (was_useful, how)
    }

    fn set_state(&self, state: ServerState) {
        // The state before may drop its server, which must not find the cell borrowed.
        let before = self.state.replace(state);
        drop(before);
        self.notify.notify_waiters();
    }
}
