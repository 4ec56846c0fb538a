//! Reach of functions into the control plane.

use std::fs;
use std::os::fd::AsRawFd as _;

use rustix::io::{FdFlags, fcntl_setfd};
use serde_json::json;

use crate::support::server::Server;
use crate::support::specification::{With, warm};

/// The text of a file that is not for everybody.
const PASSWORD: &str = "open sesame";

#[test]
fn a_function_has_no_file_that_was_left_open_to_the_control_plane() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("left-open");
    fs::write(&path, PASSWORD).unwrap();
    let left_open = fs::File::open(&path).unwrap();
    // A shell or a supervisor leaves one like this to its children.
    fcntl_setfd(&left_open, FdFlags::empty()).unwrap();
    let server = Server::start(&[]);
    let file = format!("/proc/self/fd/{}", left_open.as_raw_fd());
    let of_server = format!("/proc/{}/fd/{}", server.pid(), left_open.as_raw_fd());
    assert_eq!(fs::read_to_string(of_server).unwrap(), PASSWORD, "the control plane was not given it");
    for mode in ["WARM", "JOB"] {
        let name = mode.to_lowercase();
        let mut function = warm(&name, "surroundings").with("executionMode", mode);
        if mode == "JOB" {
            function.as_object_mut().unwrap().remove("replicas");
        }
        server.register(&function);
        let answer = server.invoke(&name, json!({ "files": [file] }));
        let found = &answer.output()["files"][&file];
        assert!(found["Ok"] != PASSWORD, "{mode}: {found}");
    }
}
