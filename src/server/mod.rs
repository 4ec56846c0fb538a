//! Listeners and connections, as gateways and the management listener serve them.
//!
//! | file | holds |
//! |---|---|
//! | `bind` | listening sockets |
//! | `connections` | the connections of one listener: accepted, served, swept, closed |
//! | `client_io` | the socket under a connection |
//! | `request_body` | bodies of requests, read within limits of bytes and time |

pub(crate) mod bind;
pub(crate) mod client_io;
pub(crate) mod connections;
pub(crate) mod request_body;
