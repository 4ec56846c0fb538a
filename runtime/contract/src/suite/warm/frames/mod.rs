//! Frames themselves, byte by byte, as docs/frames.md has them.
//!
//! | file | cases about |
//! |---|---|
//! | `opening` | the change from HTTP/1.1, and connections beside each other |
//! | `flow` | bodies, windows, turns, order |
//! | `cancel` | attempts that nobody waits for any more |
//! | `life` | signs of life, and going away |
//! | `violations` | breaches, each with its code |

pub(crate) mod cancel;
pub(crate) mod flow;
pub(crate) mod life;
pub(crate) mod opening;
pub(crate) mod violations;

use picofaas_contract::frame_wire::{Frame, FrameConnection, Limits, PAYLOAD_BYTES_MAX, WINDOW_BYTES};

use super::warm_instance::{Stream, WarmInstance};

/// A connection on which both ends have greeted, with the usual limits.
#[track_caller]
fn greeted(instance: &WarmInstance) -> (FrameConnection<Stream>, Limits) {
    FrameConnection::greet(instance.connect(), &usual_hello())
}

fn usual_hello() -> Frame {
    Frame::hello(WINDOW_BYTES, PAYLOAD_BYTES_MAX)
}
