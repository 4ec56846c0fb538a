//! The HTTP exchange of an execution whose function answers requests as they are: what goes to its instance, and what
//! comes back to its client.

use std::cell::Cell;
use std::rc::Rc;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderValue};
use hyper::{Method, StatusCode};
use tokio::net::TcpStream;

use crate::channel::{AnswerSender, MessageReceiver};

/// The head of a request, as an instance gets it.
#[derive(Debug)]
pub(crate) struct WebRequest {
    /// The method.
    pub method: Method,
    /// The path below the function, which begins with `/`, and the query.
    pub target: Box<str>,
    /// The lines of the head but for the request line, the length of the body, and what differs by attempt.
    pub lines: Box<[u8]>,
    /// The protocol that the client wants to change to.
    pub upgrade: Option<HeaderValue>,
    /// How its body comes.
    pub body: RequestBody,
    /// The limit of its body.
    pub body_limit: Option<BodyLimit>,
    /// The client takes trailers behind an answer in chunks.
    pub takes_trailers: bool,
}

/// Bytes that the body of a request may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BodyLimit {
    /// At most so many.
    pub bytes: u64,
    /// The flag or the field that says so.
    pub setting: &'static str,
}

impl BodyLimit {
    /// The message of a body that is larger.
    #[cold]
    pub(crate) fn message(self) -> String {
        format!("the body is larger than {} bytes ({})", self.bytes, self.setting)
    }
}

/// The way in which the body of a request comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestBody {
    /// There is none, and no length of one.
    None,
    /// It is whole, and is the payload of its execution.
    Whole,
    /// It has this length, and is passed on as it comes.
    Known(u64),
    /// Its length is not known, and it is passed on as it comes.
    Chunked,
}

/// The exchange of one execution.
#[derive(Debug)]
pub(crate) struct WebExchange {
    /// The request, until the execution has ended.
    pub request: Option<Rc<WebRequest>>,
    /// The body of the request, where it is passed on as it comes and no attempt has begun to.
    pub upload: Option<Incoming>,
    /// The way to the client, until it has the head of the answer.
    pub reply: Option<AnswerSender<WebReply>>,
    /// No client waits: the answer is kept with the execution.
    pub keeps_answer: bool,
    /// Headers of the answer that is kept, once it is.
    pub kept: Option<HeaderMap>,
    /// Its place among the connections whose protocol was changed, where it wants one.
    pub place: Option<UpgradePlace>,
    /// The execution's deadline is not its end any more: its answer has begun, or its request still comes.
    pub outlives_deadline: bool,
    /// Status of the answer; 0: none yet.
    pub status: u16,
    /// Bytes of the request's body that were passed on.
    pub request_bytes: u64,
    /// Bytes of the answer's body that were passed on.
    pub answer_bytes: u64,
}

impl WebExchange {
    /// An exchange of which nothing was sent.
    #[must_use]
    pub(crate) fn new(
        request: WebRequest,
        upload: Option<Incoming>,
        place: Option<UpgradePlace>,
        reply: AnswerSender<WebReply>,
    ) -> Self {
        Self { upload, reply: Some(reply), place, ..Self::of_nobody(request) }
    }

    /// An exchange whose client does not wait for the answer, with the whole body of its request in the execution.
    #[must_use]
    pub(crate) fn kept(request: WebRequest, request_bytes: u64) -> Self {
        Self { keeps_answer: true, request_bytes, ..Self::of_nobody(request) }
    }

    fn of_nobody(request: WebRequest) -> Self {
        Self {
            request: Some(Rc::new(request)),
            upload: None,
            reply: None,
            keeps_answer: false,
            kept: None,
            place: None,
            outlives_deadline: false,
            status: 0,
            request_bytes: 0,
            answer_bytes: 0,
        }
    }

    /// Bytes of the request's head that it holds.
    #[must_use]
    pub(crate) fn head_bytes(&self) -> usize {
        self.request.as_ref().map_or(0, |request| request.target.len() + request.lines.len())
    }

    /// Whether it may be sent again after an attempt at it was lost.
    #[must_use]
    pub(crate) fn may_be_repeated(&self) -> bool {
        self.request.as_ref().is_some_and(|request| request.may_be_repeated())
    }

    /// Lets go of the request: its execution has ended.
    pub(crate) fn let_go(&mut self) {
        self.request = None;
        self.upload = None;
        self.place = None;
    }
}

/// A place among the connections of a function whose protocol was changed; free when it is dropped.
#[derive(Debug)]
pub(crate) struct UpgradePlace(Rc<Cell<u32>>);

impl UpgradePlace {
    /// One more place; none where there are `most`.
    #[must_use]
    pub(crate) fn take(taken: &Rc<Cell<u32>>, most: u32) -> Option<Self> {
        if taken.get() >= most {
            return None;
        }
        taken.set(taken.get() + 1);
        Some(Self(taken.clone()))
    }
}

impl Drop for UpgradePlace {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl WebRequest {
    /// Whether it can go in a frame: all of it is there, and it does not change the protocol.
    #[must_use]
    pub(crate) fn fits_a_frame(&self) -> bool {
        self.upgrade.is_none() && matches!(self.body, RequestBody::None | RequestBody::Whole)
    }

    /// Whether it may be sent again after an attempt at it was lost: the method says that two have the effect of one
    /// (RFC 9110, 9.2.2), and its body is whole.
    #[must_use]
    fn may_be_repeated(&self) -> bool {
        self.method.is_idempotent()
            && self.upgrade.is_none()
            && matches!(self.body, RequestBody::None | RequestBody::Whole)
    }
}

/// The answer of an instance, for the client.
#[derive(Debug)]
pub(crate) struct WebReply {
    /// Its status.
    pub status: StatusCode,
    /// Its headers, without those between two hops.
    pub headers: HeaderMap,
    /// Its body.
    pub body: ReplyBody,
}

/// The body of an answer.
#[derive(Debug)]
pub(crate) enum ReplyBody {
    /// All of it.
    Whole(Bytes),
    /// Pieces, as they come.
    Pieces(MessageReceiver<Piece>),
    /// The protocol is changed: the client's stream goes this way once it has the head.
    Upgraded(AnswerSender<ClientStream>),
}

/// A piece of a body that comes by and by.
#[derive(Debug)]
pub enum Piece {
    /// More.
    Bytes(Bytes),
    /// Nothing more comes, and nothing is missing. With trailers, where there are some.
    End(Option<HeaderMap>),
}

/// The stream of a client whose protocol was changed.
#[derive(Debug)]
pub struct ClientStream {
    /// Its socket.
    pub stream: TcpStream,
    /// Bytes that were read from it already.
    pub read: Bytes,
}
