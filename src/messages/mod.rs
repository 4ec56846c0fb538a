//! Messages between the gateways and the control thread: everything that does not go over a ring.
//!
//! | file | holds |
//! |---|---|
//! | `gateway_message` | messages to a gateway, of control and of the other gateways |
//! | `gateway_senders` | the ways to all gateways, by index |
//! | `control_message` | messages to the control thread |

pub(crate) mod control_message;
pub(crate) mod gateway_message;
pub(crate) mod gateway_senders;
