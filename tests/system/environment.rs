//! Environment, arguments and folder of a local process.

use std::collections::HashMap;
use std::fs;

use serde_json::json;

use crate::support::dollars;
use crate::support::server::{Server, command};
use crate::support::specification::{With, faulty, warm};

/// Writes its environment, arguments and group down, and goes on as the function.
const SCRIPT: &str = r#"
env > "$OUT/env"
for argument; do printf '[%s]' "$argument"; done > "$OUT/arguments"
ps -o pgid= -p "$$" > "$OUT/group" 2> /dev/null || cut -d ' ' -f 5 < /proc/$$/stat > "$OUT/group"
printf '%s' "$$" > "$OUT/pid"
readlink /proc/self/fd/0 > "$OUT/stdin"
exec "$PROGRAM"
"#;

/// Variables that a shell adds by itself.
const OF_THE_SHELL: [&str; 4] = ["PWD", "OLDPWD", "SHLVL", "_"];

#[test]
fn a_warm_instance_has_its_own_environment_and_arguments_and_none_of_ours() {
    let server = Server::start(&["--max-body", "70000", "--max-output", "80000"]);
    let out = tempfile::tempdir().unwrap();
    let specification = warm("described", "echo")
        .with("local", json!({ "command": ["/bin/sh", "-c", SCRIPT, "sh", "--serve"] }))
        .with("args", json!(["two words", "", "$HOME"]))
        .with("timeoutMs", 12_345)
        .with(
            "env",
            json!([
                { "name": "OUT", "value": out.path() },
                { "name": "PROGRAM", "value": faulty() },
                { "name": "HANDLER", "value": "echo" },
                { "name": "OWN", "value": "a value with = and\ta tab" },
            ]),
        );
    server.register(&specification);
    assert_eq!(server.invoke("described", "\"served\"").output(), "served");

    let read = |name: &str| fs::read_to_string(out.path().join(name)).unwrap();
    assert_eq!(read("arguments"), "[--serve][two words][][$HOME]");
    assert_eq!(read("group").trim(), read("pid"), "it is in a group of somebody else");
    assert_eq!(read("stdin").trim(), "/dev/null");
    let text = read("env");
    let env: HashMap<&str, &str> = text.lines().filter_map(|line| line.split_once('=')).collect();
    for (name, value) in [
        ("FUNCTION_NAME", "described"),
        ("EXECUTION_MODE", "WARM"),
        ("TIMEOUT_MS", "12345"),
        ("MAX_BODY", "70000"),
        ("MAX_OUTPUT", "80000"),
        ("OWN", "a value with = and\ta tab"),
    ] {
        assert_eq!(env.get(name), Some(&value), "{name} in {text}");
    }
    assert!(env["PICOFAAS_SOCKET"].starts_with('/'), "{text}");
    for name in ["PORT", "EXECUTION_ID", "TRACE_ID", "PICOFAAS_RUNTIME_URL", "PICOFAAS_TOKEN", "POD_IP"] {
        assert!(!env.contains_key(name), "{name} in {text}");
    }
    let ours = std::env::vars().map(|(name, _)| name);
    let handed_on = |name: &str| ["PATH", "HOME", "LANG", "TZ"].contains(&name) || name.starts_with("LC_");
    let ours = ours.filter(|name| !handed_on(name));
    for name in ours.filter(|name| !OF_THE_SHELL.contains(&name.as_str())) {
        assert!(!env.contains_key(name.as_str()), "it was given {name} of the control plane");
    }
}

/// A server with this locale and time zone and no other, and functions of both modes with these variables.
fn server_in(ours: &[(&str, &str)], own: &[(&str, &str)]) -> Server {
    let mut command = command();
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("LC_")) {
        command.env_remove(name);
    }
    command.env_remove("LANG").env_remove("TZ").envs(ours.iter().copied());
    let server = Server::start_by(command, "127.0.0.1:0", "127.0.0.1:0", &["--allow-local-exec"]);
    let own: Vec<_> = own.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
    for mode in ["JOB", "WARM"] {
        let mut function = warm(&mode.to_lowercase(), "surroundings").with("executionMode", mode);
        if mode == "JOB" {
            function.as_object_mut().unwrap().remove("replicas");
        }
        function["env"].as_array_mut().unwrap().extend(own.clone());
        server.register(&function);
    }
    server
}

