//! Keeps one server running.

use std::cell::RefCell;
use std::pin::pin;
use std::rc::Rc;

use picofaas_runtime::HandlerError;
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::{sleep, timeout};

use super::endpoint::Endpoint;
use super::roll::Roll;
use super::server::Server;
use crate::bell::Bell;
use crate::children::Children;
use crate::limits::{READY_SILENCE_MAX, SERVICE_MIN};
use crate::log;
use crate::program::Program;
use crate::seat::pause;

/// The server that is there, and the one that comes after it.
pub(crate) struct Keeper {
    program: Program,
    endpoint: Endpoint,
    children: Rc<Children>,
    roll: Rc<Roll>,
    state: RefCell<State>,
    /// Rung when the state has changed.
    bell: Bell,
    /// What starts, watches and replaces.
    work: RefCell<Option<JoinHandle<()>>>,
}

enum State {
    /// There will be one, and why there is none now.
    Absent(String),
    Ready(Rc<Server>),
    /// There will be none, and why.
    Over(String),
}

impl Keeper {
    pub(crate) fn new(program: Program, endpoint: Endpoint, children: Rc<Children>, roll: Rc<Roll>) -> Self {
        let state = RefCell::new(State::Absent("the server is being started".to_owned()));
        Self { program, endpoint, children, roll, state, bell: Bell::default(), work: RefCell::default() }
    }

    /// Starts the first server and waits until it is ready; it fails where that ends before.
    pub(crate) async fn start(self: Rc<Self>) -> Result<(), HandlerError> {
        self.program.find()?;
        let keeper = Rc::clone(&self);
        self.work.replace(Some(spawn_local(async move { keeper.keep().await })));
        self.server().await.map(drop)
    }

    /// The server, once there is one that is ready.
    pub(crate) async fn server(&self) -> Result<Rc<Server>, HandlerError> {
        self.bell
            .when(|| match &*self.state.borrow() {
                State::Absent(_) => None,
                State::Ready(server) => Some(Ok(Rc::clone(server))),
                State::Over(reason) => Some(Err(HandlerError::internal(reason))),
            })
            .await
    }

    /// Whether the server is ready.
    pub(crate) fn health(&self) -> Result<(), HandlerError> {
        match &*self.state.borrow() {
            State::Ready(_) => Ok(()),
            State::Absent(reason) | State::Over(reason) => {
                Err(HandlerError::new(503, "NOT_READY", reason.as_str()))
            }
        }
    }

    /// Ends the server.
    pub(crate) async fn stop(&self) {
        let work = self.work.take();
        if let Some(work) = work {
            work.abort();
            // It was interrupted, or it had ended; a panic was written by the hook.
            let _ = work.await;
        }
        self.turn(State::Over("the watchdog is stopping".to_owned()));
    }

    async fn keep(&self) {
        let mut useless = 0;
        let mut worked = false;
        loop {
            let (was_useful, how) = match self.begin().await {
                Ok(server) => {
                    worked = true;
                    self.watch(&server).await
                }
                Err(how) if !worked => return self.turn(State::Over(how)),
                Err(how) => (false, how),
            };
            useless = if was_useful { 0 } else { useless + 1 };
            let pause = pause(useless);
            let when = if pause.is_zero() { String::new() } else { format!(" in {} ms", pause.as_millis()) };
            log::line(&format!("warning {how}; another is started{when}"));
            self.turn(State::Absent(how));
            sleep(pause).await;
        }
    }

    /// Starts a server and waits until it is ready.
    async fn begin(&self) -> Result<Rc<Server>, String> {
        let server = Server::start(&self.program, &self.endpoint, &self.children, &self.roll)?;
        tokio::select! {
            biased;
            how = server.end() => Err(format!("{how} (before it was ready)")),
            () = self.ready(&server) => {
                log::line(&format!("the server is ready on port {}", server.port()));
                let server = Rc::new(server);
                self.turn(State::Ready(Rc::clone(&server)));
                Ok(server)
            }
        }
    }

    /// Waits until a server is ready, and says so where that takes long.
    async fn ready(&self, server: &Server) {
        let health = self.endpoint.health.as_deref();
        let mut ready = pin!(server.ready(health));
        if timeout(READY_SILENCE_MAX, &mut ready).await.is_err() {
            let what = match health {
                Some(path) => format!("GET {path} (WATCHDOG_HTTP_HEALTH) is not answered with 2xx"),
                None => format!(
                    "nobody accepts connections on port {} of 127.0.0.1 (PORT of the server)",
                    server.port()
                ),
            };
            let seconds = READY_SILENCE_MAX.as_secs();
            log::line(&format!("warning the server is not ready after {seconds} s: {what}"));
            ready.await;
        }
    }

    /// Waits until a server is no more; whether it was of use, and how it ended.
    async fn watch(&self, server: &Server) -> (bool, String) {
        let path = self.endpoint.alive_path();
        let until_over = async {
            tokio::select! {
                biased;
                how = server.end() => how,
                how = server.stuck(path) => {
                    self.turn(State::Absent(how.clone()));
                    server.kill().await;
                    how
                }
            }
        };
        let mut until_over = pin!(until_over);
        let (was_useful, how) = match timeout(SERVICE_MIN, &mut until_over).await {
            Ok(how) => (false, how),
            Err(_) => (true, until_over.await),
        };
        // Who had a request there asks for the next server then.
        self.turn(State::Absent(how.clone()));
        server.over(how.clone());
        (was_useful, how)
    }

    fn turn(&self, state: State) {
        // What it was may have a server to be dropped, which is not to find the cell borrowed.
        let before = self.state.replace(state);
        drop(before);
        self.bell.ring();
    }
}
