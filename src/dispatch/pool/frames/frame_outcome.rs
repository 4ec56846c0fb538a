//! Outcomes of attempts on a connection that carries many.

use bytes::Bytes;

use crate::attempt_end::AttemptEnd;
use crate::dispatch::pool::connection::ExchangeError;
use crate::dispatch::pool::web::framed_answer::FramedWebAnswer;
use crate::dispatch::pool::web::framed_stream::FramedStream;
use crate::dispatch::pool::web::web_failure::WebFailure;
use crate::store::attempt_result::AttemptResult;
use crate::ticket::Ticket;

/// Something that came of an attempt, or that the instance says of the connection.
#[derive(Debug)]
pub(crate) enum FrameOutcome {
    /// It is over by its result.
    Ended {
        /// The attempt's execution.
        ticket: Ticket,
        /// The result.
        result: AttemptResult,
    },
    /// Its connection was lost when it had been sent.
    Lost {
        /// The attempt's execution.
        ticket: Ticket,
        /// The cause.
        error: ExchangeError,
    },
    /// A whole answer to a web request has come.
    WebAnswered {
        /// The attempt's execution.
        ticket: Ticket,
        /// The answer.
        answer: FramedWebAnswer,
        /// Its body.
        body: Bytes,
    },
    /// The head of an answer to a web request has come. The task that passes its body on tells of its end.
    WebBegun(FramedStream),
    /// An attempt at a web request has ended without an answer.
    WebFailed {
        /// The attempt's execution.
        ticket: Ticket,
        /// The cause.
        failure: WebFailure,
    },
    /// The instance has let go of an attempt that was stopped: its permit and its place are free.
    Stopped {
        /// The attempt's execution.
        ticket: Ticket,
        /// The end that the scheduler is to be told.
        how: AttemptEnd,
    },
    /// The instance goes on with an attempt that was stopped: its permit is free, its place is not.
    Stuck {
        /// The attempt's execution.
        ticket: Ticket,
        /// The end that the scheduler is to be told.
        how: AttemptEnd,
    },
    /// The place of one that was stuck is free.
    Freed,
    /// The instance says that frames from here are wrong. Once for a connection.
    Accused {
        /// The code of the violation that it found.
        code: u16,
        /// Its words.
        text: String,
    },
}
