//! A handler of web requests: an async function from a request to an answer, or a service of `tower`.

use std::future::Future;

use bytes::Bytes;
use hyper::body::Body;
use hyper::{Request, Response};
use tower_service::Service;

use crate::context::Context;
use crate::handler::Handler;
use crate::handler_error::HandlerError;
use crate::output::OutputBytes;
use crate::raw_body::RawBody;
use crate::request_body::RequestBody;
use crate::response_body::{AnyError, ResponseBody};

/// An async function from a request to an answer, with or without a [`Context`], or a service of `tower`.
///
/// Nobody has to implement it: it holds for every `Fn(Request<RequestBody>) -> impl Future` and every
/// `Fn(Request<RequestBody>, Context) -> impl Future` whose future gives a `Result<Response<B>, E>`, with `B` a
/// [`Body`] of the crate `http-body` and `E` any [`std::error::Error`] or a [`HandlerError`]. And it holds for every
/// service of `tower` with that request and answer, such as the `Router` of axum; there the [`Context`] is an extension
/// of the request. `Args` only tells the forms apart.
///
/// Its future is dropped, at one of its `.await`s, when the deadline of the head passes or when the caller closes the
/// connection, and so is the body of the answer in the second case.
pub trait WebHandler<Args>: 'static {
    /// Starts the handler.
    fn answer(
        &self,
        request: Request<RequestBody>,
        context: Context,
    ) -> impl Future<Output = Result<Response<ResponseBody>, HandlerError>>;
}

impl<F, Running, B, E> WebHandler<(Request<RequestBody>,)> for F
where
    F: Fn(Request<RequestBody>) -> Running + 'static,
    Running: Future<Output = Result<Response<B>, E>>,
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<AnyError>,
    E: Into<HandlerError>,
{
    async fn answer(
        &self,
        request: Request<RequestBody>,
        _context: Context,
    ) -> Result<Response<ResponseBody>, HandlerError> {
        self(request).await.map(|response| response.map(ResponseBody::new)).map_err(Into::into)
    }
}

impl<F, Running, B, E> WebHandler<(Request<RequestBody>, Context)> for F
where
    F: Fn(Request<RequestBody>, Context) -> Running + 'static,
    Running: Future<Output = Result<Response<B>, E>>,
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<AnyError>,
    E: Into<HandlerError>,
{
    async fn answer(
        &self,
        request: Request<RequestBody>,
        context: Context,
    ) -> Result<Response<ResponseBody>, HandlerError> {
        self(request, context).await.map(|response| response.map(ResponseBody::new)).map_err(Into::into)
    }
}

/// The form of a service of `tower`.
#[derive(Debug)]
pub struct TowerService;

impl<S, B> WebHandler<TowerService> for S
where
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone + 'static,
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<AnyError>,
    S::Error: Into<HandlerError>,
{
    async fn answer(
        &self,
        mut request: Request<RequestBody>,
        context: Context,
    ) -> Result<Response<ResponseBody>, HandlerError> {
        request.extensions_mut().insert(context);
        let mut service = self.clone();
        std::future::poll_fn(|cx| service.poll_ready(cx)).await.map_err(Into::into)?;
        service.call(request).await.map(|response| response.map(ResponseBody::new)).map_err(Into::into)
    }
}

/// A function that answers web requests and nothing else.
pub(crate) struct WebFunction<W>(pub(crate) W);

/// The arguments of a [`WebFunction`], which has no input.
pub(crate) struct WebArgs<Args>(std::marker::PhantomData<Args>);

impl<W, Args> Handler<WebArgs<Args>> for WebFunction<W>
where
    W: WebHandler<Args>,
    Args: 'static,
{
    type Input = RawBody;
    type Output = OutputBytes;

    async fn call(&self, _input: RawBody, _context: Context) -> Result<OutputBytes, HandlerError> {
        let message = "the handler answers web requests and takes no JSON: call the function by its address for the \
                       web, or give it a handler of JSON (serve)";
        Err(HandlerError::not_taken("NOT_A_JSON_FUNCTION", message))
    }

    fn web(
        &self,
        request: Request<RequestBody>,
        context: Context,
    ) -> impl Future<Output = Result<Response<ResponseBody>, HandlerError>> {
        self.0.answer(request, context)
    }
}
