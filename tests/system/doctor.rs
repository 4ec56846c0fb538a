//! `picofaas doctor`: its findings beside what the machine says itself, and its exit status.
//!
//! | file | holds |
//! |---|---|
//! | `rights` | a cluster that lacks a right, or is not there |

#[cfg(feature = "cluster")]
mod rights;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use rustix::process::{Resource, getrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde_json::{Value, json};

use crate::resources::folders_of;
use crate::support::patience::Alarm;
use crate::support::server::{Server, command};

/// Runs it to its end.
fn doctor(mut command: Command, flags: &[&str]) -> Output {
    let child = command.arg("doctor").args(flags).stdout(Stdio::piped()).spawn().unwrap();
    let _alarm = Alarm::of(&child);
    child.wait_with_output().unwrap()
}

/// The report for programs, and the exit status, of one that looks at no cluster.
fn report(flags: &[&str]) -> (Value, i32) {
    read(&doctor(command(), &[&["-o", "json", "--backend", "local"], flags].concat()))
}

fn read(output: &Output) -> (Value, i32) {
    let said = String::from_utf8_lossy(&output.stderr);
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    (report, output.status.code().unwrap())
}

fn finding<'r>(report: &'r Value, name: &str) -> &'r Value {
    let mut findings = report["findings"].as_array().unwrap().iter();
    findings.find(|finding| finding["name"] == name).unwrap_or_else(|| panic!("no {name} in {report}"))
}

fn names(report: &Value) -> Vec<&str> {
    report["findings"].as_array().unwrap().iter().map(|finding| finding["name"].as_str().unwrap()).collect()
}

/// The CPUs that this thread, and what it starts, may use.
fn allowed() -> Vec<usize> {
    let set = sched_getaffinity(None).unwrap();
    (0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect()
}

/// Does something on a thread that may use the first CPU alone.
fn on_one_core<T: Send>(act: impl FnOnce() -> T + Send) -> T {
    let first = allowed()[0];
    std::thread::scope(|scope| {
        let pinned = scope.spawn(|| {
            let mut one = CpuSet::new();
            one.set(first);
            sched_setaffinity(None, &one).unwrap();
            act()
        });
        pinned.join().unwrap()
    })
}

fn number(path: &str) -> u64 {
    fs::read_to_string(path).unwrap().trim().parse().unwrap()
}

#[test]
fn the_findings_are_what_the_machine_says_itself() {
    let (report, _) = report(&["--spin-ms", "20"]);
    let of = |name, field| &finding(&report, name)["data"][field];
    assert_eq!(*of("cores", "allowed"), json!(allowed()));
    assert_eq!(*of("cores", "usable"), json!(std::thread::available_parallelism().unwrap().get()));
    let limit = getrlimit(Resource::Nofile);
    assert_eq!(
        (of("open-files", "soft"), of("open-files", "hard")),
        (&json!(limit.current), &json!(limit.maximum))
    );
    assert_eq!(*of("accept-queue", "somaxconn"), json!(number("/proc/sys/net/core/somaxconn")));
    let source = fs::read_to_string("/sys/devices/system/clocksource/clocksource0/current_clocksource");
    assert_eq!(*of("clock", "source"), json!(source.ok().map(|text| text.trim().to_owned())));
    assert!(of("clock", "readNs").as_u64().unwrap() > 0);

    assert_eq!(of("interruptions", "cpu").as_u64(), allowed().last().map(|cpu| *cpu as u64));
    assert!(of("interruptions", "spunUs").as_u64().unwrap() >= 20_000);
    let counts = of("interruptions", "histogram").as_array().unwrap().iter();
    let counted: u64 = counts.map(|bucket| bucket["count"].as_u64().unwrap()).sum();
    assert_eq!(of("interruptions", "count").as_u64(), Some(counted));
    assert!(of("wakes", "count").as_u64().unwrap() > 0);
}

#[test]
fn the_table_and_the_json_have_the_findings_that_are_documented() {
    let (report, _) = report(&["--spin-ms", "0"]);
    let document = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/doctor.md")).unwrap();
    let rows = document.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    let rows: Vec<(&str, &str)> = rows.filter(|(name, _)| names(&report).contains(name)).collect();
    assert_eq!(rows.iter().map(|(name, _)| *name).collect::<Vec<_>>(), names(&report));
    for (name, row) in rows {
        // Not looked at, it has no fields.
        for field in finding(&report, name)["data"].as_object().into_iter().flat_map(serde_json::Map::keys) {
            assert!(row.contains(&format!("`{field}`")), "the document says nothing of {field} of {name}");
        }
    }
    for finding in report["findings"].as_array().unwrap() {
        for text in ["name", "verdict", "seen", "why"] {
            assert!(!finding[text].as_str().unwrap().is_empty(), "{text}: {finding}");
        }
        assert_eq!(finding["advice"].is_null(), finding["verdict"] == "ok", "{finding}");
    }
    let table = doctor(command(), &["--spin-ms", "0", "--backend", "local"]);
    let table = String::from_utf8(table.stdout).unwrap();
    let verdicts = ["ok", "unknown", "warning", "problem"];
    let rows = table.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let is_row = !line.starts_with(' ') && words.next().is_some_and(|word| verdicts.contains(&word));
        is_row.then(|| words.next().unwrap())
    });
    assert_eq!(rows.collect::<Vec<_>>(), names(&report));
    assert!(!table.contains('\u{1b}'), "no colours but on a terminal");
}

