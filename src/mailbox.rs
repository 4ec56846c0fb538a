//! Letters between the gateways, and between them and the control thread: everything that does
//! not go over a ring.
//!
//! This is the cold path, so tokio's channels are good enough; they are bounded, and nobody
//! who serves invocations waits on one outside of a task of its own.

#![expect(
    clippy::disallowed_types,
    reason = "the one place where gateways and control meet off the hot path"
)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::{Request, Response};
use tokio::sync::{mpsc, oneshot};

use crate::error::{ApiError, ErrorCode};
use crate::function::Function;
use crate::gateway::history::Lost;
use crate::gateway::listener::Listener;
use crate::gateway::listing::{Page, Search};
use crate::gateway::reply::body::{Body, Piece};
use crate::gateway::summary::Summary;
use crate::hot::message::VersionIndex;
use crate::id::{ExecutionId, Token};

/// Letters that may lie unread in one box.
const LETTERS_MAX: usize = 1024;
/// Pieces of a streamed answer that may wait for their client.
const PIECES_MAX: usize = 4;

/// A request with its whole body.
pub type WholeRequest = Request<Bytes>;

/// To a gateway.
#[derive(Debug)]
pub enum Letter {
    /// A version of a function: grants for it may come after this was acknowledged.
    Learn { function: Arc<Function>, done: Answer<()> },
    /// The function of this name is, from now on, this version's.
    Publish { name: String, version: VersionIndex, done: Answer<()> },
    /// There is no function of this name any more.
    Withdraw { name: String, done: Answer<()> },
    /// The version was closed: no grant for it will come.
    Forget { version: VersionIndex },
    /// A request that came in elsewhere. Where the asker goes before it is answered, so does the
    /// client, and who waits for an execution has left.
    Serve { request: Box<WholeRequest>, listener: Listener, answer: Answer<Response<Body>> },
    /// Some of the executions that this gateway owns.
    List { search: Box<Search>, answer: Answer<Result<Page<Summary>, Lost>> },
    /// Whose this execution is, and where it is asked for, when it has ended.
    Watch { id: String, found: Answer<Result<Found, ApiError>>, ended: Option<Answer<()>> },
    /// Refuse new invocations; answered when the gauges tell what was accepted.
    Drain { done: Answer<()> },
    /// End what is not over yet and close the connections; answered when they are. Requests of
    /// other gateways' clients are served until [`Letter::Stop`].
    Finish { done: Answer<()> },
    /// Nobody needs this gateway any more.
    Stop,
}

/// An execution that a store still has.
#[derive(Debug)]
pub struct Found {
    /// Its id.
    pub id: ExecutionId,
    /// The version of the function that it was admitted to, or that ran it last.
    pub function: Arc<Function>,
}

/// To control.
#[derive(Debug)]
pub enum Errand {
    /// A request that came in on a gateway's listener and is control's to answer.
    Answer { request: Box<WholeRequest>, listener: Listener, answer: Answer<Response<Body>> },
    /// An attempt needs a process of its own.
    Start(Box<JobStart>),
    /// An instance listens, and says so itself. Refused, it says it again.
    Announce { announcement: Box<Announcement>, answer: Answer<Result<(), ApiError>> },
}

/// What an instance says when it listens.
#[derive(Debug)]
pub struct Announcement {
    /// What it proves itself with.
    pub token: Token,
    /// Its name, a DNS subdomain: that of its pod.
    pub instance: String,
    /// Where it listens.
    pub address: SocketAddr,
}

/// What a process of a `JOB` is started for.
#[derive(Debug)]
pub struct JobStart {
    /// The function's version.
    pub function: Arc<Function>,
    /// The execution that it is to run.
    pub execution: ExecutionId,
    /// Which of its attempts this is, from 1.
    pub attempt: u8,
    /// The trace it belongs to.
    pub trace_id: String,
    /// What it proves itself with.
    pub token: Token,
    /// What the attempt may take, all in all.
    pub time_left: Duration,
    /// Answered, or the asker gone: it is killed.
    pub killed: Awaited<Kill>,
    /// Answered when it is gone.
    pub ended: Answer<JobEnd>,
}

