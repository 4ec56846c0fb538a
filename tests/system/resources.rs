//! Limits of a local function on the machine, and the removal of its resources when it has ended.
//!
//! The limits are held by cgroups where this machine lets us write them, and by rlimits else. The
//! tests say which of the two they saw.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use picofaas::internals::instances::hierarchies;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::bystander::while_others_are_served;
use crate::support::job::Stage;
use crate::support::patience::{Stopwatch, eventually};
use crate::support::server::Server;
use crate::support::specification::{With, unruly};

/// Whether the server bounds this by a cgroup; printed, because the test asserts other things then.
fn by_cgroup(server: &Server, controller: &str) -> bool {
    let (_, summary) = server.greeting.split_once("limits of local functions: ").unwrap();
    println!("{}", summary.lines().next().unwrap());
    summary.contains(&format!("{controller} by cgroup"))
}

/// A function of which there is at most so much.
fn limited(name: &str, limits: &Value) -> Value {
    unruly(name).with("resources", json!({ "limits": limits })).with("maxRetries", 0)
}

fn is_alive(pid: &Value) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}

/// The groups of a process, as far as they are mounted.
fn groups_of(pid: impl std::fmt::Display) -> Vec<PathBuf> {
    let cgroup = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    hierarchies(&cgroup, &mounts).into_iter().map(|hierarchy| hierarchy.own).collect()
}

/// The folders of groups that a server has, looked for where it was started: beside this process.
pub(crate) fn folders_of(server: u32) -> Vec<PathBuf> {
    let entries = groups_of("self").into_iter().filter_map(|group| fs::read_dir(group).ok()).flatten();
    let names = entries.map(|entry| entry.unwrap().path());
    let mark = format!("-{server}-");
    names.filter(|path| path.file_name().unwrap().to_str().unwrap().contains(&mark)).collect()
}

/// The children of a process that have ended and that nobody has waited for.
fn zombies_of(server: u32) -> Vec<String> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let stats = processes.filter_map(|process| fs::read_to_string(process.path().join("stat")).ok());
    stats.filter(|stat| stat.contains(&format!(") Z {server} "))).collect()
}

#[test]
fn a_function_over_its_memory_is_told_so_and_others_go_on() {
    let server = Server::start(&[]);
    let enforced = by_cgroup(&server, "memory");
    while_others_are_served(&server, || {
        server.register(&limited("greedy", &json!({ "memory": "64Mi" })));
        assert_eq!(server.invoke("greedy", json!({ "do": "take", "mib": 8 })).output(), 8);
        let answer = server.invoke("greedy", json!({ "do": "take", "mib": 400 }));
        if !enforced {
            // An allocation fails, and what becomes of that is the function's own affair.
            answer.assert_error(500, "INSTANCE_CRASHED", "function", &[]);
            return;
        }
        let words = ["over its memory limit of 64 MiB", "resources.limits.memory"];
        answer.assert_error(500, "OUT_OF_MEMORY", "function", &words);
        // It gets all that it may have, on a new instance.
        eventually("the function serves again", || {
            let answer = server.invoke("greedy", json!({ "do": "take", "mib": 8 }));
            (answer.status == 200).then_some(())
        });
    });
}

#[test]
fn a_job_over_its_memory_is_told_so_with_its_final_output() {
    let server = Server::start(&[]);
    let enforced = by_cgroup(&server, "memory");
    let program = "print('taking', flush=True); taken = b'x' * (400 << 20); exit(3)";
    let job = limited("greedy", &json!({ "memory": "64Mi" }))
        .with("executionMode", "JOB")
        .with("replicas", Value::Null)
        .with("local", json!({ "command": ["python3", "-c", program] }));
    while_others_are_served(&server, || {
        server.register(&job);
        let answer = server.invoke("greedy", 1);
        if enforced {
            let words = ["over its memory limit of 64 MiB", "resources.limits.memory", "taking"];
            answer.assert_error(500, "OUT_OF_MEMORY", "function", &words);
        } else {
            answer.assert_error(500, "INSTANCE_CRASHED", "function", &["taking", "MemoryError"]);
        }
    });
}

#[test]
fn memory_is_bounded_by_an_rlimit_where_that_is_asked_for() {
    let server = Server::start(&["--local-limits", "rlimit"]);
    assert!(!by_cgroup(&server, "memory") && folders_of(server.pid()).is_empty());
    while_others_are_served(&server, || {
        server.register(&limited("greedy", &json!({ "memory": "256Mi" })));
        assert_eq!(server.invoke("greedy", json!({ "do": "take", "mib": 8 })).output(), 8);
        let answer = server.invoke("greedy", json!({ "do": "take", "mib": 400 }));
        answer.assert_error(500, "INSTANCE_CRASHED", "function", &[]);
    });
}

