//! The watchdog in the binary, and functions that begin with it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::server::{Server, command};
use crate::support::specification::With;

const PICOFAAS: &str = env!("CARGO_BIN_EXE_picofaas");

fn function(name: &str, mode: &str, command: &[&str]) -> Value {
    json!({ "name": name, "executionMode": mode, "local": { "command": command } })
}

#[test]
fn picofaas_in_a_local_command_is_the_program_that_serves_whatever_path_says() {
    let folder = tempfile::tempdir().unwrap();
    let decoy = folder.path().join("picofaas");
    fs::write(&decoy, "#!/bin/sh\necho a decoy >&2\nexit 3\n").unwrap();
    fs::set_permissions(&decoy, fs::Permissions::from_mode(0o755)).unwrap();
    for path in ["/usr/bin:/bin".to_owned(), format!("{}:/usr/bin:/bin", folder.path().display())] {
        let mut command = command();
        command.env("PATH", &path);
        let server = Server::start_by(command, "127.0.0.1:0", "127.0.0.1:0", &["--allow-local-exec"]);
        let words = ["picofaas", "watchdog", "stdio", "--", "cat"];
        server.register(&function("warm", "WARM", &words));
        server.register(&function("job", "JOB", &words));
        for name in ["warm", "job"] {
            assert_eq!(
                server.invoke(name, r#"["as it is"]"#).output(),
                json!(["as it is"]),
                "{name}, {path}"
            );
        }
    }
}

#[test]
fn a_program_in_the_folder_that_is_called_picofaas_is_started_by_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("picofaas");
    fs::write(&own, "#!/bin/sh\necho a picofaas of its own >&2\nexit 3\n").unwrap();
    fs::set_permissions(&own, fs::Permissions::from_mode(0o755)).unwrap();
    let server = Server::start(&[]);
    server.register(&function("own", "JOB", &[own.to_str().unwrap()]).with("maxRetries", 0));
    let answer = server.invoke("own", "1");
    assert!(answer.message().contains("a picofaas of its own"), "{answer:?}");
}

#[test]
fn the_arguments_of_a_function_come_behind_those_of_its_program() {
    let server = Server::start(&[]);
    let words = ["picofaas", "watchdog", "--", "sh", "-c", "cat > /dev/null; printf '\"%s\"' \"$1\"", "sh"];
    let spec = function("args", "JOB", &words).with("args", json!(["--help"]));
    server.register(&spec.with("env", json!([{ "name": "WATCHDOG_MODE", "value": "stdio" }])));
    assert_eq!(server.invoke("args", "1").output(), "--help");
}

#[test]
fn a_watchdog_that_is_not_told_clearly_says_so_and_how_it_is_called() {
    let run = |arguments: &[&str]| {
        let mut command = Command::new(PICOFAAS);
        command.arg("watchdog").args(arguments).stdin(Stdio::null()).env_clear().env("PORT", "0");
        let ended = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (ended.status.code().unwrap(), text(ended.stdout), text(ended.stderr))
    };
    for (arguments, said) in [
        (&[][..], "WATCHDOG_MODE is not set"),
        (&["cgi"], "the argument `cgi` is no mode: give http, python, stdio or worker"),
        (&["stdio", "cat"], "the argument `cat` is one too many"),
        (&["stdio", "--output", "json"], "the argument `--output` is unknown"),
    ] {
        let (code, _, error) = run(arguments);
        assert!(code == 2 && error.contains(said), "{arguments:?} gave {code}: {error}");
    }
    for help in [&["--help"][..], &["python", "-h"]] {
        let (code, help, _) = run(help);
        assert!(code == 0 && help.contains("watchdog [MODE] [-- <COMMAND>...]"), "{code}: {help}");
    }
}