#[test]
fn the_scheduler_policy_and_its_reason_are_those_of_serve_on_one_core_and_on_all() {
    for flags in [&[][..], &["--scheduler", "spin"], &["--scheduler", "park"]] {
        let both = || {
            let server = Server::start_bare(flags);
            let greeting = server.greeting.clone();
            assert_eq!(server.stop().code, 0);
            (greeting, report(&[&["--spin-ms", "0"], flags].concat()).0)
        };
        let (alone, all) = (on_one_core(both), both());
        if flags.is_empty() {
            let policy = finding(&alone.1, "scheduler");
            assert_eq!(finding(&alone.1, "cores")["data"]["usable"], 1);
            assert_eq!(finding(&alone.1, "cores")["verdict"], "warning");
            assert_eq!(
                (&policy["data"]["policy"], &policy["data"]["gatewayTicks"]),
                (&json!("adaptive"), &json!(true))
            );
            assert_eq!(policy["data"]["reason"], "auto: 1 cores are usable, fewer than 4");
        }
        for (greeting, report) in [alone, all] {
            let said = &finding(&report, "scheduler")["data"];
            let (policy, reason) = (said["policy"].as_str().unwrap(), said["reason"].as_str().unwrap());
            let mut wanted = vec![format!("scheduler=\"{policy}\""), format!("reason=\"{reason}\"")];
            wanted.push(format!("gateway_ticks={}", said["gatewayTicks"]));
            wanted.extend(said["schedulerCore"].as_u64().map(|core| format!("core={core}")));
            for part in wanted {
                assert!(greeting.contains(&part), "no {part} in {greeting}");
            }
        }
    }
}

#[test]
fn a_low_limit_of_open_files_is_a_warning_with_what_is_needed() {
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -n 256 && exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_picofaas")]);
    let (report, _) = read(&doctor(shell, &["-o", "json", "--backend", "local", "--spin-ms", "0"]));
    let files = finding(&report, "open-files");
    assert_eq!((&files["data"]["soft"], &files["data"]["hard"]), (&json!(256), &json!(256)));
    assert_eq!(files["verdict"], "warning");
    let advice = files["advice"].as_str().unwrap();
    assert!(advice.contains("from 256 to 5120 at least") && advice.contains("11024 for 10000"), "{advice}");
}

#[test]
fn the_exit_status_is_1_where_there_is_a_problem_and_2_for_flags_that_are_not_understood() {
    let (report_of_all, code) = report(&["--spin-ms", "0"]);
    let verdicts = report_of_all["findings"].as_array().unwrap().iter().map(|finding| &finding["verdict"]);
    let worst =
        ["problem", "warning", "unknown", "ok"].map(|it| verdicts.clone().any(|verdict| verdict == it));
    let worst = worst.iter().position(|is_there| *is_there).unwrap();
    assert_eq!(report_of_all["verdict"], ["problem", "warning", "unknown", "ok"][worst]);
    assert_eq!(code, i32::from(worst == 0), "{report_of_all:#}");

    let (faulty, code) = report(&["--spin-ms", "0", "--scheduler-core", "1023"]);
    assert_eq!((code, &faulty["verdict"]), (1, &json!("problem")));
    let seen = finding(&faulty, "scheduler")["seen"].as_str().unwrap();
    assert!(seen.starts_with("`serve` would not start: --scheduler-core 1023: "), "{seen}");

    assert_eq!(doctor(command(), &["--spin-ms", "60001"]).status.code(), Some(2));
    let help = String::from_utf8(doctor(command(), &["--help"]).stdout).unwrap();
    for part in
        ["Exit status: 0 without a problem, 1 with one, 2 ", "--spin-ms", "--scheduler-core", "--kubeconfig"]
    {
        assert!(help.contains(part), "no {part:?} in {help}");
    }
}

#[test]
fn the_means_of_limits_are_those_of_serve_and_no_group_is_left() {
    let mut child = command();
    let flags = ["doctor", "-o", "json", "--backend", "local", "--spin-ms", "0"];
    let child = child.args(flags).stdout(Stdio::piped()).spawn().unwrap();
    let (pid, _alarm) = (child.id(), Alarm::of(&child));
    let (report, _) = read(&child.wait_with_output().unwrap());
    let means = finding(&report, "local-limits")["data"]["means"].as_str().unwrap().to_owned();
    let server = Server::start_bare(&[]);
    assert!(
        server.greeting.contains(&format!("limits of local functions: {means}")),
        "{means}: {}",
        server.greeting
    );
    assert_eq!(folders_of(pid), <[std::path::PathBuf; 0]>::default());
}
