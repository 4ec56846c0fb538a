//! The command line, manifests at the start, and ports.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::support::client::Client;
use crate::support::patience::{Alarm, eventually};
use crate::support::server::{Server, command, run};
use crate::support::specification::faulty;

pub(crate) fn manifest(name: &str, handler: &str) -> String {
    let command = json!([faulty()]);
    format!(
        "apiVersion: picofaas.dev/v1\nkind: Function\nmetadata: {{name: {name}}}\nspec:\n  \
         executionMode: WARM\n  local: {{command: {command}}}\n  env: [{{name: HANDLER, value: {handler}}}]\n"
    )
}

#[test]
fn functions_of_a_folder_are_served_without_leave_to_run_commands_over_http() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("deep")).unwrap();
    fs::write(folder.path().join("deep/function.yaml"), manifest("from-a-file", "echo")).unwrap();
    fs::write(folder.path().join("other.yaml"), "kind: Deployment\n").unwrap();
    let server = Server::start_bare(&["--functions", folder.path().to_str().unwrap()]);
    assert_eq!(server.invoke("from-a-file", 5).output(), 5);
    assert_eq!(server.operator().get("/readyz").status, 200);
}

#[test]
fn a_manifest_with_faults_stops_the_start_with_file_line_and_field_of_each() {
    let folder = tempfile::tempdir().unwrap();
    let broken = manifest("broken", "echo") + "  timeoutMs: soon\n  concurency: 4\n";
    fs::write(folder.path().join("broken.yaml"), broken).unwrap();
    fs::write(folder.path().join("fine.yaml"), manifest("fine", "echo")).unwrap();
    let end = run(
        &[
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--management-listen",
            "127.0.0.1:0",
            "--runtime-listen",
            "127.0.0.1:0",
            "--functions",
            folder.path().to_str().unwrap(),
        ],
        folder.path(),
    );
    assert_eq!(end.code, 1, "{end:?}");
    for part in
        ["--functions", "broken.yaml:8: spec.timeoutMs: ", "broken.yaml:9: spec.concurency: ", "concurrency"]
    {
        assert!(end.stderr.contains(part), "no {part:?} in {}", end.stderr);
    }
}

#[test]
fn two_manifests_of_one_name_stop_the_start_and_both_are_named() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["first.yaml", "second.yaml"] {
        fs::write(folder.path().join(file), manifest("twice", "echo")).unwrap();
    }
    let listen = ["--listen", "--management-listen", "--runtime-listen"].map(|flag| [flag, "127.0.0.1:0"]);
    let functions = ["--functions", folder.path().to_str().unwrap()];
    let end = run(&[&["serve"][..], listen.as_flattened(), &functions].concat(), folder.path());
    assert_eq!(end.code, 1, "{end:?}");
    for part in ["first.yaml", "second.yaml", "twice"] {
        assert!(end.stderr.contains(part), "no {part:?} in {}", end.stderr);
    }
}

#[test]
fn a_manifest_that_is_not_yaml_stops_the_start_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("function.yaml");
    fs::write(&file, "apiVersion: picofaas.dev/v1\nkind: [Function\n").unwrap();
    let flags = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--management-listen",
        "127.0.0.1:0",
        "--runtime-listen",
        "127.0.0.1:0",
        "--functions",
        ".",
    ];
    let end = run(&flags, folder.path());
    assert_eq!(end.code, 1, "{end:?}");
    assert!(end.stderr.contains("function.yaml:") && end.stderr.contains("is not YAML"), "{end:?}");
}

#[test]
fn a_named_file_without_a_function_stops_the_start_with_what_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("other.yaml");
    let listen = ["--listen", "--management-listen", "--runtime-listen"].map(|flag| [flag, "127.0.0.1:0"]);
    for (text, told) in [
        ("apiVersion: apps/v1\nkind: Deployment\n", "other.yaml:1: apps/v1 Deployment is no function"),
        ("kind: Function\nmetadata: {name: f}\nspec: {image: i}\n", "other.yaml:1: apiVersion: is required"),
        ("# nothing\n", "other.yaml: there is no function in it"),
    ] {
        fs::write(&file, text).unwrap();
        let functions = ["--functions", file.to_str().unwrap()];
        let end = run(&[&["serve"][..], listen.as_flattened(), &functions].concat(), folder.path());
        assert_eq!(end.code, 1, "{end:?}");
        assert!(end.stderr.contains(told), "no {told:?} in {}", end.stderr);
    }
}

