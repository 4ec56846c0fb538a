//! A version that is served while another one is built, and after that.

#![expect(clippy::unwrap_used, reason = "where a test cannot go on, it ends there")]

use std::fs;

use crate::support::{Folder, shell};

/// Takes the program away first, as builds in place do, and fails where the source says BROKEN.
const IN_PLACE: &str =
    "rm -f server; ! grep -q BROKEN function.src && cp function.src server && chmod +x server";

/// The socket that a process listens on. Each version has its own.
fn socket_of(pid: u64) -> String {
    let environment = fs::read_to_string(format!("/proc/{pid}/environ")).unwrap();
    let socket = environment.split('\0').find_map(|variable| variable.strip_prefix("PICOFAAS_SOCKET="));
    let (path, _generation) = socket.unwrap().rsplit_once('-').unwrap();
    path.to_owned()
}

#[test]
fn what_is_mended_after_a_failed_build_is_a_new_version_and_waits_for_no_pause_of_the_old_one() {
    let folder = Folder::new();
    folder.built_by("greet", IN_PLACE);
    let mut dev = folder.dev();
    dev.line("greet is ready");
    let pid = dev.answers("greet", "word", "one")["pid"].as_u64().unwrap();
    let before = socket_of(pid);
    let good = fs::read_to_string(folder.path().join("greet/function.src")).unwrap();
    folder.write("greet/function.src", &format!("{good}# BROKEN\n"));
    dev.line("greet: its build failed");
    shell(&format!("kill -KILL {pid}"));
    // Its next starts fail, each further from the one before.
    dev.line("greet: an instance failed to start");
    // The sources are those of the version whose starts pause.
    folder.write("greet/function.src", &good);
    dev.line("greet: the new version is served");
    let pid = dev.answers("greet", "word", "one")["pid"].as_u64().unwrap();
    assert_ne!(socket_of(pid), before);
}

/// A start would meet the program half written, and a build that copies over it fails with `ETXTBSY` in the moment
/// in which it is being started.
#[test]
fn a_version_that_does_not_start_is_not_tried_again_while_the_next_one_is_built() {
    let folder = Folder::new();
    let starts = folder.outside("starts.log");
    let counts = folder.outside("counts");
    // A second is time for some starts: their pauses are 100, 200 and 400 ms.
    let build = format!(
        "touch {starts}; begun=$(wc -l < {starts}); sleep 1; echo $begun $(wc -l < {starts}) >> {counts}; \
         cp function.src server && chmod +x server"
    );
    folder.built_by("greet", &build);
    let mut dev = folder.dev();
    dev.line("greet is ready");
    let failing = |word: &str| format!("#!/bin/sh\necho {word} >> {starts}\nexit 1\n");
    folder.write("greet/function.src", &failing("first"));
    dev.line("greet: an instance failed to start");
    folder.write("greet/function.src", &failing("second"));
    dev.line("built greet");
    dev.line("greet: an instance failed to start");
    folder.source("greet", "two");
    dev.answers("greet", "word", "two");
    let counts = fs::read_to_string(&counts).unwrap();
    assert_eq!(counts.lines().count(), 4, "{counts}");
    for line in counts.lines() {
        let (begun, ended) = line.split_once(' ').unwrap();
        assert_eq!(begun, ended, "starts at the beginning and at the end of each build:\n{counts}");
    }
}
