//! Values of flags by variables and by a file.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Stdio;

use serde_json::json;

use crate::support::server::{End, Server, command, run};
use crate::support::specification::{With, faulty, warm};

/// Runs the binary with variables to its end; it must not come to serve.
fn run_with(variables: &[(&str, &str)], arguments: &[&str]) -> End {
    let mut command = command();
    command.args(arguments).envs(variables.iter().copied()).stderr(Stdio::piped());
    let output = command.spawn().unwrap().wait_with_output().unwrap();
    End { code: output.status.code().unwrap(), stderr: String::from_utf8(output.stderr).unwrap() }
}

/// The line of the log with all flags in force.
fn in_force(server: &Server) -> &str {
    server.greeting.lines().find(|line| line.contains("settings in force: ")).unwrap()
}

#[test]
fn the_command_line_comes_before_a_variable_and_that_before_a_file_and_that_before_the_default() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("picofaas.yaml");
    let values = "max-executions: 1001\nmax-connections: 1002\nmax-functions: 1003\ngateway-ticks: on\n\
                  allow-writes: true\nallow-origin: [https://a.example, https://b.example]\nbuild-timeout: 9\n";
    fs::write(&file, values).unwrap();
    let mut command = command();
    command.env("PICOFAAS_CONFIG", &file);
    command.env("PICOFAAS_MAX_EXECUTIONS", "2001").env("PICOFAAS_MAX_CONNECTIONS", "2002");
    command.env("PICOFAAS_RETENTION", "").env("PICOFAAS_ALLOW_LOCAL_EXEC", "1").env("PICOFAAS_FRAMES", "off");
    command.env("PICOFAAS_ALLOW_ORIGIN", "https://c.example, https://d.example");
    let server = Server::start_by(command, "127.0.0.1:0", "127.0.0.1:0", &["--max-executions", "3001"]);
    let line = in_force(&server).to_owned() + " ";
    for wanted in [
        "--max-executions 3001 ",
        "--max-connections 2002 ",
        "--max-functions 1003 ",
        "--retention 300 ",
        "--gateway-ticks on ",
        "--frames off ",
        "--allow-writes ",
        "--allow-local-exec ",
        "--allow-origin https://c.example --allow-origin https://d.example ",
    ] {
        assert!(line.contains(wanted), "no {wanted:?} in {line}");
    }
    assert!(!line.contains("a.example"), "{line}");
}

#[test]
fn a_flag_that_needs_another_finds_it_wherever_that_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let functions = folder.path().join("functions");
    fs::create_dir(&functions).unwrap();
    let functions = functions.to_str().unwrap();
    let file = folder.path().join("picofaas.yaml");
    let file = file.to_str().unwrap();
    let both = format!("functions: {functions}\nwatch: true\n");
    for (content, variables, arguments) in [
        ("", &[("PICOFAAS_FUNCTIONS", functions), ("PICOFAAS_WATCH", "true")][..], &[][..]),
        (&both, &[], &[]),
        ("", &[("PICOFAAS_FUNCTIONS", functions)], &["--watch"]),
        ("watch: true", &[], &["--functions", functions]),
    ] {
        fs::write(file, content).unwrap();
        let mut command = command();
        command.env("PICOFAAS_CONFIG", file).envs(variables.iter().copied());
        let server = Server::start_by(command, "127.0.0.1:0", "127.0.0.1:0", arguments);
        let line = in_force(&server).to_owned() + " ";
        assert!(line.contains(&format!(" --functions {functions} ")) && line.contains(" --watch "), "{line}");
    }
    let end = run_with(&[("PICOFAAS_WATCH", "true")], &["serve"]);
    assert!(end.code == 2 && end.stderr.contains("--functions <DIR>"), "{end:?}");
    // It is no flag of dev, which goes on to its folder.
    let end = run_with(&[("PICOFAAS_WATCH", "true")], &["dev", "/no/such/folder"]);
    assert!(end.code == 1 && end.stderr.contains("/no/such/folder: cannot be read"), "{end:?}");
    // A command that takes no values still needs its arguments.
    assert_eq!(run_with(&[("PICOFAAS_FUNCTIONS", functions)], &["new"]).code, 2);
}

