//! Colours and the line about waiting, which are on a terminal alone.

use std::io::{BufReader, Read};
use std::process::Command;

use rustix::fs::{CWD, FileType, mknodat};
use serde_json::json;

use crate::support::client_program::{ClientProgram, Said};
use crate::support::gate::Gate;
use crate::support::patience::Alarm;
use crate::support::server::{BYSTANDER, Server};
use crate::support::specification::{With, warm};

/// The command on a terminal of its own, whose output is that of `script`.
fn on_a_terminal(program: &ClientProgram, arguments: &str) -> Command {
    let line = format!("{} {arguments}", env!("CARGO_BIN_EXE_picofaas"));
    program.command_of(Command::new("script"), &["-qec", &line, "/dev/null"])
}

#[test]
fn colours_are_on_a_terminal_and_not_where_no_color_is_set_or_nobody_looks() {
    let server = Server::start(&[]);
    server.until_status(BYSTANDER, "ready", 1);
    let program = ClientProgram::of(&server);
    let shown = |command: &mut Command| Said::of(command.spawn().unwrap()).output().to_owned();
    let coloured = shown(&mut on_a_terminal(&program, "get fn"));
    assert!(coloured.contains("\u{1b}[32mReady\u{1b}[0m"), "{coloured:?}");
    let plain = shown(on_a_terminal(&program, "get fn").env("NO_COLOR", "1"));
    assert!(plain.contains("Ready") && !plain.contains('\u{1b}'), "{plain:?}");
    assert!(!program.run(&["get", "fn"]).output().contains('\u{1b}'));
}

#[test]
fn who_waits_on_a_terminal_is_told_for_how_long_and_the_line_is_gone_before_the_output() {
    let server = Server::start(&[]);
    let gate = Gate::new();
    server.register(&warm("gate", "gate"));
    let program = ClientProgram::of(&server);
    program.write("in.json", gate.input().to_string());
    let mut child = on_a_terminal(&program, "invoke gate -d @in.json").spawn().unwrap();
    let _alarm = Alarm::of(&child);
    let mut shown = BufReader::new(child.stdout.take().unwrap()).bytes();
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).ends_with("waiting for gate: 1 s") {
        seen.push(shown.next().expect("the line comes").unwrap());
    }
    gate.open();
    let rest: Vec<u8> = shown.map(Result::unwrap).collect();
    let rest = String::from_utf8(rest).unwrap();
    assert!(rest.ends_with(&format!("\r\u{1b}[K{}\r\n", gate.input())), "{rest:?}");
    assert_eq!(Said::of(child).code, 0);
    // Nobody is told where nobody looks.
    assert_eq!(program.run(&["invoke", "gate", "-d", "@in.json"]).stderr, "");
}

#[test]
fn who_builds_on_a_terminal_is_told_what_is_being_built_and_for_how_long() {
    let program = ClientProgram::anywhere();
    let pipe = program.folder().join("pipe");
    mknodat(CWD, &pipe, FileType::Fifo, 0o600.into(), 0).unwrap();
    // It ends when somebody opens the pipe.
    let local = json!({ "build": [["sh", "-c", "echo one; : > pipe"]], "command": ["./program"] });
    program.write_manifest("a.json", &warm("a", "echo").with("local", local));
    let mut child = on_a_terminal(&program, "build").spawn().unwrap();
    let _alarm = Alarm::of(&child);
    let mut shown = BufReader::new(child.stdout.take().unwrap()).bytes();
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).ends_with("building a: 1 s") {
        seen.push(shown.next().expect("the line comes").unwrap());
    }
    let seen = String::from_utf8(seen).unwrap();
    assert!(seen.starts_with("building a: sh -c 'echo one; : > pipe'\r\n"), "{seen:?}");
    assert_eq!(std::fs::read(&pipe).unwrap(), b"");
    let rest: Vec<u8> = shown.map(Result::unwrap).collect();
    let rest = String::from_utf8(rest).unwrap();
    assert!(rest.ends_with("\r\u{1b}[Kfunction/a built\r\n"), "{rest:?}");
    assert_eq!(Said::of(child).code, 0);
}

#[test]
fn top_on_a_terminal_goes_on_until_it_is_interrupted() {
    let server = Server::start(&[]);
    let program = ClientProgram::at(server.management);
    let mut child =
        on_a_terminal(&program, "top --interval 10ms & top=$!; read line; kill -INT $top; wait $top");
    let mut child = child.stdin(std::process::Stdio::piped()).spawn().unwrap();
    let _alarm = Alarm::of(&child);
    let mut shown = BufReader::new(child.stdout.take().unwrap()).bytes();
    let mut seen = Vec::new();
    while String::from_utf8_lossy(&seen).matches("\u{1b}[H\u{1b}[JFUNCTION").count() < 3 {
        seen.push(shown.next().expect("another table comes").unwrap());
    }
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"\n").unwrap();
    let rest: Vec<u8> = shown.map(Result::unwrap).collect();
    assert!(String::from_utf8_lossy(&rest).contains("picofaas: interrupted"), "{rest:?}");
    assert_eq!(Said::of(child).code, 130);
}
