//! The watchdog turns any program into a function: it speaks the runtime contract to
//! the control plane, and something simpler to the program that it is told.
//!
//! Listening, reading and checking requests, deadlines, limits, metrics, draining and the mode
//! `JOB` are the Rust runtime's; each mode of the watchdog is a handler on top of it.
//!
//! | file | has |
//! |---|---|
//! | `arguments` | the command line |
//! | `settings`, `command_line` | the environment, and the command in it |
//! | `named_command` | a command, and the place that names it |
//! | `python` | the Python runtime as a command |
//! | `program`, `command` | how the program is started: arguments, environment, streams |
//! | `children`, `child` | processes: started, ended, reaped, and their orphans |
//! | `exit_reason`, `memory` | why a process ended, and whether it was for the limit of memory |
//! | `backoff` | the delay before another start |
//! | `log_pipe`, `line_buffer`, `log` | lines for the log |
//! | `last_line` | the line that an error may show to a caller |
//! | `format`, `error_object` | inputs, outputs and failures of programs |
//! | `stdio` | a process for each request |
//! | `http` | an HTTP server |
//! | `worker_handler`, `worker_pool` | processes that take one request after the other, and their queue |
//! | `worker_supervisor`, `worker` | one worker after the other, and one of them |
//! | `request`, `frame`, `request_frame`, `reply_frame` | a request to a worker, and the frames on its pipes |
//! | `write_buffer`, `reply_reader` | frames that are written, and that are read |
//! | `printed_text`, `excerpt` | text of a worker where a frame should begin; bytes in a message |
//! | `worker_exit`, `counters` | reasons for which workers end, and their metrics |
//! | `notify`, `wake_slot` | waking the tasks of the one thread |
//! | `limits` | every limit |

mod arguments;
mod backoff;
mod child;
mod children;
mod command;
mod command_line;
mod counters;
mod error_object;
mod excerpt;
mod exit_reason;
mod format;
mod frame;
mod http;
mod last_line;
mod limits;
mod line_buffer;
mod log;
mod log_pipe;
mod memory;
mod named_command;
mod notify;
mod printed_text;
mod program;
mod python;
mod reply_frame;
mod reply_reader;
mod request;
mod request_frame;
mod settings;
mod stdio;
mod wake_slot;
mod worker;
mod worker_exit;
mod worker_handler;
mod worker_pool;
mod worker_supervisor;
mod write_buffer;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use arguments::{Arguments, Order};
use http::HttpHandler;
use picofaas_runtime::{Beginning, serve_since};
use settings::{MODES, Mode, Settings};
use stdio::StdioHandler;
use worker_handler::WorkerHandler;

pub use python::{PACKAGE as PYTHON_PACKAGE, modules as python_modules};

/// The exit code of an environment that does not say clearly what to do, as in the Rust runtime.
const USAGE: u8 = 2;

/// The form of a command line behind the name of the program.
pub const USAGE_WORDS: &str = "[MODE] [-- COMMAND ARGS…]";

/// Serves the program that the command line or the environment names until SIGTERM or SIGINT, or runs it
/// once as a JOB. `arguments` are those behind `program`, which is the name that a person calls this by.
/// The exit codes are those of the Rust runtime.
#[must_use = "return it from main, or the process ends as a success"]
pub fn run(program: &str, arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let beginning = Beginning::now();
    let settings = match Arguments::read(arguments) {
        Ok(Order::Help) => return help(program),
        Ok(Order::Serve(arguments)) => Settings::from_env(arguments),
        Err(error) => Err(error),
    };
    match settings {
        Ok(settings) => match settings.mode {
            Mode::Stdio => serve_since(beginning, StdioHandler::new(settings)),
            Mode::Http => serve_since(beginning, HttpHandler::new(settings)),
            Mode::Worker | Mode::Python => serve_since(beginning, WorkerHandler::new(settings)),
        },
        Err(error) => {
            log::line(&format!("error {error}"));
            ExitCode::from(USAGE)
        }
    }
}

/// Tells how it is called.
fn help(program: &str) -> ExitCode {
    let written = writeln!(
        std::io::stdout(),
        "Turns any program into a picofaas function\n\n\
         Usage: {program} {USAGE_WORDS}\n\n\
         MODE     {MODES}; else WATCHDOG_MODE says it\n\
         COMMAND  the program and its arguments; else WATCHDOG_CMD says it. The mode python has none:\n         \
         HANDLER=module:function names the function\n\n\
         PORT or PICOFAAS_SOCKET says where to listen. All variables: docs/watchdog.md"
    );
    // Where nobody reads it, the exit code is all that can be said.
    if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
