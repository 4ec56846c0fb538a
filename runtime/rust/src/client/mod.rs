//! An HTTP/1.1 client for one connection, written by hand: a request goes out in one write, its
//! answer is parsed where it was read, and no task stands behind a connection. The runtime asks
//! the control plane with it; a handler that stands in front of a server may ask that one.
//!
//! | file | has |
//! |---|---|
//! | `connection` | the socket: requests out, answers in |
//! | `head` | the head of an answer, and how the end of its body is known |

mod connection;
mod head;

pub use connection::Connection;
pub(crate) use connection::send_at_once;
pub use head::Head;
