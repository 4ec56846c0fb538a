//! Connections: hyper's HTTP/1.1 on the thread of the listener.
//!
//! hyper's own head timer allocates for every request and would also close idle connections, so
//! connections are watched from outside: each says in which phase it is, and a sweep every
//! [`SWEEP_PERIOD`] closes those that are in it for too long. While an answer is written there is no such
//! clock, as only the kernel knows how much of it the client has taken: it gives up a client that takes
//! nothing for too long.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use slab::Slab;
use tokio::net::{TcpListener, TcpStream};

use super::client_io::ClientIo;
use crate::api::response::body::{Body, BrokenOff, Chunk};
use crate::channel;
use crate::channel::AnswerSender;
use crate::clock::{Clock, NANOS_PER_MS, Nanos};
use crate::config::ServeArgs;
use crate::web_exchange::ClientStream;

/// Period of the looks at connections: a time-out fires this much late at the most.
pub(crate) const SWEEP_PERIOD: Duration = Duration::from_millis(100);
/// Time that a client may take to close after its last answer (ns).
const LINGER_NS: Nanos = 2_000_000_000;
/// The shortest time in which a client must take something of an answer (ms). Its kernel tells that in steps of up to a
/// sixteenth of its receive buffer, some 400 KB, and a slow one is some time over each.
const STALL_MS_MIN: u64 = 10_000;
/// hyper's own limit on what it buffers of a request, in bytes.
const BUFFER_BYTES_MIN: usize = 64 * 1024;

/// The phase of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ConnectionPhase {
    /// Nothing, since then: waits for a request.
    Idle(Nanos),
    /// Some of a head came, the first of it then.
    ReadingHead(Nanos),
    /// The answer to a request is being made.
    Serving,
    /// It is made, and is being written.
    Writing,
    /// All was answered; the client has not closed since then.
    Lingering(Nanos),
}

/// The state of a connection, as seen from outside.
#[derive(Debug)]
pub(crate) struct ConnectionState {
    phase: Cell<ConnectionPhase>,
    /// Bytes were seen in the socket that nobody wants yet: as long as they are there, its end is behind them.
    is_ahead: Cell<bool>,
    /// See [`CloseRequest`].
    close: Cell<Option<CloseRequest>>,
    waker: RefCell<Option<Waker>>,
    /// Gets the client's stream once the head is written by which the connection changes its protocol.
    upgrade: RefCell<Option<AnswerSender<ClientStream>>>,
}

/// A request to a connection to close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CloseRequest {
    /// At once.
    Now,
    /// After the request that it serves.
    AfterRequest,
}

/// All connections of one listener.
#[derive(Debug)]
pub(crate) struct Connections {
    clock: Clock,
    most: usize,
    head_timeout: Nanos,
    keep_alive: Nanos,
    /// Time for which a client may take nothing of an answer that is made.
    pub(super) stall: Duration,
    /// Largest head of a request, in bytes.
    pub head_bytes_max: usize,
    open: RefCell<Slab<Rc<ConnectionState>>>,
    finishing: Cell<bool>,
    /// A clock that the sweep sets, good enough to time heads by.
    coarse: Cell<Nanos>,
    /// Memory in which the parts of a small answer are put together to be written.
    pub(super) joined: RefCell<Vec<u8>>,
}

impl Connections {
    /// None yet, and never more than `most`.
    #[must_use]
    pub(crate) fn new(clock: Clock, flags: &ServeArgs, most: usize) -> Rc<Self> {
        Rc::new(Self {
            clock,
            most,
            head_timeout: flags.head_timeout_ms * NANOS_PER_MS,
            keep_alive: flags.keep_alive_s * 1000 * NANOS_PER_MS,
            stall: Duration::from_millis(flags.body_timeout_ms.max(STALL_MS_MIN)),
            head_bytes_max: flags.max_head_bytes,
            open: RefCell::default(),
            finishing: Cell::new(false),
            coarse: Cell::new(clock.now()),
            joined: RefCell::default(),
        })
    }

