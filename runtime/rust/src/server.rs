//! From start to exit: listen, accept, and on a signal finish the requests in flight.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::AsFd;
use std::pin::pin;
use std::rc::Rc;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::{Builder, LocalOptions};
use tokio::task::{JoinHandle, JoinSet, spawn_local};
use tokio::time::Instant;

use crate::ages::{ACKNOWLEDGES, Ages};
use crate::announcement::Announcement;
use crate::clock;
use crate::deadlines::Deadlines;
use crate::drain::Drain;
use crate::flushed_stream::FlushedStream;
use crate::frames;
use crate::frames::pulse::PulseThread;
use crate::handler::Handler;
use crate::handler_error::HandlerError;
use crate::inbound_connection::InboundConnection;
use crate::limits::{ACCEPT_PAUSE, CONNECTIONS_MAX};
use crate::listener::{AcceptedStream, ListenError, Listener};
use crate::log;
use crate::metrics::Metrics;
use crate::panics;
use crate::route;
use crate::settings::{Address, SettingError, SizeLimits};
use crate::standby::Standby;
use crate::stop::StopSignals;
use crate::warm_up;

/// The error of an instance that did not start.
#[derive(Debug, Error)]
pub(crate) enum StartError {
    #[error(transparent)]
    Setting(#[from] SettingError),
    #[error("HANDLER is `{wanted}`, which this program does not have; it has: {known}")]
    UnknownHandler { wanted: String, known: String },
    #[error("HANDLER is not set and this program has several handlers; name one of: {known}")]
    NoHandlerNamed { known: String },
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error("cannot start the event loop: {0}")]
    Runtime(io::Error),
    #[error("cannot start: {}", .0.message)]
    Handler(HandlerError),
}

impl StartError {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Setting(_) | Self::UnknownHandler { .. } | Self::NoHandlerNamed { .. } => 2,
            Self::Listen(_) | Self::Runtime(_) | Self::Handler(_) => 1,
        }
    }
}

/// A handler being served, and the state that its requests share.
pub(crate) struct Instance<H> {
    pub(crate) handler: Rc<H>,
    pub(crate) sizes: SizeLimits,
    pub(crate) metrics: Metrics,
    pub(crate) deadlines: Rc<Deadlines>,
    pub(crate) pulses: PulseThread,
    pub(crate) ages: Ages,
    pub(crate) standby: Standby,
    /// Milliseconds from start to listening, rounded up; taken by the first answer.
    pub(crate) init_ms: Cell<Option<u64>>,
}

/// Serves until a signal, or until a standby has had its one invocation; then until all requests are answered.
pub(crate) fn run<H, Args>(
    handler: H,
    address: &Address,
    announcement: Result<Option<Announcement>, SettingError>,
    sizes: SizeLimits,
    is_standby: bool,
    began: Instant,
) -> Result<(), StartError>
where
    H: Handler<Args>,
    Args: 'static,
{
    panics::install_hook();
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
        .map_err(StartError::Runtime)?;
    let ended = runtime.block_on(async {
        let init_ms = Cell::new(None);
        let (metrics, deadlines) = (Metrics::new(), Deadlines::start());
        let pulses = PulseThread::default();
        let (ages, standby) = (Ages::of_process(began), Standby::new(is_standby));
        let handler = Rc::new(handler);
        let instance =
            Rc::new(Instance { handler, sizes, metrics, deadlines, pulses, ages, standby, init_ms });
        let ended = listen(&instance, address, announcement, began).await;
        instance.handler.stop().await;
        ended
    });
    if is_standby {
        // Work that the handler left on another thread does not keep the process from ending.
        runtime.shutdown_background();
    }
    ended
}

