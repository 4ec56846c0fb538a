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
