//! `picofaas-watchdog`, the program: everything is in the library, so that `picofaas watchdog` is the same.

use std::process::ExitCode;

/// musl's own allocator gives memory back to the kernel as soon as it can, which cost a request a fifth
/// of its CPU time. This one needs no compiler for C.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    picofaas_watchdog::run("picofaas-watchdog", std::env::args_os().skip(1))
}
