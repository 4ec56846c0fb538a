//! The watchdog turns any program into a function: it speaks the runtime contract to
//! the control plane, and something simpler to the program in `WATCHDOG_CMD`.
//!
//! Listening, reading and checking requests, deadlines, limits, metrics, draining and the mode
//! `JOB` are the Rust runtime's; each mode of the watchdog is a handler on top of it.
//!
//! | file | has |
//! |---|---|
//! | `settings`, `command_line` | the environment, and the command in it |
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
mod notify;
mod printed_text;
mod program;
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

use std::process::ExitCode;

use http::HttpHandler;
use settings::{Mode, Preset, Settings};
use stdio::StdioHandler;
use worker_handler::WorkerHandler;

/// musl's own allocator gives memory back to the kernel as soon as it can, which cost a request a fifth
/// of its CPU time. This one needs no compiler for C.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// The exit code of an environment that does not say clearly what to do, as in the Rust runtime.
const USAGE: u8 = 2;

/// Serves the program that the environment names until SIGTERM or SIGINT, or runs it once as a
/// JOB. The exit codes are those of the Rust runtime.
#[must_use = "return it from main, or the process ends as a success"]
pub fn run() -> ExitCode {
    if let Some(argument) = std::env::args_os().nth(1) {
        log::line(&format!(
            "error the argument {argument:?} is unknown: there are none. WATCHDOG_MODE and WATCHDOG_CMD say \
             what to run, PORT or PICOFAAS_SOCKET where to listen"
        ));
        return ExitCode::from(USAGE);
    }
    serve(None)
}

/// Serves a program that speaks the protocol of `WATCHDOG_MODE=worker`, for a runtime that
/// brings it. Mode and command are as good as set: `WATCHDOG_MODE` or `WATCHDOG_CMD` with
/// anything else is exit code 2. The rest of the environment, `PICOFAAS_WORKERS` among it, and
/// the exit codes are those of [`run`].
///
/// # Panics
/// If the command has no word.
#[must_use = "return it from main, or the process ends as a success"]
pub fn worker(command: Vec<String>) -> ExitCode {
    assert!(!command.is_empty(), "a command has at least one word, the program");
    serve(Some(Preset { mode: Mode::Worker, command }))
}

fn serve(preset: Option<Preset>) -> ExitCode {
    match Settings::from_env(preset) {
        Ok(settings) => match settings.mode {
            Mode::Stdio => picofaas_runtime::serve(StdioHandler::new(settings)),
            Mode::Http => picofaas_runtime::serve(HttpHandler::new(settings)),
            Mode::Worker => picofaas_runtime::serve(WorkerHandler::new(settings)),
        },
        Err(error) => {
            log::line(&format!("error {error}"));
            ExitCode::from(USAGE)
        }
    }
}
