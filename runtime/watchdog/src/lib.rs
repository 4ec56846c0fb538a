//! The watchdog turns any program into a function: it speaks the runtime contract to
//! the control plane, and something simpler to the program in `WATCHDOG_CMD`.
//!
//! Listening, reading and checking requests, deadlines, limits, metrics, draining and the mode
//! `JOB` are the Rust runtime's; each mode of the watchdog is a handler on top of it.
//!
//! | file | has |
//! |---|---|
//! | `settings`, `words` | the environment, and the command in it |
//! | `program` | how the program is started: arguments, environment |
//! | `children`, `child` | processes: started, ended, reaped, and what they leave behind |
//! | `diary`, `log` | lines for the log |
//! | `form`, `fault` | inputs, outputs and failures of programs |
//! | `stdio` | a process for each request |
//! | `http` | an HTTP server |
//! | `bell`, `pauses` | waiting for what other tasks do, and before another start |
//! | `limits` | every limit |

mod bell;
mod child;
mod children;
mod diary;
mod fault;
mod form;
mod http;
mod limits;
mod log;
mod pauses;
mod program;
mod settings;
mod stdio;
mod words;

use std::process::ExitCode;

use http::Proxy;
use program::Program;
use settings::{Mode, Settings};
use stdio::OneShot;

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
    match Settings::from_env() {
        Ok(Settings { mode, command, input, output }) => {
            let program = Program::new(command);
            match mode {
                Mode::Stdio => picofaas_runtime::serve(OneShot::new(program, input, output)),
                Mode::Http(endpoint) => picofaas_runtime::serve(Proxy::new(program, endpoint, input, output)),
            }
        }
        Err(error) => {
            log::line(&format!("error {error}"));
            ExitCode::from(USAGE)
        }
    }
}