    /// Number of open connections.
    #[must_use]
    pub(crate) fn count(&self) -> usize {
        self.open.borrow().len()
    }

    /// Accepts no more, closes idle connections, and the others after the request they serve.
    pub(crate) fn finish(&self) {
        self.finishing.set(true);
        for (_, state) in self.open.borrow().iter() {
            state.request_close(CloseRequest::AfterRequest);
        }
    }

    /// Closes every connection now.
    pub(crate) fn close(&self) {
        self.finishing.set(true);
        for (_, state) in self.open.borrow().iter() {
            state.request_close(CloseRequest::Now);
        }
    }

    /// Closes those that take too long over a head, or have been idle too long.
    pub(crate) fn sweep(&self) {
        let now = self.clock.now();
        self.coarse.set(now);
        for (_, state) in self.open.borrow().iter() {
            let (since, most) = match state.phase.get() {
                ConnectionPhase::Idle(since) => (since, self.keep_alive),
                ConnectionPhase::ReadingHead(since) => (since, self.head_timeout),
                ConnectionPhase::Lingering(since) => (since, LINGER_NS),
                ConnectionPhase::Serving | ConnectionPhase::Writing => continue,
            };
            if now.saturating_sub(since) > most {
                // An idle one closes in stages, lest a request that is on its way makes the kernel send a reset,
                // which takes what the client has not read yet of its last answer.
                let is_first = state.close.get().is_none();
                let in_stages = is_first && matches!(state.phase.get(), ConnectionPhase::Idle(_));
                state.request_close(if in_stages { CloseRequest::AfterRequest } else { CloseRequest::Now });
            }
        }
    }

    /// Whether an answer is being written to a client that has not taken all of it yet.
    #[must_use]
    pub(crate) fn is_writing(&self) -> bool {
        self.open.borrow().iter().any(|(_, state)| state.is_writing())
    }

    /// Whether connections are being closed for good.
    #[must_use]
    pub(crate) fn is_finishing(&self) -> bool {
        self.finishing.get()
    }

    /// Accepts and serves until the connections are drained.
    pub(crate) async fn serve<F, S>(self: Rc<Self>, listener: TcpListener, handle: F)
    where
        F: Fn(Request<Incoming>, IpAddr) -> S + Clone + 'static,
        S: Future<Output = Response<Body>> + 'static,
    {
        loop {
            let (stream, peer) = match listener.accept().await {
                Ok((stream, peer)) => (stream, peer.ip()),
                Err(error) => {
                    // Out of file descriptors, say: let some close first.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(SWEEP_PERIOD).await;
                    continue;
                }
            };
            if self.finishing.get() || self.count() >= self.most {
                // Closing tells the client more than a connection that is never served.
                continue;
            }
            // Refused only by a socket that is closed already.
            let _ = stream.set_nodelay(true);
            tokio::task::spawn_local(self.clone().connection(stream, peer, handle.clone()));
        }
    }

