//! What can be served: an async function from an input to an output.

use std::future::Future;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::context::Context;
use crate::handler_error::HandlerError;

/// An async function from an input to an output, with or without a [`Context`].
///
/// Nobody has to implement it: it holds for every `Fn(In) -> impl Future` and every
/// `Fn(In, Context) -> impl Future` whose future gives a `Result<Out, E>`, with `In`
/// deserializable, `Out` serializable, and `E` any [`std::error::Error`] or a
/// [`HandlerError`]. `Args` only tells the two forms apart.
///
/// A handler's future is dropped, at one of its `.await`s, when the deadline passes or
/// when the caller closes the connection.
pub trait Handler<Args>: 'static {
    /// Read from the request's `input`. `Box<serde_json::value::RawValue>` takes it as
    /// it came.
    type Input: DeserializeOwned;
    /// Written as the answer's body.
    type Output: Serialize;

    /// Starts the handler.
    fn call(
        &self,
        input: Self::Input,
        context: Context,
    ) -> impl Future<Output = Result<Self::Output, HandlerError>>;
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
