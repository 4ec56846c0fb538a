//! One web request (`docs/runtime.md#web-requests`): head → handler → head of the answer → its body.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context as Task, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::CONTENT_LENGTH;
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Request, Response, StatusCode, Uri};
use tokio::time::Instant;

use crate::body_writer::WriterError;
use crate::caller::Ids;
use crate::clock;
use crate::context::{InvocationHead, check_execution};
use crate::failure::Failure;
use crate::flushed_stream::Flushes;
use crate::handler::Handler;
use crate::handler_error::HandlerError;
use crate::inbound_connection::InboundConnection;
use crate::log;
use crate::metrics::Outcome;
use crate::panics::caught;
use crate::request_body::RequestBody;
use crate::response::{self, HttpResponse};
use crate::response_body::{AnyError, ResponseBody};
use crate::server::Instance;
use crate::standby::ConnectionKey;

/// The path under which a function gets web requests.
const PREFIX: &str = "/web";

/// Whether a request is for a function that speaks HTTP.
pub(crate) fn is_web(uri: &Uri) -> bool {
    below(uri.path()).is_some()
}

/// The path that the client asked for.
fn below(path: &str) -> Option<&str> {
    path.strip_prefix(PREFIX).filter(|rest| rest.starts_with('/'))
}

/// Answers a web request.
pub(crate) async fn answer<H, Args>(
    instance: &Rc<Instance<H>>,
    connection: &InboundConnection,
    request: Request<Incoming>,
) -> HttpResponse
where
    H: Handler<Args>,
{
    if check_execution(request.headers()).is_err() {
        return response::foreign_web();
    }
    let mut invocation = WebInvocation::begin(instance, Ids::of(request.headers()));
    let is_head = request.method() == Method::HEAD;
    match invocation.run(connection.key, of_function(request)).await {
        Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
            invocation.outcome = Outcome::Success;
            connection.switched.set(Some(Box::new(invocation)));
            response
        }
        Ok(response) => invocation.answered(Some(&connection.flushes), is_head, response),
        Err(failure) => invocation.failed(&failure),
    }
}

/// Answers a web request of a frame on a connection.
pub(crate) async fn answer_framed<H, Args>(
    instance: &Rc<Instance<H>>,
    connection: ConnectionKey,
    request: Request<RequestBody>,
) -> HttpResponse
where
    H: Handler<Args>,
{
    let mut invocation = WebInvocation::begin(instance, Ids::of(request.headers()));
    let is_head = request.method() == Method::HEAD;
    match invocation.run(connection, request).await {
        Ok(response) => invocation.answered(None, is_head, response),
        Err(failure) => invocation.failed(&failure),
    }
}

/// A web request that is being answered. Dropped without an outcome it counts as cancelled: hyper drops the handler and
/// the body for a caller that went away.
struct WebInvocation<H> {
    instance: Rc<Instance<H>>,
    ids: Ids,
    began: Instant,
    outcome: Outcome,
    /// Whether the handler was called.
    has_run: bool,
}

impl<H> WebInvocation<H> {
    fn begin(instance: &Rc<Instance<H>>, ids: Ids) -> Self {
        instance.metrics.count_in();
        let instance = Rc::clone(instance);
        Self { instance, ids, began: clock::now(), outcome: Outcome::Cancelled, has_run: false }
    }

    fn end(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }

    /// From the head to the head of the answer, stopped at the deadline.
    async fn run<Args>(
        &mut self,
        connection: ConnectionKey,
        request: Request<RequestBody>,
    ) -> Result<Response<ResponseBody>, Failure>
    where
        H: Handler<Args>,
    {
        let Instance { handler, deadlines, sizes, standby, .. } = &*self.instance;
        let arrived = self.began;
        standby.check()?;
        let head = InvocationHead::of_web(request.headers(), arrived)?;
        let deadline = head.deadline;
        let late = |deadline: Instant| Failure::DeadlinePassed { ms: (deadline - arrived).as_millis() };
        if deadline == Some(arrived) {
            return Err(late(arrived));
        }
        standby.take(connection)?;
        self.has_run = true;
        let context = head.into_context(Default::default(), sizes.output_max);
        let mut work = pin!(Some(async { handler.web(request, context).await }));
        let ended = poll_fn(|cx| {
            let Some(work) = work.as_mut().as_pin_mut() else { return Poll::Pending };
            match caught(|| work.poll(cx)) {
                Ok(step) => step.map_err(Failure::Handler),
                Err(panic) => Poll::Ready(Err(Failure::Panicked(panic))),
            }
        });
        let result = match deadline {
            None => ended.await,
            Some(deadline) => deadlines.limit(deadline, ended).await.unwrap_or_else(|| Err(late(deadline))),
        };
        caught(|| work.set(None)).map_err(Failure::Panicked)?;
        check_status(result?)
    }

    /// The answer that tells a failure.
    fn failed(self, failure: &Failure) -> HttpResponse {
        let message = failure.to_string();
        log::failure(&self.ids, failure, &message);
        self.end(failure.outcome());
        response::failure(failure, &message)
    }

