//! The watchdog turns any program into a function: it speaks the runtime contract to
//! the control plane, and something simpler to the program in `WATCHDOG_CMD`.
//!
//! Listening, reading and checking requests, deadlines, limits, metrics, draining and the mode
//! `JOB` are the Rust runtime's; each mode of the watchdog is a handler on top of it.
//!
//! | file | has |
//! |---|---|
//! | `settings`, `words` | the environment, and the command in it |
//! | `program`, `command` | how the program is started: arguments, environment, streams |
//! | `children`, `child` | processes: started, ended, reaped, and what they leave behind |
//! | `diary`, `log` | lines for the log |
//! | `last_line` | which of them an error may tell to whom |
//! | `form`, `fault` | inputs, outputs and failures of programs |
//! | `stdio` | a process for each request |
//! | `http`, `bell` | an HTTP server, and waiting for it |
//! | `crew`, `seat`, `worker` | processes that take one request after the other: all, one place, one process |
//! | `errand`, `frame`, `notice` | a request on its way to one of them, and what goes over the pipes |
//! | `end`, `tally` | how they end, and counts of them |
//! | `limits` | every limit |

mod bell;
mod child;
mod children;
mod command;
mod crew;
mod diary;
mod end;
mod errand;
mod fault;
mod form;
mod frame;
mod http;
mod last_line;
mod limits;
mod log;
mod notice;
mod program;
mod seat;
mod settings;
mod stdio;
mod tally;
mod words;
mod worker;

use std::process::ExitCode;

use crew::Standing;
use http::Proxy;
use settings::{Mode, Preset, Settings};
use stdio::OneShot;

/// musl's own gives memory back to the kernel as soon as it can, which cost a request a fifth of its
/// CPU time. This one needs no compiler for C.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// The environment does not say clearly what to do; the Rust runtime has the same.
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
            Mode::Stdio => picofaas_runtime::serve(OneShot::new(settings)),
            Mode::Http => picofaas_runtime::serve(Proxy::new(settings)),
            Mode::Worker => picofaas_runtime::serve(Standing::new(settings)),
        },
        Err(error) => {
            log::line(&format!("error {error}"));
            ExitCode::from(USAGE)
        }
    }
}
