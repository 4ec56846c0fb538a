//! The body of an answer: bytes that are there, or pieces that come.

use std::any::Any;
use std::error::Error;
use std::fmt::{self, Debug};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{FutureExt as _, TryFutureExt as _};
use http_body_util::combinators::MapErr;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Frame, SizeHint};

use crate::body_writer::{BodyWriter, WrittenBody};
use crate::handler_error::HandlerError;

/// An error of any kind, as libraries have it.
pub(crate) type AnyError = Box<dyn Error + Send + Sync>;

/// A body whose pieces come.
type Pieces = Pin<Box<dyn Body<Data = Bytes, Error = AnyError>>>;

/// The body of an answer to a web request: [`Bytes`] or a text by `into()`, any [`Body`] of the crate `http-body` by
/// [`new`](Self::new), or one that is written piece by piece with [`written`](Self::written).
pub struct ResponseBody(Content);

enum Content {
    Whole(Full<Bytes>),
    Pieces(Pieces),
}

impl ResponseBody {
    /// No bytes.
    #[must_use]
    pub fn empty() -> Self {
        Self(Content::Whole(Full::default()))
    }

    /// Takes a body of a library. Its next piece is asked for when the connection has room, and is sent at once. Where
    /// it fails, the failure is logged and the connection is closed, so that nobody takes its beginning for the whole.
    pub fn new<B>(body: B) -> Self
    where
        B: Body<Data = Bytes> + 'static,
        B::Error: Into<AnyError>,
    {
        // One of ours needs no other box.
        let mut body = Some(body);
        if let Some(own) = (&mut body as &mut dyn Any).downcast_mut::<Option<Self>>().and_then(Option::take) {
            return own;
        }
        if let Some(whole) =
            (&mut body as &mut dyn Any).downcast_mut::<Option<Full<Bytes>>>().and_then(Option::take)
        {
            return Self(Content::Whole(whole));
        }
        let body: MapErr<B, fn(B::Error) -> AnyError> =
            body.expect("it was not taken").map_err(Into::into as fn(B::Error) -> AnyError);
        Self(Content::Pieces(Box::pin(body)))
    }

    /// A body that `write` writes piece by piece, while its answer is sent. It is dropped at one of its `.await`s when
    /// the caller closes the connection. Where it fails or panics, that is logged and the connection is closed.
    ///
    /// ```
    /// # use std::convert::Infallible;
    /// # use picofaas_runtime::http::{Request, Response};
    /// # use picofaas_runtime::{RequestBody, ResponseBody};
    /// async fn count(_request: Request<RequestBody>) -> Result<Response<ResponseBody>, Infallible> {
    ///     let body = ResponseBody::written(async |mut writer| {
    ///         for n in 1..=3 {
    ///             writer.write(format!("data: {n}\n\n")).await?;
    ///         }
    ///         Ok::<_, std::io::Error>(())
    ///     });
    ///     let mut response = Response::new(body);
    ///     response.headers_mut().insert("content-type", "text/event-stream".parse().expect("a value"));
    ///     Ok(response)
    /// }
    /// ```
    pub fn written<F, E>(write: F) -> Self
    where
        F: AsyncFnOnce(BodyWriter) -> Result<(), E> + 'static,
        E: Into<HandlerError> + 'static,
    {
        let (writer, piece) = BodyWriter::new();
        let writing = async move { write(writer).await }.map_err(Into::into);
        Self(Content::Pieces(Box::pin(WrittenBody::new(Box::pin(writing), piece))))
    }

    /// All of it, where it is there.
    pub(crate) fn into_whole(self) -> Result<Bytes, Self> {
        match self.0 {
            Content::Whole(mut whole) => {
                let frame = whole.frame().now_or_never().flatten();
                let bytes = frame.and_then(Result::ok).and_then(|frame| frame.into_data().ok());
                Ok(bytes.unwrap_or_default())
            }
            pieces @ Content::Pieces(_) => Err(Self(pieces)),
        }
    }

    /// Whether all of it is there.
    pub(crate) fn is_whole(&self) -> bool {
        matches!(self.0, Content::Whole(_))
    }
}

impl<B: Into<Bytes>> From<B> for ResponseBody {
    fn from(bytes: B) -> Self {
        Self(Content::Whole(Full::new(bytes.into())))
    }
}

impl Default for ResponseBody {
    fn default() -> Self {
        Self::empty()
    }
}

impl Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Content::Whole(whole) => f.debug_tuple("ResponseBody").field(whole).finish(),
            Content::Pieces(_) => f.write_str("ResponseBody(..)"),
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, AnyError>>> {
        match &mut self.0 {
            Content::Whole(whole) => Pin::new(whole).poll_frame(cx).map_err(|never| match never {}),
            Content::Pieces(pieces) => pieces.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Content::Whole(whole) => whole.is_end_stream(),
            Content::Pieces(pieces) => pieces.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Content::Whole(whole) => whole.size_hint(),
            Content::Pieces(pieces) => pieces.size_hint(),
        }
    }
}