#[test]
fn a_function_that_starts_processes_without_end_gets_no_more_than_its_share() {
    let server = Server::start(&["--local-pids-max", "40"]);
    let enforced = by_cgroup(&server, "pids");
    while_others_are_served(&server, || {
        server.register(&limited("bomb", &json!({})));
        let most = 200;
        let answer = server.invoke("bomb", json!({ "do": "fork", "most": most, "keep": true }));
        let count = answer.output().as_u64().unwrap();
        if enforced {
            assert!((1..40).contains(&count), "{count}");
        } else if server.greeting.contains("pids by rlimit") {
            assert!((1..most).contains(&count), "{count}");
        } else {
            println!("nothing bounds processes here: RLIMIT_NPROC does not bind root");
            assert_eq!(count, most);
        }
        server.client().delete("/v1/functions/bomb");
    });
    let server_pid = server.pid();
    eventually("nothing is left of the function", || {
        server.assert_others_are_served();
        let left = members_of_the_bomb(server_pid);
        (left == 0 && zombies_of(server_pid).is_empty()).then_some(())
    });
    assert_eq!(server.stop().code, 0);
}

/// Processes of the function `bomb` of a server, wherever they are.
fn members_of_the_bomb(server: u32) -> usize {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let environments = processes.filter_map(|process| fs::read(process.path().join("environ")).ok());
    let mark = format!("PICOFAAS_INSTANCE={server}-");
    let functions = environments.filter(|environment| {
        let text = String::from_utf8_lossy(environment);
        text.contains(&mark) && text.contains("FUNCTION_NAME=bomb")
    });
    functions.count()
}

#[test]
fn a_function_gets_no_more_cpu_than_its_limit() {
    let server = Server::start(&[]);
    if !by_cgroup(&server, "cpu") {
        println!("skipped: nothing bounds CPU here");
        return;
    }
    server.register(&limited("busy", &json!({ "cpu": "200m" })));
    let pid = server.invoke("busy", json!({ "do": "identify" })).output()["pid"].clone();
    let got = server.invoke("busy", json!({ "do": "burn", "ms": 1500 })).output().as_f64().unwrap();
    // A fifth of 1500 ms, and what one period more may give.
    assert!(got < 600.0, "{got} ms of CPU in 1500 ms");
    let stat = groups_of(pid).into_iter().find_map(|group| fs::read_to_string(group.join("cpu.stat")).ok());
    let stat = stat.unwrap();
    let throttled = stat.lines().find_map(|line| line.strip_prefix("nr_throttled ")).unwrap();
    // A machine that is so busy that it gives less than the limit has nothing to hold back.
    assert!(throttled.parse::<u64>().unwrap() > 0 || got < 300.0, "{got} ms, {stat}");
}

#[test]
fn the_kernel_prefers_a_function_over_the_control_plane_where_memory_ends() {
    let server = Server::start(&[]);
    server.register(&unruly("polite"));
    let score = server.invoke("polite", json!({ "do": "identify" })).output()["score"].as_i64().unwrap();
    let ours = fs::read_to_string(format!("/proc/{}/oom_score_adj", server.pid())).unwrap();
    let ours: i64 = ours.trim().parse().unwrap();
    assert!(score > ours || score == 1000, "{score} and {ours}");
}

#[test]
fn what_escapes_a_function_ends_with_its_instance() {
    for means in ["auto", "rlimit"] {
        let server = Server::start(&["--local-limits", means]);
        server.register(&unruly("nursery"));
        let escape = json!({ "do": "escape" });
        let pids = [0, 1].map(|_| server.invoke("nursery", &escape).output());
        assert!(pids.iter().all(is_alive), "{pids:?}");
        assert_eq!(server.client().delete("/v1/functions/nursery").status, 204);
        eventually("what escaped is gone", || (!pids.iter().any(is_alive)).then_some(()));
        assert_eq!(zombies_of(server.pid()), <[String; 0]>::default());
        server.assert_others_are_served();
    }
}

#[test]
fn what_escapes_a_function_ends_when_its_instance_crashes() {
    let server = Server::start(&["--local-limits", "rlimit"]);
    server.register(&unruly("nursery"));
    let escaped = server.invoke("nursery", json!({ "do": "escape" })).output();
    let instance = server.invoke("nursery", json!({ "do": "identify" })).output()["pid"].clone();
    kill(&instance);
    eventually("what escaped is gone", || (!is_alive(&escaped)).then_some(()));
    eventually("the instance is replaced", || {
        let answer = server.invoke("nursery", json!({ "do": "identify" }));
        (answer.status == 200 && answer.output()["pid"] != instance).then_some(())
    });
}

fn kill(pid: &Value) {
    let pid = i32::try_from(pid.as_i64().unwrap()).unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
}

