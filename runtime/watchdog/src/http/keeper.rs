//! Keeps one server running.

use std::cell::RefCell;
use std::rc::Rc;

use picofaas_runtime::HandlerError;
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::{sleep, timeout};

use super::endpoint::Endpoint;
use super::roll::Roll;
use super::server::Server;
use crate::bell::Bell;
use crate::children::Children;
use crate::limits::SERVICE_MIN;
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
            () = server.ready(self.endpoint.health.as_deref()) => {
                log::line(&format!("the server is ready on port {}", server.port()));
                let server = Rc::new(server);
                self.turn(State::Ready(Rc::clone(&server)));
                Ok(server)
            }
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
        let mut until_over = std::pin::pin!(until_over);
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
