//! Messages to a gateway, of control and of the other gateways: everything that does not go over a
//! ring.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::{Request, Response};

use crate::api::call::Call;
use crate::api::listener::Listener;
use crate::api::response::body::Body;
use crate::channel::AnswerSender;
use crate::error::ApiError;
use crate::function_version::FunctionVersion;
use crate::id::ExecutionId;
use crate::instance::VersionIndex;
use crate::store::history::Lost;
use crate::store::listing::{Page, Search};
use crate::store::slow_execution::SlowestByGateway;
use crate::store::summary::Summary;

/// A request with its whole body.
pub(crate) type WholeRequest = Request<Bytes>;

/// A request that came in elsewhere.
#[derive(Debug)]
pub struct RoutedRequest {
    /// The listener that it came in on.
    pub listener: Listener,
    /// The call that it asks for.
    pub call: Call,
    /// The request.
    pub request: WholeRequest,
}

/// Control or another gateway → gateway.
#[derive(Debug)]
pub enum GatewayMessage {
    /// A version of a function: grants for it may come after this was acknowledged.
    Learn { function: Arc<FunctionVersion>, slowest: SlowestByGateway, done: AnswerSender<()> },
    /// The function of this name is, from now on, this version's.
    Publish { name: String, version: VersionIndex, done: AnswerSender<()> },
    /// There is no function of this name any more.
    Withdraw { name: String, done: AnswerSender<()> },
    /// There is no function of this name yet, for this reason; from now on as for any other name where there
    /// is none.
    Await { name: String, reason: Option<Box<ApiError>>, done: AnswerSender<()> },
    /// The version was closed: no grant for it will come.
    Forget { version: VersionIndex },
    /// A request that came in elsewhere. Where the asker goes before it is answered, so does the
    /// client, and who waits for an execution has left.
    Serve { request: Box<RoutedRequest>, answer: AnswerSender<Response<Body>> },
    /// Some of the executions that this gateway owns.
    List { search: Box<Search>, answer: AnswerSender<Result<Page<Summary>, Lost>> },
    /// Tell the function of an execution and, where that is asked for, when the execution has ended.
    Watch {
        id: String,
        found: AnswerSender<Result<FoundExecution, ApiError>>,
        ended: Option<AnswerSender<()>>,
    },
    /// Refuse new invocations; answered when the gauges tell what was accepted.
    Drain { done: AnswerSender<()> },
    /// End what is not over yet and close the connections, those that an answer is being written to after at most
    /// `answers`; answered when they are closed. Requests of other gateways' clients are served until
    /// [`GatewayMessage::Stop`].
    Finish { answers: Duration, done: AnswerSender<()> },
    /// Nobody needs this gateway any more.
    Stop,
}

/// An execution that a store still has.
#[derive(Debug)]
pub struct FoundExecution {
    /// Its id.
    pub id: ExecutionId,
    /// The version of the function that it was admitted to, or that ran it last.
    pub function: Arc<FunctionVersion>,
}
