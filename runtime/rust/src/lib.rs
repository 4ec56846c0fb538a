//! The picofaas runtime for functions written in Rust.
//!
//! A function is an async `fn` from a typed input to a typed output; [`serve`] does the
//! rest: it listens, reads and checks requests, keeps deadlines, catches panics, limits
//! sizes, counts, and stops in good order.
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! #[derive(serde::Deserialize)]
//! struct Greeting {
//!     name: String,
//! }
//!
//! async fn greet(input: Greeting) -> Result<String, picofaas_runtime::HandlerError> {
//!     if input.name.is_empty() {
//!         return Err(picofaas_runtime::HandlerError::new(422, "NAME_EMPTY", "say who you are"));
//!     }
//!     Ok(format!("hello {}", input.name))
//! }
//!
//! fn main() -> ExitCode {
//!     picofaas_runtime::serve(greet)
//! }
//! ```
//!
//! A handler that wants to know its execution id, attempt, deadline or metadata takes a
//! [`Context`] as its second argument. A program with several functions registers them
//! by name with [`Handlers`] and the environment variable `HANDLER` chooses one.
//!
//! A function that speaks HTTP as it is calls [`serve_web`] instead, with an async `fn` from a request to an answer or
//! with a service of `tower`, such as a router of axum.
//!
//! # One thread
//! Everything runs on one thread in one tokio runtime, so a handler need not be `Send`
//! and a request never changes threads. The price: a handler that computes for long
//! without an `.await` keeps every other request of its instance waiting, `/health` and
//! its own deadline included. Move such work to `tokio::task::spawn_blocking`, or give
//! the function `instanceConcurrency: 1` so that other instances take the rest.
//!
//! A panic can only be caught where it unwinds: do not build with `panic = "abort"`.
//!
//! # Environment
//! | name | meaning |
//! |---|---|
//! | `PICOFAAS_SOCKET` | path of the Unix socket to listen on; wins over `PORT` |
//! | `PORT` | TCP port on all addresses, 0 … 65535; with 0 the system picks one and the start-up line names it |
//! | `EXECUTION_MODE` | `WARM` (default) or `POOL`, which are the same to a runtime, or `JOB` |
//! | `EXECUTION_ID` | `JOB`: which execution to run |
//! | `PICOFAAS_RUNTIME_URL` | `JOB`, and `WARM` in Kubernetes: where the control plane is, `http://HOST:PORT` |
//! | `PICOFAAS_TOKEN` | the same: what to show there |
//! | `POD_IP`, `HOSTNAME` | `WARM` in Kubernetes: where the instance is reached, and its name |
//! | `PICOFAAS_STANDBY` | `1` for an instance that takes one invocation and ends |
//! | `HANDLER` | which handler of a [`Handlers`] to serve |
//! | `MAX_BODY` | largest request body in bytes, 1 … 1073741824, default [`BODY_BYTES_MAX`] |
//! | `MAX_OUTPUT` | largest output in bytes, 1 … 1073741824, default [`OUTPUT_BYTES_MAX`] |
//!
//! # A JOB
//! With `EXECUTION_MODE=JOB` the same program does not listen: it fetches one input from
//! the control plane, runs the handler once, posts the result, and ends. SIGTERM drops a
//! handler that runs.
//!
//! # An instance in Kubernetes
//! With `EXECUTION_MODE=WARM` and all of `PICOFAAS_RUNTIME_URL`, `PICOFAAS_TOKEN` and
//! `POD_IP`, an instance on `PORT` tells the control plane that it listens, until that is
//! taken. It serves meanwhile, and also where it is never taken.
//!
//! # A standby
//! With `PICOFAAS_STANDBY=1` an instance runs its handler once, refuses every later invocation with a 503
//! `ALREADY_USED`, and ends.
//!
//! # Exit codes
//! A server: 0 after SIGTERM or SIGINT, once everything that ran has been answered, and after the one
//! invocation of a standby; 1 if it could not listen. A JOB: 0 when its result was taken or nobody waits for it any
//! more; 1 if it got no input or its result was not taken; 143 if it was stopped before
//! its handler had ended. Both: 2 if the environment does not say clearly what to do.
//!
//! # Parts
//! `settings` (environment) → `listener` → `server` (accept, drain) → `route`, which
//! `origin` keeps web pages from → `invocation` (`raw_body`, input, handler, `output`) →
//! `response`. For a JOB: `settings` with `assignment` → `job` → `control_plane` (its two
//! requests, over a [`client`]'s connection) around the same `invocation` → `completion`.
//! A connection that asks for it goes on in `frames`, which carries many invocations.
//! A web request takes another way: `route` → `web_answer` (`request_body`, a `web_handler`, `response_body` with its
//! `body_writer`).
//! An `inbound_connection` knows by its `flushed_stream` when a `100 Continue` was written, and `standby` how many
//! invocations may still come; its `warm_up` goes its way before there is one. For an instance in Kubernetes: `announcement`. Both know the control plane by `access`.
//! Beside them `handler`, `handlers`, `context`, `handler_error` (the interface of
//! functions), `caller` (ids and trace), `failure` (the failures of an invocation),
//! `ages` and `beginning`, `finite` (no NaN in an output), `panics`, `deadlines`, `metrics`,
//! `stop` (signals), `log`, `clock`, `limits`.

mod access;
mod ages;
mod announcement;
mod assignment;
mod beginning;
mod body_writer;
mod caller;
pub mod client;
mod clock;
mod completion;
mod context;
mod control_plane;
mod deadlines;
mod drain;
mod failure;
mod finite;
mod flushed_stream;
mod frames;
mod handler;
mod handler_error;
mod handlers;
mod host;
mod inbound_connection;
mod invocation;
mod job;
mod limits;
mod listener;
mod log;
mod metrics;
mod origin;
mod output;
mod panics;
mod raw_body;
mod request_body;
mod response;
mod response_body;
mod route;
mod server;
mod settings;
mod standby;
mod stop;
mod warm_up;
mod web_answer;
mod web_handler;

pub use beginning::Beginning;
pub use body_writer::BodyWriter;
pub use context::{Context, Logger};
pub use handler::Handler;
pub use handler_error::HandlerError;
pub use handlers::{Handlers, serve, serve_since, serve_web};
pub use hyper::http;
pub use limits::{BODY_BYTES_MAX, OUTPUT_BYTES_MAX};
pub use output::{Output, OutputBytes};
pub use raw_body::{Input, RawBody};
pub use request_body::RequestBody;
pub use response_body::ResponseBody;
pub use web_handler::{TowerService, WebHandler};
