//! `picofaas-watchdog`, the program: everything is in the library, so that other programs can
//! bring a command of their own.

use std::process::ExitCode;

fn main() -> ExitCode {
    picofaas_watchdog::run()
}
