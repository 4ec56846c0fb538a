//! `picofaas doctor`: its findings beside what the machine says itself, its exit status, and a cluster that lacks a right.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread::JoinHandle;

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

/// An API server that grants every right but one, and the reviews that it was asked for.
struct ReviewServer {
    kubeconfig: tempfile::NamedTempFile,
    /// Ends after so many reviews.
    asked: JoinHandle<Vec<Value>>,
}

impl ReviewServer {
    /// Answers `reviews` times.
    fn start(reviews: usize, refused: Value) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let kubeconfig = kubeconfig(&format!("http://{}", listener.local_addr().unwrap()));
        let asked = std::thread::spawn(move || {
            let (mut connection, _) = listener.accept().unwrap();
            let mut asked = Vec::new();
            for _ in 0..reviews {
                let mut review: Value = serde_json::from_slice(&request_body(&mut connection)).unwrap();
                let right = review["spec"]["resourceAttributes"].clone();
                let granted = [&right["verb"], &right["resource"], &right["subresource"]]
                    != [&refused[0], &refused[1], &refused[2]];
                review["status"] = json!({ "allowed": granted });
                let body = review.to_string();
                let head = format!(
                    "HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                    body.len()
                );
                connection.write_all((head + &body).as_bytes()).unwrap();
                asked.push(right);
            }
            asked
        });
        Self { kubeconfig, asked }
    }
}

/// The body of the next request on a connection.
fn request_body(connection: &mut std::net::TcpStream) -> Vec<u8> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        connection.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    assert!(head.starts_with("post /apis/authorization.k8s.io/v1/selfsubjectaccessreviews"), "{head}");
    let length = head.split("content-length: ").nth(1).unwrap().lines().next().unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    connection.read_exact(&mut body).unwrap();
    body
}

/// A file that leads to an API server.
fn kubeconfig(server: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    let content = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "it",
        "clusters": [{ "name": "it", "cluster": { "server": server } }],
        "users": [{ "name": "it", "user": {} }],
        "contexts": [{ "name": "it", "context": { "cluster": "it", "user": "it", "namespace": "of-the-context" } }],
    });
    fs::write(file.path(), content.to_string()).unwrap();
    file
}

#[test]
fn a_right_that_the_cluster_does_not_grant_is_named_and_is_a_problem_where_functions_run_there() {
    // The rights of the Role, each in a rule of its own or among others.
    let role = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("k8s/20-rbac.yaml")).unwrap();
    let verbs = role.lines().filter_map(|line| line.trim().strip_prefix("verbs: ["));
    let rights: usize = verbs.map(|list| list.split(',').count()).sum();
    let look = |backend: &str, more: &[&str]| {
        let server = ReviewServer::start(rights, json!(["patch", "functions", "status"]));
        let file = server.kubeconfig.path().to_str().unwrap();
        let flags = ["-o", "json", "--spin-ms", "0", "--backend", backend, "--kubeconfig", file];
        let (report, code) = read(&doctor(command(), &[&flags, more].concat()));
        let asked = server.asked.join().unwrap();
        assert_eq!(asked.len(), rights);
        (finding(&report, "permissions").clone(), code, asked)
    };
    let (permissions, code, asked) = look("kubernetes", &["--namespace", "fns"]);
    assert_eq!((permissions["verdict"].as_str(), code), (Some("problem"), 1));
    let wanted = json!({ "namespace": "fns", "rights": rights, "missing": ["patch functions/status"], "refusal": null });
    assert_eq!(permissions["data"], wanted);
    assert!(asked.iter().all(|right| right["namespace"] == "fns"), "{asked:?}");
    let watched = |right: &&Value| right["verb"] == "watch" && right["resource"] == "functions";
    assert_eq!(asked.iter().find(watched).unwrap()["group"], "picofaas.dev");

    let (permissions, _, asked) = look("auto", &[]);
    assert_eq!(permissions["verdict"], "warning", "functions would run on this machine");
    assert!(asked.iter().all(|right| right["namespace"] == "of-the-context"), "{asked:?}");
}

#[test]
fn without_a_cluster_the_reason_is_told_and_one_that_is_away_is_a_problem_where_functions_run_there() {
    let home = tempfile::tempdir().unwrap();
    let mut alone = command();
    alone.env("HOME", home.path()).env_remove("KUBECONFIG").env_remove("KUBERNETES_SERVICE_HOST");
    let (report, _) = read(&doctor(alone, &["-o", "json", "--spin-ms", "0"]));
    let permissions = finding(&report, "permissions");
    assert_eq!((permissions["verdict"].as_str(), &permissions["data"]), (Some("unknown"), &Value::Null));
    let seen = permissions["seen"].as_str().unwrap();
    assert!(seen.starts_with("not looked at: no cluster is known: "), "{seen}");

    let file = kubeconfig("http://127.0.0.1:1");
    for (backend, verdict) in [("auto", "unknown"), ("kubernetes", "problem")] {
        let flags = ["-o", "json", "--spin-ms", "0", "--backend", backend, "--kubeconfig"];
        let (report, _) = read(&doctor(command(), &[&flags[..], &[file.path().to_str().unwrap()]].concat()));
        let permissions = finding(&report, "permissions");
        assert_eq!(permissions["verdict"], verdict, "{permissions}");
        let seen = permissions["seen"].as_str().unwrap();
        assert!(seen.starts_with("not known in namespace of-the-context: "), "{seen}");
    }
}
