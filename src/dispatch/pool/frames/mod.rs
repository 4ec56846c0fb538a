//! Frames: many attempts over one connection to an instance (`docs/frames.md`). The protocol itself is in the crate
//! `picofaas-frames`; here are the socket and the attempts.
//!
//! An attempt over frames has no task. It begins with a call, its bytes wait until the connection's own task has its
//! turn, which comes behind everything that is ready: so what becomes ready together is written with one write. What
//! comes of it is told to the gateway by that task.
//!
//! | file | holds |
//! |---|---|
//! | `offer` | whether an instance speaks frames, as far as this gateway has asked it |
//! | `opening` | the request that asks it |
//! | `frame_connection` | an open connection: begins and stops attempts |
//! | `frame_state` | the protocol's state of it, and ours of each attempt |
//! | `frame_driver` | its socket: reads, writes, waits, and tells what came of each attempt |
//! | `frame_outcome` | the things that come of an attempt |
//! | `framed_attempt` | an attempt on it, and what has come of its answer |
//! | `framed_body` | the body of an answer to a web request, on its way |
//! | `request_head` | an execution as the head of a request |

pub(crate) mod frame_connection;
pub(crate) mod frame_driver;
pub(crate) mod frame_outcome;
mod frame_state;
mod framed_attempt;
pub(crate) mod framed_body;
pub(crate) mod offer;
pub(crate) mod opening;
mod request_head;