#[test]
fn a_value_that_no_flag_can_have_ends_with_2_and_names_its_variable() {
    for (name, value, reason) in [
        ("PICOFAAS_MAX_EXECUTIONS", "5", "5 is not in 64..=1048576"),
        ("PICOFAAS_ALLOW_WRITES", "maybe", "must be true or false"),
        ("PICOFAAS_SCHEDULER", "fast", "adaptive"),
        ("PICOFAAS_CONFIG", "/no/such/file", "/no/such/file: cannot be read"),
    ] {
        for subcommand in ["serve", "dev", "doctor"] {
            let end = run_with(&[(name, value)], &[subcommand]);
            assert_eq!(end.code, 2, "{end:?}");
            assert!(end.stderr.starts_with(&format!("error: {name}")), "{end:?}");
            assert!(end.stderr.contains(reason), "no {reason:?} in {}", end.stderr);
        }
    }
}

#[test]
fn a_file_with_a_strange_key_or_value_ends_with_2_and_names_both_and_the_nearest_flag() {
    let folder = tempfile::tempdir().unwrap();
    for (content, wanted) in [
        ("max-execution: 100", "v.yaml: max-execution: is the name of no flag; did you mean max-executions?"),
        ("max-executions: 5", "v.yaml: max-executions: invalid value '5' for '--max-executions <N>'"),
        ("allow-writes: 1", "v.yaml: allow-writes: must be true or false"),
        ("listen: [1, 2]", "v.yaml: listen: must be one text or number, and is [1,2]"),
        ("config: other.yaml", "v.yaml: config: a file cannot name another"),
        ("- 1", "v.yaml: must be YAML with the names of flags as keys: "),
        ("drain: 1\ndrain: 2", "v.yaml: must be YAML with the names of flags as keys: "),
    ] {
        fs::write(folder.path().join("v.yaml"), content).unwrap();
        let end = run(&["serve", "--config", "v.yaml"], folder.path());
        assert_eq!(end.code, 2, "{end:?}");
        assert!(end.stderr.contains(wanted), "no {wanted:?} in {}", end.stderr);
    }
}

#[test]
fn a_variable_of_no_flag_is_told_once_with_the_nearest_and_one_of_kubernetes_is_not() {
    let mut command = command();
    command.env("PICOFAAS_MAX_EXECUTION", "100").env("PICOFAAS_SERVER", "http://127.0.0.1:1");
    command.env("PICOFAAS_PORT", "tcp://10.0.0.1:8080").env("PICOFAAS_SERVICE_HOST", "10.0.0.1");
    command.env("PICOFAAS_RUNTIME_PORT_8082_TCP_ADDR", "10.0.0.2").env("PICOFAAS_SERVICE_PORT_HTTP", "8080");
    let server = Server::start_by(command, "127.0.0.1:0", "127.0.0.1:0", &[]);
    let told: Vec<&str> = server.greeting.lines().filter(|line| line.contains("PICOFAAS_")).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    let wanted = "PICOFAAS_MAX_EXECUTION: is the variable of no flag, and is ignored; \
                  did you mean PICOFAAS_MAX_EXECUTIONS?";
    assert!(told[0].contains("WARN") && told[0].contains(wanted), "{told:?}");
}

#[test]
fn a_function_has_none_of_the_variables_of_flags() {
    let mut command = command();
    command.env("PICOFAAS_MAX_EXECUTIONS", "2001").env("PICOFAAS_ALLOW_LOCAL_EXEC", "true");
    let server = Server::start_by(command, "127.0.0.1:0", "127.0.0.1:0", &[]);
    let out = tempfile::tempdir().unwrap();
    let script = "env > \"$OUT/env\"; exec \"$PROGRAM\"";
    let specification =
        warm("described", "echo").with("local", json!({ "command": ["/bin/sh", "-c", script] })).with(
            "env",
            json!([
                { "name": "OUT", "value": out.path() },
                { "name": "PROGRAM", "value": faulty() },
                { "name": "HANDLER", "value": "echo" },
            ]),
        );
    server.register(&specification);
    assert_eq!(server.invoke("described", "1").output(), 1);
    let text = fs::read_to_string(Path::new(out.path()).join("env")).unwrap();
    let ours = text.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name);
    let ours: BTreeSet<&str> = ours.filter(|name| name.starts_with("PICOFAAS_")).collect();
    assert_eq!(ours, BTreeSet::from(["PICOFAAS_INSTANCE", "PICOFAAS_SOCKET"]), "{text}");
}