    /// The answer, with a body that ends the invocation when it ends. `flushes` are those of its connection, where it has
    /// one of its own.
    fn answered(
        self,
        flushes: Option<&Arc<Flushes>>,
        is_head: bool,
        response: Response<ResponseBody>,
    ) -> HttpResponse
    where
        H: 'static,
    {
        let status = response.status();
        let has_no_body = is_head || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let length = response.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
        let left: Option<u64> = length.and_then(|length| length.parse().ok());
        let body = response.body();
        let is_whole = body.is_whole() && left.is_none_or(|left| body.size_hint().exact() == Some(left));
        if has_no_body || is_whole || left.is_none() && body.is_end_stream() {
            self.end(Outcome::Success);
            // The length of an answer without a body is that of another one.
            let is_other = has_no_body && left.is_some();
            return if is_other { response.map(|_| ResponseBody::empty()) } else { response };
        }
        let flushes = flushes.map(Arc::clone);
        response.map(|body| {
            ResponseBody::new(AnsweredBody {
                invocation: Some(self),
                body: Some(body),
                left,
                flushes,
                fault: None,
            })
        })
    }
}

impl<H> Drop for WebInvocation<H> {
    fn drop(&mut self) {
        self.instance.metrics.count_out(self.began, self.outcome);
        if self.has_run {
            self.instance.standby.has_ended();
        }
    }
}

/// The request as the function knows it: its path is the one below the function's name.
fn of_function(request: Request<Incoming>) -> Request<RequestBody> {
    let (mut head, body) = request.into_parts();
    let target = head.uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let path = below(target).unwrap_or(target).parse::<PathAndQuery>();
    head.uri = path.map(Uri::from).unwrap_or_default();
    Request::from_parts(head, RequestBody::new(body))
}

/// Refuses an answer that HTTP does not have.
fn check_status(response: Response<ResponseBody>) -> Result<Response<ResponseBody>, Failure> {
    match response.status().as_u16() {
        101 | 200..=599 => Ok(response),
        status => {
            let message =
                format!("the handler answered with the status {status}, and an answer has 200 … 599");
            Err(Failure::Handler(HandlerError::internal(message)))
        }
    }
}

/// The body of an answer, on its way.
struct AnsweredBody<H> {
    /// Until it has ended.
    invocation: Option<WebInvocation<H>>,
    /// Until it is dropped.
    body: Option<ResponseBody>,
    /// Bytes that are still to come, where the handler has said how many. hyper asks for no more.
    left: Option<u64>,
    /// Of a connection that breaks with this body.
    flushes: Option<Arc<Flushes>>,
    /// The error of the body, until the caller has been sent what came before it.
    fault: Option<AnyError>,
}

impl<H> AnsweredBody<H> {
    fn step(&mut self, cx: &mut Task<'_>) -> Poll<Option<Result<Frame<Bytes>, AnyError>>> {
        if self.fault.is_some() {
            if let Some(flushes) = &self.flushes {
                ready!(flushes.poll_asked(cx));
            }
            return Poll::Ready(self.fault.take().map(Err));
        }
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        match caught(|| Pin::new(&mut *body).poll_frame(cx)) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(Some(Ok(frame)))) => {
                if let (Some(left), Some(bytes)) = (&mut self.left, frame.data_ref()) {
                    *left = left.saturating_sub(bytes.len() as u64);
                }
                if self.left.map_or_else(|| body.is_end_stream(), |left| left == 0) {
                    self.end();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Ok(Poll::Ready(None)) => match self.left {
                None | Some(0) => {
                    self.end();
                    Poll::Ready(None)
                }
                Some(left) => {
                    let message = format!("the body ended {left} bytes before its Content-Length");
                    self.fail(cx, &Failure::Handler(HandlerError::internal(message)))
                }
            },
            Ok(Poll::Ready(Some(Err(error)))) => {
                let error = match error.downcast::<WriterError>() {
                    Ok(error) => error.0,
                    Err(error) => HandlerError::internal(error),
                };
                self.fail(cx, &Failure::Handler(error))
            }
            Err(panic) => self.fail(cx, &Failure::Panicked(panic)),
        }
    }

    /// Ends the body with an error, which breaks the answer off, when the caller has been sent what came before.
    fn fail(&mut self, cx: &mut Task<'_>, failure: &Failure) -> Poll<Option<Result<Frame<Bytes>, AnyError>>> {
        self.report(failure);
        self.fault = Some(failure.to_string().into());
        if let Some(flushes) = &self.flushes {
            flushes.ask();
        }
        self.step(cx)
    }

    fn end(&mut self) {
        if let Some(invocation) = self.invocation.take() {
            invocation.end(Outcome::Success);
        }
    }

    /// Tells the log, as the caller has the head of the answer.
    fn report(&mut self, failure: &Failure) {
        if let Some(invocation) = self.invocation.take() {
            log::failure(&invocation.ids, failure, &format!("the answer broke off: {failure}"));
            invocation.end(failure.outcome());
        }
    }
}

impl<H> Drop for AnsweredBody<H> {
    fn drop(&mut self) {
        // A destructor of the handler may panic, too.
        if let Err(panic) = caught(|| drop(self.body.take())) {
            self.report(&Failure::Panicked(panic));
        }
    }
}

impl<H> Unpin for AnsweredBody<H> {}

impl<H> Body for AnsweredBody<H> {
    type Data = Bytes;
    type Error = AnyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Task<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, AnyError>>> {
        self.step(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_none_or(|left| left == 0) && self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        // hyper relies on it, so it is of no body that may differ from the length that the handler has said.
        let body = self.body.as_ref().filter(|_| self.left.is_none());
        body.map_or_else(SizeHint::default, Body::size_hint)
    }
}
