//! `WATCHDOG_MODE=http`: an HTTP server that knows nothing of picofaas, started once and asked
//! for each request.
//!
//! | file | has |
//! |---|---|
//! | `http_handler` | the mode: a request is posted to the server that is ready |
//! | `endpoint` | port and paths of the server: the settings of this mode |
//! | `server_supervisor` | keeps one server running: starts it, watches it, replaces it |
//! | `server` | one server: its process, its log, its readiness and its end |
//! | `exchange` | requests to it, over connections that are kept |
//! | `port` | a port that nobody else has |
//! | `head` | the heads of requests |
//! | `response` | responses as outputs and failures |
//! | `in_flight` | the executions in flight, for the log |

mod endpoint;
mod exchange;
mod head;
mod http_handler;
mod in_flight;
mod port;
mod response;
mod server;
mod server_supervisor;

pub(crate) use endpoint::Endpoint;
pub(crate) use http_handler::HttpHandler;
pub(crate) use in_flight::InFlight;
