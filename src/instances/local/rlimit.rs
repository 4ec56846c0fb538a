//! Limits that a process inherits, this one's own among them.

use std::fs;
use std::os::unix::fs::MetadataExt;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Lets this process have as many files open as it may: shells and service managers start programs
/// with a low limit and a high one that they may raise it to. How many that is; `None` without a
/// limit.
pub(crate) fn raise_open_files() -> Option<u64> {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit { current: limit.maximum, ..limit };
        // If it cannot be raised, it stays as it was.
        if setrlimit(Resource::Nofile, raised).is_ok() {
            limit = raised;
        }
    }
    limit.current
}

/// The threads that the user of this process has now. `RLIMIT_NPROC` counts them all.
#[must_use]
pub(crate) fn threads_of_user() -> u64 {
    let uid = rustix::process::getuid().as_raw();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let of_user = entries.filter(|entry| {
        let is_process = entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit);
        is_process && entry.metadata().is_ok_and(|metadata| metadata.uid() == uid)
    });
    of_user
        .filter_map(|entry| {
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            // The name in parentheses may hold anything; after it comes the third field.
            let (_, rest) = stat.rsplit_once(") ")?;
            rest.split(' ').nth(17)?.parse::<u64>().ok()
        })
        .sum()
}