#[test]
fn what_escapes_a_job_ends_with_it_and_the_job_beside_it_goes_on() {
    let server = Server::start(&["--local-limits", "rlimit"]);
    let (stage, folder) = (Stage::new(), tempfile::tempdir().unwrap());
    let file = folder.path().join("pid");
    // Its parent ends at once and leaves it, in a session of its own, to the control plane.
    let script = format!("setsid sh -c 'sleep 600 & echo $! > {}'; sleep 0.2; exit 3", file.display());
    server.register(&stage.function("patient"));
    let leaving = json!({ "command": ["sh", "-c", script] });
    server.register(&stage.function("leaving").with("local", leaving).with("maxRetries", 0));
    let mut client = server.client();
    client.ask_invoke("patient", "", 1);
    let patient = stage.next();
    server.invoke("leaving", 1).assert_error(500, "INSTANCE_CRASHED", "function", &["status 3"]);
    let escaped: Value = fs::read_to_string(&file).unwrap().trim().parse().unwrap();
    eventually("what escaped is gone", || (!is_alive(&escaped)).then_some(()));
    patient.succeed(2);
    patient.exit(0);
    assert_eq!(client.receive().output(), 2);
}

#[test]
fn what_escapes_without_its_mark_holds_nothing_up_and_ends_with_the_cgroup() {
    for means in ["auto", "rlimit"] {
        // A stop that waited for it would take as long as that.
        let server = Server::start(&["--local-limits", means, "--stop-timeout-ms", "100000"]);
        let enforced = by_cgroup(&server, "pids");
        server.register(&unruly("nursery"));
        // It keeps the standard output of its instance open.
        let escaped = server.invoke("nursery", json!({ "do": "escape", "unmarked": true })).output();
        server.client().delete("/v1/functions/nursery");
        if enforced {
            eventually("what escaped is gone", || (!is_alive(&escaped)).then_some(()));
        }
        let watch = Stopwatch::start();
        assert_eq!(server.stop().code, 0);
        assert!(watch.elapsed() < Duration::from_secs(60), "{:?}", watch.elapsed());
        if !enforced && is_alive(&escaped) {
            kill(&escaped);
        }
    }
}

#[test]
fn everything_is_gone_when_the_control_plane_has_stopped() {
    for means in ["auto", "rlimit"] {
        let server = Server::start(&["--local-limits", means, "--drain", "5"]);
        let (pid, enforced) = (server.pid(), by_cgroup(&server, "pids"));
        server.register(&limited("nursery", &json!({ "memory": "256Mi", "cpu": "1" })));
        let instance = server.invoke("nursery", json!({ "do": "identify" })).output()["pid"].clone();
        let escaped = server.invoke("nursery", json!({ "do": "escape" })).output();
        assert_eq!(folders_of(pid).is_empty(), !enforced);
        assert_eq!(server.stop().code, 0);
        assert!(!is_alive(&instance) && !is_alive(&escaped));
        assert_eq!(folders_of(pid), <[PathBuf; 0]>::default());
    }
}

#[test]
fn what_a_killed_control_plane_left_is_cleared_by_the_next_one() {
    let server = Server::start(&[]);
    let pid = server.pid();
    if !by_cgroup(&server, "pids") {
        println!("skipped: without cgroups nothing tells what a killed control plane left");
        return;
    }
    server.register(&unruly("nursery"));
    let escaped = server.invoke("nursery", json!({ "do": "escape" })).output();
    server.signal(Signal::KILL);
    server.end();
    // Each server that starts beside this test clears it as well, so nothing is said of before.
    let next = Server::start_bare(&[]);
    assert_eq!(folders_of(pid), <[PathBuf; 0]>::default());
    eventually("what escaped is gone", || (!is_alive(&escaped)).then_some(()));
    assert_eq!(next.stop().code, 0);
}

#[test]
fn a_function_that_ignores_sigterm_is_killed_when_its_time_is_over() {
    let server = Server::start(&["--stop-timeout-ms", "300"]);
    let env = json!([{ "name": "IGNORES_TERM", "value": "1" }]);
    server.register(&unruly("deaf").with("env", env));
    let pid = server.invoke("deaf", json!({ "do": "identify" })).output()["pid"].clone();
    while_others_are_served(&server, || {
        let watch = Stopwatch::start();
        server.client().delete("/v1/functions/deaf");
        eventually("it is killed", || (!is_alive(&pid)).then_some(()));
        assert!(watch.elapsed() >= Duration::from_millis(300), "{:?}", watch.elapsed());
    });
    assert!(server.stop().stderr.contains("did not end after SIGTERM and is killed"));
}

#[test]
fn a_function_without_a_free_file_descriptor_harms_nobody_else() {
    let server = Server::start(&["--local-open-files-max", "64"]);
    while_others_are_served(&server, || {
        server.register(&unruly("hoarder"));
        let count = server.invoke("hoarder", json!({ "do": "open_all" })).output().as_u64().unwrap();
        assert!((32..64).contains(&count), "{count}");
        // It cannot accept any more; its caller is told so when its time is over.
        let mut client = server.client();
        client.invoke("hoarder", json!({ "do": "open_all", "keep": true }));
        server.assert_others_are_served();
        server.client().delete("/v1/functions/hoarder");
    });
}

#[test]
fn a_function_that_writes_without_end_harms_nobody_else() {
    let server = Server::start(&[]);
    while_others_are_served(&server, || {
        server.register(&unruly("flood"));
        assert_eq!(server.invoke("flood", json!({ "do": "flood", "mib": 16 })).output(), 16);
    });
}
