//! Attempts of functions that answer HTTP requests as they are. Bytes of bodies go from socket to socket on the thread of
//! the gateway, through a bounded buffer, and never into the record of their execution.
//!
//! | file | holds |
//! |---|---|
//! | `web_attempt` | the task of one attempt: the request out, the answer back |
//! | `web_failure` | the lack of an answer, and what that makes of the attempt |
//! | `sent_request` | the head of a request, and its body where that is whole |
//! | `upload` | the body of a request that is passed on as it comes |
//! | `answer_head` | the head of an answer, with its headers |
//! | `answer_body` | the body of an answer, taken out of its framing piece by piece |
//! | `framed_answer` | the head of an answer that came in a frame, and all of one that is whole |
//! | `framed_stream` | the task of such an answer whose body comes piece by piece |
//! | `idle_timer` | the end of patience with a body of which nothing comes and nothing goes |
//! | `web_socket` | the ends of the frames of a WebSocket |
//! | `tunnel` | the bytes of a connection whose protocol was changed |

mod answer_body;
mod answer_head;
pub(crate) mod framed_answer;
pub(crate) mod framed_stream;
mod idle_timer;
mod sent_request;
pub(crate) mod tunnel;
mod upload;
pub(crate) mod web_attempt;
pub(crate) mod web_failure;
mod web_socket;