#[test]
fn a_local_process_works_in_our_locale_and_time_zone_in_utf_8_where_nobody_chose() {
    let names = ["LANG", "LC_ALL", "LC_TIME", "TZ"];
    let in_berlin = [("LANG", "de_DE.UTF-8"), ("LC_TIME", "en_DK.UTF-8"), ("TZ", "Europe/Berlin")];
    for (ours, own, expected) in [
        (&[][..], &[][..], [Some("C.UTF-8"), None, None, None]),
        (&[("LC_ALL", "C")], &[], [None, Some("C.UTF-8"), None, None]),
        (&in_berlin, &[], [Some("de_DE.UTF-8"), None, Some("en_DK.UTF-8"), Some("Europe/Berlin")]),
        (&in_berlin, &[("LANG", "C"), ("TZ", "UTC")], [Some("C"), None, None, Some("UTC")]),
        (&in_berlin, &[("LC_TIME", "C")], [Some("de_DE.UTF-8"), None, Some("C"), Some("Europe/Berlin")]),
        (&[("LC_ALL", "en_US.UTF-8")], &[("LC_COLLATE", "C")], [Some("C.UTF-8"), None, None, None]),
    ] {
        let server = server_in(ours, own);
        for function in ["job", "warm"] {
            let found = server.invoke(function, json!({ "variables": names, "files": [] })).output();
            let found = names.map(|name| found["variables"][name].as_str());
            assert_eq!(found, expected, "{function} with {ours:?} and {own:?}");
        }
    }
}

#[test]
fn a_locale_that_is_looked_up_is_the_functions_own() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("values");
    std::fs::write(&file, "place.LANG=de_DE.ISO-8859-1\n").unwrap();
    let mut command = command();
    command.env_remove("LANG").env("LC_ALL", "en_US.UTF-8").env("LC_CTYPE", "en_US.UTF-8");
    let arguments = ["--allow-local-exec", "--env-file", file.to_str().unwrap()];
    let server = Server::start_by(command, "127.0.0.1:0", "127.0.0.1:0", &arguments);
    let from = json!({ "configMapKeyRef": { "name": "place", "key": "LANG" } });
    let each = json!([{ "configMapRef": { "name": "place" } }]);
    let mut named = warm("named", "surroundings");
    named["env"].as_array_mut().unwrap().push(json!({ "name": "LANG", "valueFrom": from }));
    for function in [named, warm("listed", "surroundings").with("envFrom", each)] {
        server.register(&function);
        let names = ["LANG", "LC_ALL", "LC_CTYPE"];
        let name = function["name"].as_str().unwrap();
        let found = server.invoke(name, json!({ "variables": names, "files": [] })).output();
        let found = names.map(|name| found["variables"][name].as_str());
        assert_eq!(found, [Some("de_DE.ISO-8859-1"), None, None], "{name}");
    }
}

#[test]
fn limits_that_a_function_sets_itself_are_left_alone() {
    let server = Server::start(&[]);
    let mut specification = warm("small", "echo");
    let env = specification["env"].as_array_mut().unwrap();
    env.push(json!({ "name": "MAX_BODY", "value": "100" }));
    server.register(&specification);
    assert_eq!(server.invoke("small", 1).output(), 1);
    let answer = server.invoke("small", format!("\"{}\"", "x".repeat(100)));
    answer.assert_error(413, "BODY_TOO_LARGE", "function", &[]);
    server.until_status("small", "inFlight", 0);
}

#[test]
fn a_dollar_in_a_manifest_or_from_a_client_is_a_dollar_to_the_process() {
    let server = Server::start(&[]);
    let mut env = dollars::variables();
    env.push(json!({ "name": "SECRET", "value": dollars::SECRET }));
    for mode in ["JOB", "WARM"] {
        let function = json!({
            "name": mode.to_lowercase(),
            "executionMode": mode,
            "local": { "command": dollars::command(faulty().to_str().unwrap()) },
            "args": dollars::args(),
            "env": env,
        });
        server.register(&function);
        dollars::assert_seen_as_written(&server, &mode.to_lowercase(), mode == "JOB");
    }
}

#[test]
fn a_function_over_http_runs_in_the_folder_that_it_names_and_its_values_are_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(faulty(), folder.path().join("program")).unwrap();
    fs::write(folder.path().join(".env"), "own.handler=echo\n").unwrap();
    let server = Server::start(&[]);
    let local = json!({ "command": ["./program"], "directory": folder.path() });
    let handler = json!({ "secretKeyRef": { "name": "own", "key": "handler" } });
    let function = warm("f", "").with("env", json!([{ "name": "HANDLER", "valueFrom": handler }]));
    server.register(&function.clone().with("local", local.clone()));
    assert_eq!(server.invoke("f", 7).output(), 7);
    assert_eq!(server.function("f")["local"], local);
    // Without the field, it is not the folder of the function any more.
    let elsewhere = function.with("local", json!({ "command": [faulty()] }));
    let refused = server.client().put("/v1/functions/f", &elsewhere);
    refused.assert_refused(422, "INVALID_FUNCTION", &["cannot run the function"]);
}
