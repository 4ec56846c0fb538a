//! Starting, and refusing to.

use std::process::Command;

use picofaas_contract::{instance, process};

use crate::instance::{Process, WATCHDOG};

#[track_caller]
fn refuses(variables: &[(&str, &str)], code: i32, said: &[&str]) {
    let (ended, text) = Process::start(variables).end();
    assert_eq!(ended, code, "{text}");
    for part in said {
        assert!(text.contains(part), "no `{part}` in: {text}");
    }
}

#[test]
fn an_environment_that_says_nothing_clear_is_refused_by_name() {
    let rest = [("PORT", "0"), ("WATCHDOG_CMD", "cat"), ("WATCHDOG_MODE", "stdio")];
    let without = |name| rest.into_iter().filter(|(known, _)| *known != name).collect::<Vec<_>>();
    let with = |name, value| [without(name), vec![(name, value)]].concat();
    refuses(&without("WATCHDOG_MODE"), 2, &["WATCHDOG_MODE is not set", "stdio"]);
    refuses(&without("WATCHDOG_CMD"), 2, &["WATCHDOG_CMD is not set"]);
    refuses(&with("WATCHDOG_MODE", "python"), 2, &["WATCHDOG_CMD says `cat`", "HANDLER"]);
    refuses(&without("PORT"), 2, &["PICOFAAS_SOCKET", "PORT"]);
    refuses(&with("WATCHDOG_MODE", "cgi"), 2, &["WATCHDOG_MODE is `cgi`", "stdio"]);
    refuses(&with("WATCHDOG_CMD", "a 'b"), 2, &["WATCHDOG_CMD is `a 'b`", "' has no end"]);
    refuses(&with("WATCHDOG_INPUT", "body"), 2, &["WATCHDOG_INPUT is `body`", "input or envelope"]);
    refuses(&with("WATCHDOG_OUTPUT", "xml"), 2, &["WATCHDOG_OUTPUT is `xml`", "json or text"]);
    let http = |name, value| [with("WATCHDOG_MODE", "http"), vec![(name, value)]].concat();
    refuses(&http("WATCHDOG_HTTP_PORT", "0"), 2, &["WATCHDOG_HTTP_PORT is `0`", "from 1 to 65535"]);
    refuses(&http("WATCHDOG_HTTP_PATH", "x"), 2, &["WATCHDOG_HTTP_PATH is `x`", "begins with a `/`"]);
    refuses(&http("WATCHDOG_HTTP_HEALTH", "/ "), 2, &["WATCHDOG_HTTP_HEALTH is `/ `", "visible ASCII"]);
}

#[test]
fn a_program_that_is_not_there_is_said_at_the_start() {
    for (command, said) in [
        (
            "no-such-program -x",
            "WATCHDOG_CMD names the program `no-such-program`, which is in no folder of PATH",
        ),
        ("./no/such/program", "`./no/such/program` (WATCHDOG_CMD) cannot be started: No such file"),
        ("/etc/passwd", "`/etc/passwd` (WATCHDOG_CMD) cannot be started: Permission denied"),
    ] {
        for mode in ["stdio", "http"] {
            let variables = [("PORT", "0"), ("WATCHDOG_CMD", command), ("WATCHDOG_MODE", mode)];
            refuses(&variables, 1, &["error cannot start: ", said]);
        }
    }
}

#[test]
fn a_mode_and_a_program_on_the_command_line_are_as_good_as_variables() {
    let mut command = Command::new(WATCHDOG);
    // The program's own arguments are not the watchdog's.
    command.args(["stdio", "--", "sh", "-c", "cat; echo $0 >&2", "--help"]);
    let mut instance = instance::Instance::spawn(&mut command);
    let answer = instance.connect().invoke("", r#"{"input":[1]}"#);
    assert_eq!((answer.status, answer.text()), (200, "[1]"));
    instance.line_with("--help");
}

#[test]
fn a_command_line_that_is_not_clear_is_refused_by_the_word() {
    for (arguments, said) in [
        (&["cgi"][..], "the argument `cgi` is no mode: give http, python, stdio or worker"),
        (
            &["stdio", "cat"],
            "the argument `cat` is one too many: give the program and its arguments behind `--`",
        ),
        (&["--mode=stdio"], "the argument `--mode=stdio` is unknown"),
        (&["stdio", "--"], "there is no program behind `--`"),
        (&["stdio"], "WATCHDOG_CMD is not set: give the program and its arguments in it"),
        (&["--", "cat"], "WATCHDOG_MODE is not set: give it, or the first argument"),
        (&["python", "--", "cat"], "the command line behind `--` says `cat`: leave it out"),
        (&["stdio", "--", "no-such-program"], "the command line names the program `no-such-program`"),
    ] {
        let mut command = Command::new(WATCHDOG);
        let (code, text) = process::Process::spawn(command.args(arguments).env("PORT", "0")).end();
        assert_eq!(code, if said.contains("names") { 1 } else { 2 }, "{text}");
        assert!(text.contains(said), "no `{said}` in: {text}");
    }
}

#[test]
fn it_tells_how_it_is_called() {
    let told = Command::new(WATCHDOG).arg("--help").output().unwrap();
    let text = String::from_utf8(told.stdout).unwrap();
    assert!(
        told.status.success() && text.contains("Usage: picofaas-watchdog [MODE] [-- COMMAND ARGS…]"),
        "{text}"
    );
}
