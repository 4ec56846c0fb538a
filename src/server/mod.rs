//! Listeners and connections, as gateways and the management listener serve them.
//!
//! | file | holds |
//! |---|---|
//! | `bind` | listening sockets |
//! | `connections` | the connections of one listener: accepted, served, swept, closed |
//! | `client_io` | the socket under a connection |
//! | `request_body` | bodies of requests, read within limits of bytes and time |

pub mod bind;
pub mod client_io;
pub mod connections;
pub mod request_body;