/// Why the process of a `JOB` is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kill {
    /// Nobody wants its result.
    Unwanted,
    /// It has posted its result, and was not heard to end in `--stop-timeout-ms`.
    Posted,
}

/// How the process of a `JOB` ended, or why there was none.
#[derive(Debug)]
pub struct JobEnd {
    /// What that means for an attempt without a result.
    pub code: ErrorCode,
    /// The same in words.
    pub reason: String,
    /// It says that it has posted its result.
    pub exited_with_0: bool,
}

/// Where one answer goes. Dropped unsent, the asker learns that there will be none.
#[derive(Debug)]
pub struct Answer<T>(oneshot::Sender<T>);

/// What one answer is waited for with.
#[derive(Debug)]
pub struct Awaited<T>(oneshot::Receiver<T>);

/// A question's two ends.
#[must_use]
pub fn question<T>() -> (Answer<T>, Awaited<T>) {
    let (sender, receiver) = oneshot::channel();
    (Answer(sender), Awaited(receiver))
}

impl<T> Answer<T> {
    /// Answers; whoever asked may have gone, which is fine.
    pub fn send(self, value: T) {
        let _ = self.0.send(value);
    }

    /// Returns when whoever asked has gone.
    pub async fn unwanted(&mut self) {
        self.0.closed().await;
    }

    /// Answers with what `work` comes to. Where whoever asked goes before that, `work` is dropped.
    pub async fn send_result_of(mut self, work: impl Future<Output = T>) {
        let done = tokio::select! {
            biased;
            value = work => Some(value),
            () = self.unwanted() => None,
        };
        if let Some(value) = done {
            self.send(value);
        }
    }
}

impl<T> Awaited<T> {
    /// The answer; `None` where there will be none.
    pub async fn get(self) -> Option<T> {
        self.0.await.ok()
    }
}

/// The writing end of a box.
#[derive(Debug)]
pub struct Post<T>(mpsc::Sender<T>);

impl<T> Clone for Post<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// The reading end of a box.
#[derive(Debug)]
pub struct Mailbox<T>(mpsc::Receiver<T>);

/// A box for letters.
#[must_use]
pub fn mailbox<T>() -> (Post<T>, Mailbox<T>) {
    let (sender, receiver) = mpsc::channel(LETTERS_MAX);
    (Post(sender), Mailbox(receiver))
}

/// A box for the pieces of one streamed answer.
#[must_use]
pub fn pieces() -> (Post<Piece>, Mailbox<Piece>) {
    let (sender, receiver) = mpsc::channel(PIECES_MAX);
    (Post(sender), Mailbox(receiver))
}

impl<T> Post<T> {
    /// Returns when the reader has stopped.
    pub async fn unwanted(&self) {
        self.0.closed().await;
    }

    /// Sends; waits while the box is full.
    ///
    /// # Errors
    /// The letter, where its reader has stopped.
    pub async fn send(&self, letter: T) -> Result<(), T> {
        self.0.send(letter).await.map_err(|unsent| unsent.0)
    }

    /// Sends without waiting.
    ///
    /// # Errors
    /// The letter, where the box is full or its reader has stopped.
    pub fn try_send(&self, letter: T) -> Result<(), T> {
        self.0.try_send(letter).map_err(|unsent| match unsent {
            mpsc::error::TrySendError::Full(letter) | mpsc::error::TrySendError::Closed(letter) => letter,
        })
    }
}

impl Post<Letter> {
    /// Has a gateway serve a request, and waits for its answer; `None` where it has stopped.
    /// Dropped before that, the gateway drops the request, too.
    pub async fn ask(&self, listener: Listener, request: WholeRequest) -> Option<Response<Body>> {
        let (answer, awaited) = question();
        self.send(Letter::Serve { request: Box::new(request), listener, answer }).await.ok()?;
        awaited.get().await
    }
}

impl<T> Mailbox<T> {
    /// The next letter; `None` when every writer has gone.
    pub async fn next(&mut self) -> Option<T> {
        self.0.recv().await
    }

    /// The same as a poll.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.0.poll_recv(cx)
    }
}