#[test]
fn a_folder_without_a_manifest_is_told_and_so_is_a_function_that_was_not_built() {
    let folder = tempfile::tempdir().unwrap();
    let functions = folder.path().join("functions");
    fs::create_dir_all(functions.join("deep")).unwrap();
    let flags = ["--functions", functions.to_str().unwrap()];
    let nothing = format!("--functions {}: has no manifest of a function", functions.display());
    for flags in [&flags[..], &[flags[0], flags[1], "--watch"]] {
        let said = Server::start_bare(flags).stop().stderr;
        let told = said.lines().filter(|line| line.contains(&nothing) && line.contains("picofaas new"));
        assert_eq!(told.count(), 1, "{said}");
    }
    let local = json!({ "build": [["true"]], "command": ["./program"] });
    let text =
        manifest("f", "echo").replace(&format!("{{command: {}}}", json!([faulty()])), &format!("{local}"));
    fs::write(functions.join("deep/function.yaml"), text).unwrap();
    let deep = functions.join("deep");
    let unbuilt =
        format!("f: was not built: ./program is not there; `picofaas build {}` makes it", deep.display());
    for flags in [&flags[..], &[flags[0], flags[1], "--watch"]] {
        let said = Server::start_bare(flags).stop().stderr;
        assert!(said.contains(&unbuilt) && !said.contains(&nothing), "{said}");
    }
    std::os::unix::fs::symlink(faulty(), deep.join("program")).unwrap();
    let server = Server::start_bare(&flags);
    assert_eq!(server.invoke("f", 5).output(), 5);
    let said = server.stop().stderr;
    assert!(!said.contains("was not built"), "{said}");
}

#[test]
fn a_file_of_values_that_is_not_there_or_wrong_stops_the_start_with_its_flag_and_line() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("wrong"), "A=1\nB\n").unwrap();
    let listen = ["--listen", "--management-listen", "--runtime-listen"].map(|flag| [flag, "127.0.0.1:0"]);
    for (file, told) in [
        ("none", "--env-file none: there is no such file"),
        ("wrong", "--env-file wrong:2: must be NAME=VALUE"),
    ] {
        let end =
            run(&[&["serve"][..], listen.as_flattened(), &["--env-file", file]].concat(), folder.path());
        assert_eq!(end.code, 1, "{end:?}");
        assert!(end.stderr.contains(told), "no {told:?} in {}", end.stderr);
    }
}

#[test]
fn a_folder_of_functions_that_is_not_there_stops_the_start_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let flags = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--management-listen",
        "127.0.0.1:0",
        "--runtime-listen",
        "127.0.0.1:0",
        "--functions",
        "no-such",
    ];
    let end = run(&flags, folder.path());
    assert_eq!(end.code, 1, "{end:?}");
    assert!(end.stderr.contains("--functions no-such"), "{end:?}");
}

#[test]
fn a_port_in_use_stops_the_start_and_names_the_flag_and_the_address() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (flag, other) in [("--listen", "--management-listen"), ("--management-listen", "--listen")] {
        let end = run(&["serve", flag, &address, other, "127.0.0.1:0"], folder.path());
        assert_eq!(end.code, 1, "{end:?}");
        assert!(end.stderr.contains(&format!("picofaas: {flag} {address}: ")), "{end:?}");
        assert!(end.stderr.contains("in use"), "{end:?}");
    }
}

#[test]
fn two_servers_never_share_a_port_silently() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_bare(&[]);
    let address = server.listen.to_string();
    let end = run(
        &[
            "serve",
            "--listen",
            &address,
            "--management-listen",
            "127.0.0.1:0",
            "--runtime-listen",
            "127.0.0.1:0",
        ],
        folder.path(),
    );
    assert_eq!(end.code, 1, "{end:?}");
    assert_eq!(server.client().get("/healthz").status, 200);
}

#[test]
fn an_unknown_command_and_an_unknown_flag_end_with_2_and_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let end = run(&["serv"], folder.path());
    assert!(end.code == 2 && end.stderr.contains("'serv'") && end.stderr.contains("'serve'"), "{end:?}");
    let end = run(&["serve", "--listn", "127.0.0.1:0"], folder.path());
    assert!(
        end.code == 2 && end.stderr.contains("'--listn'") && end.stderr.contains("'--listen'"),
        "{end:?}"
    );
}

