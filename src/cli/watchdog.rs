//! `picofaas watchdog`: the watchdog of `runtime/watchdog` in this program, so that a function in Python or
//! shell needs no other.

use std::ffi::OsString;
use std::process::ExitCode;

/// The command, as it is written.
pub const NAME: &str = "watchdog";

/// Arguments of `picofaas watchdog`.
#[derive(Debug, clap::Args)]
pub struct WatchdogArgs {
    /// Way in which the program is used: http, python, stdio or worker; else WATCHDOG_MODE says it
    #[arg(value_name = "MODE")]
    mode: Option<OsString>,
    /// Program and its arguments; else WATCHDOG_CMD says it. The mode python has none: HANDLER=module:function
    /// names the function
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Serves if the words of a command line are those of this command and ask for no help; else they are for the
/// parser of all commands. A function starts by this: making that parser would take longer than the rest.
#[must_use]
pub fn run_early(program: &str, mut words: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    if words.next()? != NAME {
        return None;
    }
    let words: Vec<OsString> = words.collect();
    let is_help = |word: &OsString| word == "--help" || word == "-h";
    if words.iter().take_while(|word| *word != "--").any(is_help) {
        return None;
    }
    Some(serve(program, words))
}

/// Serves as the parser of all commands has read it.
#[must_use]
pub fn run(args: WatchdogArgs, program: &str) -> ExitCode {
    let WatchdogArgs { mode, command } = args;
    let dashes = (!command.is_empty()).then(|| OsString::from("--"));
    serve(program, mode.into_iter().chain(dashes).chain(command))
}

fn serve(program: &str, words: impl IntoIterator<Item = OsString>) -> ExitCode {
    picofaas_watchdog::run(&format!("{program} {NAME}"), words)
}
