//! A handler: an async function from an input to an output.

use std::future::{Future, ready};

use hyper::{Request, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::context::Context;
use crate::handler_error::HandlerError;
use crate::output::Output;
use crate::raw_body::Input;
use crate::request_body::RequestBody;
use crate::response_body::ResponseBody;

/// An async function from an input to an output, with or without a [`Context`].
///
/// Hardly anybody has to implement it: it holds for every `Fn(In) -> impl Future` and every
/// `Fn(In, Context) -> impl Future` whose future gives a `Result<Out, E>`, with `In`
/// deserializable, `Out` serializable, and `E` any [`std::error::Error`] or a
/// [`HandlerError`]. `Args` only tells the two forms apart.
///
/// A handler's future is dropped, at one of its `.await`s, when the deadline passes or
/// when the caller closes the connection.
///
/// A handler that has something of its own to keep, such as other processes, implements
/// the trait for its own type, with `Args = ()`, and says what happens around its calls.
pub trait Handler<Args>: 'static {
    /// Read from the request's `input`. `Box<serde_json::value::RawValue>` takes it as
    /// it came, and [`RawBody`](crate::RawBody) the whole body.
    type Input: Input;
    /// Written as the answer's body. [`OutputBytes`](crate::OutputBytes) are passed on as they are.
    type Output: Output;

    /// Starts the handler.
    fn call(
        &self,
        input: Self::Input,
        context: Context,
    ) -> impl Future<Output = Result<Self::Output, HandlerError>>;

    /// Answers a web request (`docs/runtime.md#web-requests`). Its path is the one below the function's name. Without an
    /// answer of its own a handler takes none: 501 `NOT_A_WEB_FUNCTION`. [`serve_web`](crate::serve_web) is the usual
    /// way to have one.
    ///
    /// The deadline of `context` is that of the head. The body of the answer may take longer; it is dropped
    /// when the caller closes the connection.
    fn web(
        &self,
        _request: Request<RequestBody>,
        _context: Context,
    ) -> impl Future<Output = Result<Response<ResponseBody>, HandlerError>> {
        ready(Err(HandlerError::not_taken(
            "NOT_A_WEB_FUNCTION",
            "the handler takes JSON and no web requests: remove `web` from the function, or give it a handler of web \
             requests (serve_web)",
        )))
    }

    /// Gets ready for the first call. A server listens only afterwards, and ends with
    /// exit code 1 where this fails; a JOB fetches its input meanwhile, and its invocation
    /// fails as this does.
    fn start(&self) -> impl Future<Output = Result<(), HandlerError>> {
        ready(Ok(()))
    }

    /// Whether it can take calls; the answer to `GET /health`.
    ///
    /// # Errors
    /// The reason for which it cannot.
    fn health(&self) -> Result<(), HandlerError> {
        Ok(())
    }

    /// Appends metrics of its own, as Prometheus' text, to the answer to `GET /metrics`.
    fn write_metrics(&self, _text: &mut String) {}

    /// Ends the things that it keeps. Called once, after the last call has ended, also where `start`
    /// failed or was interrupted.
    fn stop(&self) -> impl Future<Output = ()> {
        ready(())
    }
}

impl<F, Running, In, Out, E> Handler<(In,)> for F
where
    F: Fn(In) -> Running + 'static,
    Running: Future<Output = Result<Out, E>>,
    In: DeserializeOwned,
    Out: Serialize,
    E: Into<HandlerError>,
{
    type Input = In;
    type Output = Out;

    async fn call(&self, input: In, _context: Context) -> Result<Out, HandlerError> {
        self(input).await.map_err(Into::into)
    }
}

impl<F, Running, In, Out, E> Handler<(In, Context)> for F
where
    F: Fn(In, Context) -> Running + 'static,
    Running: Future<Output = Result<Out, E>>,
    In: DeserializeOwned,
    Out: Serialize,
    E: Into<HandlerError>,
{
    type Input = In;
    type Output = Out;

    async fn call(&self, input: In, context: Context) -> Result<Out, HandlerError> {
        self(input, context).await.map_err(Into::into)
    }
}