#[test]
fn a_flag_outside_its_range_ends_with_2_and_names_the_flag_its_value_and_its_range() {
    let folder = tempfile::tempdir().unwrap();
    for (flag, value, range) in [
        ("--max-body", "1023", "1024..=1073741824"),
        ("--retention", "0", "1..=86400"),
        ("--head-timeout-ms", "9", "10..=300000"),
        ("--max-connections", "65537", "1..=65536"),
        ("--max-functions", "many", "--max-functions"),
        ("--listen", "localhost", "--listen"),
        ("--scheduler", "fast", "adaptive"),
    ] {
        let end = run(&["serve", flag, value], folder.path());
        assert_eq!(end.code, 2, "{end:?}");
        for part in [flag, &format!("'{value}'"), range] {
            assert!(end.stderr.contains(part), "no {part:?} in {}", end.stderr);
        }
    }
}

#[test]
fn a_listener_is_named_by_localhost_by_a_port_alone_and_by_an_address_of_either_family() {
    let ipv6 = if TcpListener::bind("[::1]:0").is_ok() { "[::1]:0" } else { "127.0.0.1:0" };
    for [listen, management, runtime] in [["localhost:0", ":0", "0"], ["0", ipv6, "localhost:0"]] {
        let server = Server::start_on(listen, runtime, &["--management-listen", management]);
        let text = &server.greeting;
        let shown = |field: &str| {
            let (_, rest) = text.rsplit_once(&format!(" {field}=")).unwrap_or_else(|| panic!("{text}"));
            rest.split_whitespace().next().unwrap().rsplit_once(':').unwrap().0.to_owned()
        };
        let loopback = if management.starts_with('[') { "[::1]" } else { "127.0.0.1" };
        assert_eq!(shown("management"), loopback);
        for field in ["listen", "runtime"] {
            assert_eq!(shown(field), "127.0.0.1", "a port alone is on loopback");
        }
        assert_eq!(server.client().get("/healthz").status, 200);
        // The line has the flags as they would be given, and nothing of how they are kept.
        let line = text.lines().find(|line| line.contains("settings in force: ")).expect("the settings");
        assert!(line.contains("--listen 127.0.0.1:0") && line.contains("--keep-alive 75"), "{line}");
        assert!(!line.contains("ServeArgs") && !line.contains("Some("), "{line}");
    }
}

#[test]
fn an_address_of_any_listener_that_is_none_is_refused_with_examples() {
    let folder = tempfile::tempdir().unwrap();
    for flag in ["--listen", "--management-listen", "--runtime-listen"] {
        for value in ["localhost", "faas.example:8080", "::1", ":http", "http://127.0.0.1:8080"] {
            let end = run(&["serve", flag, value], folder.path());
            assert_eq!(end.code, 2, "{end:?}");
            for part in [flag, value, "127.0.0.1:8080", "[::1]:8080", "0.0.0.0:8080"] {
                assert!(end.stderr.contains(part), "no {part:?} in {}", end.stderr);
            }
        }
    }
    let end = run(&["serve", "--runtime-url", "192.0.2.1:8082"], folder.path());
    assert_eq!(end.code, 2, "{end:?}");
    assert!(end.stderr.contains("--runtime-url") && end.stderr.contains("http://192.0.2.1:8082"), "{end:?}");
}

#[test]
fn the_same_port_for_both_listeners_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let end = run(
        &["serve", "--listen", "127.0.0.1:18080", "--management-listen", "127.0.0.1:18080"],
        folder.path(),
    );
    assert_eq!(end.code, 1, "{end:?}");
    assert!(end.stderr.contains("--management-listen") && end.stderr.contains("--listen"), "{end:?}");
}

#[test]
fn a_low_limit_of_open_files_is_raised_and_one_that_cannot_be_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let start = |limits: &str| {
        let script = format!(
            "ulimit {limits} && exec \"$0\" serve --listen 127.0.0.1:0 --management-listen 127.0.0.1:0 --runtime-listen 127.0.0.1:0"
        );
        let mut shell = Command::new("sh");
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_picofaas")]).env("TMPDIR", folder.path());
        let mut child = shell.stderr(Stdio::piped()).spawn().unwrap();
        let _alarm = Alarm::of(&child);
        let mut said = String::new();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        while !said.contains(" serving ") {
            assert!(log.read_line(&mut said).unwrap() > 0, "{said}");
        }
        let limits = fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        assert!(child.wait().unwrap().success());
        let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap().to_owned();
        let mut numbers = files.split_whitespace().filter_map(|word| word.parse::<u64>().ok());
        (numbers.next(), numbers.next(), said)
    };
    let (soft, hard, _) = start("-S -n 64");
    assert!(soft == hard && hard > Some(64), "{soft:?} of {hard:?}");
    let (_, hard, said) = start("-n 64");
    assert_eq!(hard, Some(64));
    assert!(said.contains("fewer files than --max-connections"), "{said}");
}

