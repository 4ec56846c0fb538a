//! `picofaas-python`: the watchdog with a worker of Python behind it. No Python process is in
//! front, so that a start is that of one and no more.

use std::env;
use std::path::Path;
use std::process::ExitCode;

/// Names the interpreter, where neither the one beside this program nor that of `PATH` will do.
const INTERPRETER: &str = "PICOFAAS_PYTHON";

/// The program of the interpreter. The current folder, which it puts first among those that modules are
/// looked for in, is left out until the runtime's own are there: a function may have a `types.py`.
/// `-m` would do the same with some milliseconds of modules that find modules.
const WORKER: &str = "import sys; sys.path[:] = filter(None, sys.path); \
                      from picofaas_runtime.worker import main; main()";

fn main() -> ExitCode {
    picofaas_watchdog::worker(vec![interpreter(), "-c".to_owned(), WORKER.to_owned()])
}

/// The interpreter: the one that is named, or the one that this program was installed with, which
/// finds the packages that were installed with it, or any.
fn interpreter() -> String {
    let named = env::var(INTERPRETER).ok().filter(|name| !name.is_empty());
    named.or_else(beside).unwrap_or_else(|| "python3".to_owned())
}

fn beside() -> Option<String> {
    let program = env::current_exe().ok()?;
    let found = program.parent().map(|folder: &Path| folder.join("python3"))?;
    if found.is_file() { found.into_os_string().into_string().ok() } else { None }
}
