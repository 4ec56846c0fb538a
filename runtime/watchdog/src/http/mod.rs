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
//! | `web_attempt` | a web request at the server, from its head to the end of its answer |
//! | `web_exchange` | the request as the server gets it, and the answer as the caller gets it |
//! | `web_connections` | the connections for that |
//! | `sent_body`, `answered_body` | the bodies on their way |
//! | `hop_headers` | headers that are between two hops |
//! | `tunnel` | bytes both ways, after a change of the protocol |
//! | `port` | a port that nobody else has |
//! | `head` | the heads of requests |
//! | `response` | responses as outputs and failures |
//! | `in_flight` | the executions in flight, for the log |

mod answered_body;
mod endpoint;
mod exchange;
mod head;
mod hop_headers;
mod http_handler;
mod in_flight;
mod port;
mod response;
mod sent_body;
mod server;
mod server_supervisor;
mod tunnel;
mod web_attempt;
mod web_connections;
mod web_exchange;

pub(crate) use endpoint::Endpoint;
pub(crate) use http_handler::HttpHandler;
pub(crate) use in_flight::InFlight;