#[test]
fn a_log_filter_that_is_not_understood_stops_the_start_with_its_name() {
    let mut picofaas = command();
    let output =
        picofaas.args(["serve", "--listen", "127.0.0.1:1"]).env("RUST_LOG", "warning").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("picofaas: RUST_LOG=warning: ") && said.contains("warn"), "{said}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_log_that_nobody_reads_or_that_is_full_ends_nothing() {
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let (reader, closed) = std::io::pipe().unwrap();
    drop(reader);
    for log in [Stdio::from(full), Stdio::from(closed)] {
        // A port that is free now; the server cannot tell which one it takes.
        let listen = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut child = command()
            .args(["serve", "--listen", &listen.to_string(), "--management-listen", "127.0.0.1:0"])
            .args(["--runtime-listen", "127.0.0.1:0"])
            .stderr(log)
            .spawn()
            .unwrap();
        let _alarm = Alarm::of(&child);
        eventually("it serves", || {
            assert_eq!(child.try_wait().unwrap(), None, "it has ended");
            TcpStream::connect(listen).ok()
        });
        assert_eq!(Client::connect(listen).get("/healthz").status, 200);
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn the_help_of_serve_says_of_every_flag_what_it_does_and_what_holds_without_it() {
    let output = command().args(["serve", "--help"]).stdout(Stdio::piped()).output().unwrap();
    assert!(output.status.success());
    let help = String::from_utf8(output.stdout).unwrap();
    let mut flags = 0;
    let mut paragraphs: Vec<String> = Vec::new();
    for line in help.lines() {
        if line.trim_start().starts_with("--") {
            paragraphs.push(String::new());
        }
        if let Some(paragraph) = paragraphs.last_mut() {
            paragraph.push_str(line.trim());
            paragraph.push(' ');
        }
    }
    for paragraph in &paragraphs {
        flags += 1;
        let name = paragraph.split_whitespace().next().unwrap();
        let has_value = paragraph.contains('<');
        // A switch is off where it is not given; everything else names what holds then.
        let says_default = paragraph.contains("[default: ") || paragraph.contains("default:");
        let is_optional = name == "--functions";
        assert!(!has_value || says_default || is_optional, "{name} says no default: {paragraph}");
        for (value, units) in [
            ("<MILLIS>", "ms"),
            ("<MICROS>", "µs"),
            ("<SECONDS>", " s"),
            ("<BYTES>", "iB"),
            ("<N>", "…"),
            ("<ADDR>", "address:port"),
        ] {
            let numeric = !["<ADDR>"].contains(&value);
            if paragraph.contains(value) {
                assert!(paragraph.contains(units), "{name} says no unit: {paragraph}");
                assert!(!numeric || paragraph.contains('…'), "{name} says no range: {paragraph}");
            }
        }
    }
    assert!(flags >= 24, "only {flags} flags in:\n{help}");
}

/// A row of the table of flags, as the flag and its default.
fn documented() -> Vec<(String, String)> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/control-plane.md");
    let page = fs::read_to_string(page).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `--"));
    rows.filter_map(|row| {
        let (flag, rest) = row.split_once('`')?;
        let default = rest.split('|').nth(1)?.trim();
        Some((flag.split(' ').next()?.to_owned(), default.to_owned()))
    })
    .collect()
}

#[test]
fn the_defaults_in_the_documentation_are_those_of_the_binary_and_listeners_are_on_loopback() {
    let output = command().args(["serve", "--help"]).stdout(Stdio::piped()).output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let paragraph = |flag: &str| {
        let text = help.split(&format!("--{flag} <")).nth(1)?;
        Some(text.split("\n      --").next().unwrap_or(text).to_owned())
    };
    let documented = documented();
    let mut compared = 0;
    for (flag, default) in &documented {
        let is_value = default.starts_with(|c: char| c.is_ascii_digit()) && !default.contains(' ');
        if let (true, Some(text)) = (is_value, paragraph(flag)) {
            assert!(text.contains(&format!("[default: {default}]")), "--{flag} {default}: {text}");
            compared += 1;
        }
    }
    assert!(compared >= 20, "only {compared} of {documented:?}");
    for (flag, address) in [
        ("listen", "127.0.0.1:8080"),
        ("management-listen", "127.0.0.1:8081"),
        ("runtime-listen", "127.0.0.1:8082"),
    ] {
        assert!(documented.contains(&(flag.to_owned(), address.to_owned())), "{flag}: {documented:?}");
    }
}