    async fn connection<F, S>(self: Rc<Self>, stream: TcpStream, peer: IpAddr, handle: F)
    where
        F: Fn(Request<Incoming>, IpAddr) -> S + 'static,
        S: Future<Output = Response<Body>> + 'static,
    {
        let state = Rc::new(ConnectionState {
            phase: Cell::new(ConnectionPhase::Idle(self.coarse.get())),
            is_ahead: Cell::new(false),
            close: Cell::new(None),
            waker: RefCell::new(None),
            upgrade: RefCell::new(None),
        });
        let key = self.open.borrow_mut().insert(state.clone());
        let _listed = Listed { connections: self.clone(), key };
        let io = ClientIo::new(stream, state.clone(), self.clone());
        let service = service_fn(|request: Request<Incoming>| {
            state.serve();
            let answering = handle(request, peer);
            let making = Making { state: state.clone() };
            async move {
                let mut response = answering.await;
                if let Body::Upgrade(client) = response.body_mut() {
                    making.state.upgrade.replace(client.take());
                }
                Ok::<_, Infallible>(response.map(|body| Sent { body, _making: making }))
            }
        });
        let mut connection = http1::Builder::new()
            .header_read_timeout(None)
            // Whether a client has left while it is served, `ClientIo` finds out.
            .half_close(true)
            .max_header_size(self.head_bytes_max)
            .max_buf_size(self.head_bytes_max.max(BUFFER_BYTES_MIN))
            .serve_connection(io, service);
        let is_through = poll_fn(|cx| {
            match state.close.get() {
                Some(CloseRequest::Now) => return Poll::Ready(false),
                Some(CloseRequest::AfterRequest) => Pin::new(&mut connection).graceful_shutdown(),
                None => state.listen(cx),
            }
            // An error is the client's doing, and the client is not there to be told.
            Pin::new(&mut connection).poll(cx).map(|ended| ended.is_ok())
        })
        .await;
        let upgrade = state.upgrade.take().filter(|_| is_through);
        if let Some(upgrade) = upgrade {
            let parts = connection.into_parts();
            channel::answer(upgrade, ClientStream { stream: parts.io.into_stream(), read: parts.read_buf });
        }
    }
}

impl ConnectionState {
    /// Enters the phase in which a request is answered.
    fn serve(&self) {
        self.phase.set(ConnectionPhase::Serving);
    }

    /// Whether the client is served, and the end of what it sends may be next in its socket.
    pub(super) fn may_leave(&self) -> bool {
        self.phase.get() == ConnectionPhase::Serving && !self.is_ahead.get()
    }

    /// Takes note of bytes in the socket that are left there.
    pub(super) fn has_more(&self) {
        self.is_ahead.set(true);
    }

    /// Takes note that the socket has everything there was to write: an answer that is made has gone, and only
    /// now the client is waited for.
    pub(super) fn all_written(&self, connections: &Connections) {
        if self.phase.get() == ConnectionPhase::Writing {
            self.phase.set(ConnectionPhase::Idle(connections.coarse.get()));
        }
    }

    /// Whether an answer is made and not all of it written.
    pub(super) fn is_writing(&self) -> bool {
        self.phase.get() == ConnectionPhase::Writing
    }

    /// Enters the phase in which the client is to close.
    pub(super) fn linger(&self, connections: &Connections) {
        if !matches!(self.phase.get(), ConnectionPhase::Lingering(_)) {
            self.phase.set(ConnectionPhase::Lingering(connections.coarse.get()));
        }
    }

    /// Takes note of bytes that were read: on an idle connection they are the beginning of a head, whose clock
    /// begins. It does not before the answer to the request before was written, as nothing of a head is read while a
    /// request is served.
    pub(crate) fn something_came(&self, connections: &Connections) {
        self.is_ahead.set(false);
        if matches!(self.phase.get(), ConnectionPhase::Idle(_)) {
            self.phase.set(ConnectionPhase::ReadingHead(connections.coarse.get()));
        }
    }

    fn request_close(&self, request: CloseRequest) {
        if self.close.get() != Some(CloseRequest::Now) {
            self.close.set(Some(request));
        }
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }

    fn listen(&self, cx: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        if waker.as_ref().is_none_or(|known| !known.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
    }
}

/// The body of an answer on its way out. hyper drops it when it has taken the last of it.
struct Sent {
    body: Body,
    _making: Making,
}

/// The answer is being made until this is dropped. All of it is with hyper then, which writes it.
struct Making {
    state: Rc<ConnectionState>,
}

impl Drop for Making {
    fn drop(&mut self) {
        if self.state.phase.get() == ConnectionPhase::Serving {
            self.state.phase.set(ConnectionPhase::Writing);
        }
    }
}

impl HttpBody for Sent {
    type Data = Chunk;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Chunk>, BrokenOff>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection's entry in the list, for as long as its task lives.
struct Listed {
    connections: Rc<Connections>,
    key: usize,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.connections.open.borrow_mut().remove(self.key);
    }
}
