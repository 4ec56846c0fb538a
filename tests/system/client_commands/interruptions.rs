//! Ctrl-C, readers that leave, and outputs that are large.

use std::io::Read;
use std::net::{SocketAddr, TcpListener};
use std::process::Child;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::client_program::{ClientProgram, Said};
use crate::support::gate::Gate;
use crate::support::patience::PATIENCE;
use crate::support::server::{BYSTANDER, Server};
use crate::support::specification::{With, warm};

/// More than a pipe holds, several times.
const LARGE: usize = 10_000_000;

fn interrupt(child: Child) -> Said {
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    Said::of(child)
}

#[test]
fn ctrl_c_while_an_invocation_waits_is_130_and_cancels_what_is_queued() {
    let server = Server::start(&[]);
    let gate = Gate::new();
    server.register(&warm("one", "gate").with("concurrency", 1));
    let program = ClientProgram::of(&server);
    let running = server.client().enqueue("one", gate.input());
    server.until_status("one", "inFlight", 1);
    let invoking = program.start(&["invoke", "one", "-d", "1"]);
    server.until_status("one", "queued", 1);
    interrupt(invoking)
        .assert_failed(130, &["picofaas: interrupted: an execution that was still queued is cancelled"]);
    server.until_status("one", "queued", 0);
    let newest = program.run(&["get", "ex", "--function", "one", "--status", "cancelled", "-o", "name"]);
    assert_eq!(newest.output().lines().count(), 1, "{newest:?}");
    gate.open();
    assert_eq!(server.client().ended(&running)["status"], "success");
}

#[test]
fn ctrl_c_closes_the_connection_of_whatever_waits() {
    let id = "0".repeat(40);
    for (arguments, said) in [
        (
            &["wait", &id] as &[&str],
            "picofaas: interrupted: the execution goes on; `wait` waits for it again",
        ),
        (&["invoke", "a"], "picofaas: interrupted: an execution that was still queued is cancelled"),
        (&["get", "fn"], "picofaas: interrupted\n"),
    ] {
        let silent = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let child = ClientProgram::at(silent.local_addr().unwrap()).start(arguments);
        let (mut stream, _) = silent.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // It listens for the signal before it sends its request.
        stream.read_exact(&mut [0]).unwrap();
        interrupt(child).assert_failed(130, &[said]);
        let mut request = Vec::new();
        // A reset is a close, too.
        let _ = stream.read_to_end(&mut request);
    }
}

#[test]
fn ctrl_c_ends_what_is_followed() {
    let server = Server::start(&[]);
    let program = ClientProgram::of(&server);
    server.until_status(BYSTANDER, "ready", 1);
    let mut following = program.start(&["logs", "-f", BYSTANDER]);
    let mut first = [0; 10];
    following.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    let said = interrupt(following);
    assert_eq!((said.code, said.stderr.as_str()), (130, "picofaas: interrupted\n"));
}

#[test]
fn an_output_of_10_mb_is_written_whole() {
    let server = Server::start(&["--max-output", "16777216"]);
    server.register(&warm("big", "big"));
    let program = ClientProgram::of(&server);
    let input = format!("{{\"bytes\":{LARGE}}}");
    let said = program.run(&["invoke", "big", "-d", &input]);
    assert_eq!((said.code, said.stdout.len(), said.stderr.as_str()), (0, LARGE + 3, ""));
    assert!(said.stdout.starts_with(b"\"xxx") && said.stdout.ends_with(b"xxx\"\n"));
}

#[test]
fn a_reader_that_leaves_ends_a_command_without_a_word() {
    let server = Server::start(&["--max-output", "16777216"]);
    server.register(&warm("big", "big"));
    let program = ClientProgram::of(&server);
    let input = format!("{{\"bytes\":{LARGE}}}");
    for arguments in
        [&["invoke", "big", "-d", &input] as &[&str], &["get", "fn"], &["completion", "bash"], &["version"]]
    {
        let mut child = program.start(arguments);
        // As `head -c 1` would, or nobody at all.
        let mut reader = child.stdout.take().unwrap();
        if arguments[0] == "invoke" {
            reader.read_exact(&mut [0]).unwrap();
        }
        drop(reader);
        let said = Said::of(child);
        assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{arguments:?}");
    }
}

#[test]
fn an_output_that_cannot_be_written_is_told() {
    let server = Server::start(&[]);
    let program = ClientProgram::of(&server);
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let child = program.command(&["invoke", BYSTANDER]).stdout(full).spawn().unwrap();
    Said::of(child).assert_failed(3, &["standard output cannot be written: No space left on device"]);
}
