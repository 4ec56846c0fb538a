//! Holder of the namespaces of a pod: a process that does nothing until it is asked to end.
//!
//! Built by rustc alone, for musl, so that its image is one file.

use std::ffi::c_int;

const SIGINT: c_int = 2;
const SIGTERM: c_int = 15;
const SIGCHLD: c_int = 17;

/// `SIG_IGN`: in a pod whose containers share one PID namespace, the kernel reaps what nobody waits for.
const IGNORE: usize = 1;

unsafe extern "C" {
    safe fn signal(number: c_int, handler: usize) -> usize;
    safe fn pause() -> c_int;
    safe fn _exit(code: c_int) -> !;
}

extern "C" fn end(_number: c_int) {
    _exit(0)
}

fn main() {
    signal(SIGCHLD, IGNORE);
    signal(SIGINT, end as *const () as usize);
    signal(SIGTERM, end as *const () as usize);
    loop {
        pause();
    }
}