async fn listen<H, Args>(
    instance: &Rc<Instance<H>>,
    address: &Address,
    announcement: Result<Option<Announcement>, SettingError>,
    began: Instant,
) -> Result<(), StartError>
where
    H: Handler<Args>,
    Args: 'static,
{
    // Before the socket exists: a process that sees it may send a signal.
    let mut stop = StopSignals::new().map_err(StartError::Runtime)?;
    tokio::select! {
        biased;
        started = instance.handler.start() => started.map_err(StartError::Handler)?,
        signal = stop.wait() => {
            log::line(&format!("stopped by {signal} before it was ready"));
            return Ok(());
        }
    }
    instance.ages.handler_is_ready();
    let drain = Rc::new(Drain::default());
    if instance.standby.is_limited() {
        warm_up::run(instance, &drain).await;
    }
    let listener = Listener::bind(address)?;
    let init_ms = clock::ms_since(began);
    log::line(&format!("listening on {listener} after {init_ms} ms"));
    instance.init_ms.set(Some(init_ms));
    let announcing = announce(announcement, &listener, instance);

    let mut connections = JoinSet::new();
    let mut used = pin!(instance.standby.over());
    loop {
        tokio::select! {
            _ = stop.wait() => break,
            () = &mut used => break,
            Some(ended) = connections.join_next() => report(ended),
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok(accepted) => spawn_connection(&mut connections, accepted, instance, &drain),
                Err(error) => {
                    log::line(&format!("warning cannot accept a connection: {error}"));
                    // No event tells that a file descriptor is free again.
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }

    if let Some(announcing) = announcing {
        announcing.abort();
    }
    // Requests that were on their way before the signal are finished, too. To yield is
    // to look at the sockets: first at the listener, then at what was accepted.
    tokio::task::yield_now().await;
    while connections.len() < CONNECTIONS_MAX
        && let Some(accepted) = listener.accept_waiting().await
    {
        spawn_connection(&mut connections, accepted, instance, &drain);
    }
    drop(listener);
    tokio::task::yield_now().await;
    drain.start();
    log::line(&format!("stopping, {} in flight", instance.metrics.in_flight()));
    while let Some(ended) = connections.join_next().await {
        report(ended);
    }
    log::line("stopped");
    Ok(())
}

/// Announces the instance, in a task of its own.
fn announce<H, Args>(
    announcement: Result<Option<Announcement>, SettingError>,
    listener: &Listener,
    instance: &Rc<Instance<H>>,
) -> Option<JoinHandle<()>>
where
    H: Handler<Args>,
    Args: 'static,
{
    match announcement {
        Ok(announcement) => {
            let (announcement, port) = announcement.zip(listener.port())?;
            let (instance, told) = (Rc::clone(instance), Rc::clone(instance));
            let is_healthy = move || instance.handler.health().is_ok();
            Some(spawn_local(announcement.make(port, is_healthy, move || tell(&told.ages))))
        }
        Err(error) => {
            log::line(&format!("warning the instance serves, but cannot be announced: {error}"));
            None
        }
    }
}

/// The headers of an announcement that tell of the instance.
fn tell(ages: &Ages) -> String {
    let (name, value) = ACKNOWLEDGES;
    let lines = ages.headers().map(|(name, ms)| format!("{name}: {ms}\r\n"));
    format!("{name}: {value}\r\n{}", lines.concat())
}

fn spawn_connection<H, Args>(
    connections: &mut JoinSet<()>,
    accepted: AcceptedStream,
    instance: &Rc<Instance<H>>,
    drain: &Rc<Drain>,
) where
    H: Handler<Args>,
    Args: 'static,
{
    let (instance, drain) = (Rc::clone(instance), Rc::clone(drain));
    match accepted {
        AcceptedStream::Tcp(stream) => connections.spawn_local(serve_connection(stream, instance, drain)),
        AcceptedStream::Unix(stream) => connections.spawn_local(serve_connection(stream, instance, drain)),
    };
}

/// One connection, from accept to close.
pub(crate) async fn serve_connection<S, H, Args>(stream: S, instance: Rc<Instance<H>>, drain: Rc<Drain>)
where
    S: AsyncRead + AsyncWrite + AsFd + Unpin + Send + 'static,
    H: Handler<Args>,
    Args: 'static,
{
    let key = instance.standby.next_key();
    let (stream, flushes) = FlushedStream::new(stream);
    let connection = Rc::new(InboundConnection::new(key, flushes));
    if serve_http(stream, Rc::clone(&instance), &drain, Rc::clone(&connection)).await
        && let Some(upgrade) = connection.upgrade.take()
    {
        frames::serve::<S, _, _>(upgrade, Rc::clone(&instance), key, drain).await;
    } else {
        // A handler may have made it a connection of another protocol, such as a WebSocket.
        connection.flushes.stream_ended().await;
        drop(connection.switched.take());
    }
    instance.standby.connection_ended(key);
}

/// One connection over HTTP/1.1. Answers whether it ended well.
async fn serve_http<S, H, Args>(
    stream: S,
    instance: Rc<Instance<H>>,
    drain: &Rc<Drain>,
    inbound: Rc<InboundConnection>,
) -> bool
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Handler<Args>,
{
    let service = service_fn(move |request| {
        let (instance, inbound) = (Rc::clone(&instance), Rc::clone(&inbound));
        async move { Ok::<_, std::convert::Infallible>(route::respond(&instance, request, &inbound).await) }
    });
    let connection = http1::Builder::new()
        // It would also close idle connections, and the gateway, which keeps them in a
        // pool, would now and then send a request into the closing one.
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let mut waiter = None;
    let mut is_draining = false;
    let ended = poll_fn(|cx| {
        if waiter.is_none() {
            waiter = Some(drain.register(cx.waker().clone()));
        }
        let step = connection.as_mut().poll(cx);
        if step.is_ready() || is_draining || !drain.started() {
            return step;
        }
        // Only now, as a request that had arrived was begun by the poll above.
        is_draining = true;
        connection.as_mut().graceful_shutdown();
        connection.as_mut().poll(cx)
    })
    .await;
    // A peer that goes away between or within requests is its own business; a peer
    // that does not speak HTTP is worth a line.
    if let Err(error) = &ended
        && error.is_parse()
    {
        log::line(&format!("warning a connection was closed: {error}"));
    }
    ended.is_ok()
}

/// Handlers' panics are caught below; one of ours costs its connection and no more.
fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        log::line(&format!("error a connection ended in a panic of the runtime: {error}"));
    }
}
