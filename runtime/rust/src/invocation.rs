//! One invocation: head → body → input → handler → output, and the answer.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt as _;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use hyper::{Request, StatusCode};
use tokio::time::{Instant, timeout_at};

use crate::caller::Ids;
use crate::context::InvocationHead;
use crate::deadlines::Deadlines;
use crate::failure::Failure;
use crate::frames::gathered_body::GatheredBody;
use crate::handler::Handler;
use crate::inbound_connection::{InboundConnection, expects};
use crate::limits::BODY_READ_MAX;
use crate::log;
use crate::metrics::{InFlight, Outcome};
use crate::output::Output as _;
use crate::panics::caught;
use crate::raw_body::Input as _;
use crate::response::{self, HttpResponse};
use crate::server::Instance;
use crate::standby::{ConnectionKey, StandbyUse};

/// The answer to an invocation, before it has the form of its connection.
#[derive(Debug)]
pub(crate) struct InvocationAnswer {
    pub(crate) status: StatusCode,
    /// JSON.
    pub(crate) body: Bytes,
    /// Of the first answer of the process: milliseconds from its start until it listened.
    pub(crate) cold_start_ms: Option<u64>,
}

/// Answers `POST /invoke`.
pub(crate) async fn invoke<H, Args>(
    instance: &Instance<H>,
    connection: &InboundConnection,
    request: Request<Incoming>,
) -> HttpResponse
where
    H: Handler<Args>,
{
    let in_flight = instance.metrics.begin();
    let is_expected = expects(&request);
    let (head, body) = request.into_parts();
    let ids = Ids::of(&head.headers);
    let head = InvocationHead::read(head.headers, in_flight.began);
    let (body_max, arrived) = (instance.sizes.body_max, in_flight.began);
    let body = async {
        let body = read(body, body_max, arrived).await?;
        connection.acknowledge(is_expected).await;
        if instance.standby.is_warming_up() { Err(Failure::AlreadyUsed) } else { Ok(body) }
    };
    response::invocation(answer(instance, connection.key, in_flight, ids, head, body).await)
}

/// Answers an attempt of a frame.
pub(crate) async fn invoke_framed<H, Args>(
    instance: &Instance<H>,
    connection: ConnectionKey,
    head: InvocationHead,
    body: &GatheredBody,
    arrived: Instant,
) -> InvocationAnswer
where
    H: Handler<Args>,
{
    let in_flight = instance.metrics.begin_at(arrived);
    let body = in_time(body.whole(), arrived);
    answer(instance, connection, in_flight, head.ids(), Ok(head), body).await
}

/// Runs an invocation, or tells the fault of its head.
async fn answer<H, Args>(
    instance: &Instance<H>,
    connection: ConnectionKey,
    in_flight: InFlight<'_>,
    ids: Ids,
    head: Result<InvocationHead, Failure>,
    body: impl Future<Output = Result<Bytes, Failure>>,
) -> InvocationAnswer
where
    H: Handler<Args>,
{
    let Instance { handler, deadlines, sizes, standby, .. } = instance;
    // Before its body is read, so that no `100` says that it began.
    let result = match standby.check().and(head) {
        Ok(head) => {
            let begin = || standby.begin(connection);
            run(&**handler, deadlines, sizes.output_max, head, body, begin, in_flight.began).await
        }
        Err(failure) => Err(failure),
    };
    let (status, body, outcome) = match result {
        Ok(output) => (StatusCode::OK, output, Outcome::Success),
        Err(failure) => {
            let message = failure.to_string();
            if !standby.is_warming_up() {
                log::failure(&ids, &failure, &message);
            }
            (failure.status(), response::failure_body(&failure, &message), failure.outcome())
        }
    };
    let cold_start_ms = instance.init_ms.take();
    in_flight.end(outcome);
    InvocationAnswer { status, body, cold_start_ms }
}

/// Everything between the head and the output, stopped at the deadline. `begin` is asked before the handler is called,
/// and its answer dropped after.
pub(crate) async fn run<'s, H, Args>(
    handler: &H,
    deadlines: &Deadlines,
    output_max: usize,
    head: InvocationHead,
    body: impl Future<Output = Result<Bytes, Failure>>,
    begin: impl FnOnce() -> Result<StandbyUse<'s>, Failure>,
    arrived: Instant,
) -> Result<Bytes, Failure>
where
    H: Handler<Args>,
{
    let deadline = head.deadline;
    let late = |deadline: Instant| Failure::DeadlinePassed { ms: (deadline - arrived).as_millis() };
    if deadline == Some(arrived) {
        return Err(late(arrived));
    }
    let mut work = pin!(Some(async {
        let body = body.await?;
        let (input, metadata) = H::Input::take(body.into()).map_err(Failure::Handler)?;
        let context = head.into_context(metadata, output_max);
        let _running = begin()?;
        let output = handler.call(input, context).await.map_err(Failure::Handler)?;
        output.into_json(output_max).map_err(Failure::Handler)
    }));
    // The panic is caught around each poll: a task of its own would cost every request
    // an allocation and a trip through the run queue.
    let ended = poll_fn(|cx| {
        let Some(work) = work.as_mut().as_pin_mut() else { return Poll::Pending };
        match caught(|| work.poll(cx)) {
            Ok(step) => step,
            Err(panic) => Poll::Ready(Err(Failure::Panicked(panic))),
        }
    });
    let result = match deadline {
        None => ended.await,
        Some(deadline) => deadlines.limit(deadline, ended).await.unwrap_or_else(|| Err(late(deadline))),
    };
    // Stops a handler that is still waiting. Its destructors may panic, too.
    match caught(|| work.set(None)) {
        Ok(()) => result,
        Err(panic) => Err(Failure::Panicked(panic)),
    }
}

/// Reads a body whole. One that comes in a single piece, as most do, is not copied.
async fn read(body: Incoming, max: usize, arrived: Instant) -> Result<Bytes, Failure> {
    if body.size_hint().lower() > max as u64 {
        return Err(Failure::BodyTooLarge { max });
    }
    in_time(gather(body, max), arrived).await
}

/// Waits for a body no longer than one may take.
async fn in_time(
    body: impl Future<Output = Result<Bytes, Failure>>,
    arrived: Instant,
) -> Result<Bytes, Failure> {
    let mut body = pin!(body);
    // One that is there needs no timer.
    if let Some(read) = body.as_mut().now_or_never() {
        return read;
    }
    timeout_at(arrived + BODY_READ_MAX, body)
        .await
        .unwrap_or(Err(Failure::BodyLate { seconds: BODY_READ_MAX.as_secs() }))
}

async fn gather(mut body: Incoming, max: usize) -> Result<Bytes, Failure> {
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame.map_err(Failure::BodyBroken)?.into_data() else { continue };
        if piece.len() > max - whole.len().max(first.len()) {
            return Err(Failure::BodyTooLarge { max });
        }
        if first.is_empty() {
            first = piece;
        } else {
            if whole.is_empty() {
                whole.extend_from_slice(&first);
            }
            whole.extend_from_slice(&piece);
        }
    }
    Ok(if whole.is_empty() { first } else { whole.freeze() })
}
