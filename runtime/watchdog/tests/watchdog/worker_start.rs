//! Workers' first words, and JOBs.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::control_plane::{ControlPlane, TAKEN};
use crate::instance::{Process, wait_for_end};
use crate::worker_program::{each, instance_with, job, script};

#[track_caller]
fn refuses(command: &str, more: &[(&str, &str)], code: i32, said: &str) {
    let variables = [("PORT", "0"), ("WATCHDOG_MODE", "worker"), ("WATCHDOG_CMD", command)];
    let (ended, text) = Process::start(&[&variables, more].concat()).end();
    assert_eq!(ended, code, "{text}");
    let last = text.lines().last().unwrap();
    assert!(last.contains(said), "no `{said}` in the last line of:\n{text}");
}

#[test]
fn a_worker_that_cannot_load_its_handler_ends_the_start_with_the_reason() {
    let command =
        script("log('a stack')\nsay(0, {'error': {'message': 'no module named x'}})\ntime.sleep(1000)");
    refuses(&command, &[], 1, "error cannot start: no module named x");
    refuses(&command, &[("PICOFAAS_WORKERS", "3")], 1, "error cannot start: no module named x");
}

#[test]
fn a_worker_that_is_never_ready_ends_the_start_with_the_reason() {
    let error = "error cannot start: the worker";
    refuses(&script("log('oh')\nos._exit(3)"), &[], 1, &format!("{error} ended with exit status 3: oh"));
    for (first, said) in [
        (
            "put(b'hello, world')",
            r#"protocol: it wrote "hello, world" where a frame should begin. Does it print"#,
        ),
        ("say(1, {'ready': True})", "has the sequence number 1 and not 0"),
        ("say(0, {'ready': False})", "neither `\"ready\":true` nor an `error`"),
        ("say(0, {'ready': True, 'concurrency': 0})", "`concurrency` is 0: it must be 1 to 1024"),
        ("say(0, {'ready': True, 'concurrency': 1025})", "must be 1 to 1024"),
        ("say(0, {'ready': True, 'frames': 3})", "its `frames` is 3: it must be 1 or 2"),
        ("say(0, [True])", "not an object in JSON but \"[true]\""),
        ("put(b'listening\\n')", r#"it wrote "listening\n" where"#),
        ("os.close(1)", "closed its standard output"),
    ] {
        refuses(&script(&format!("{first}\ntime.sleep(1000)")), &[], 1, said);
    }
    refuses("no-such-program", &[], 1, "`no-such-program`, which is in no folder of PATH");
}

#[test]
fn an_environment_that_is_not_clear_is_refused_by_name() {
    for value in ["0", "65", "-1", "many"] {
        let said = format!("PICOFAAS_WORKERS is `{value}`: give a number of processes from 1 to 64");
        refuses("cat", &[("PICOFAAS_WORKERS", value)], 2, &said);
    }
    refuses(
        "cat",
        &[("WATCHDOG_INPUT", "envelope")],
        2,
        "WATCHDOG_INPUT is `envelope`, which is for the modes http and stdio",
    );
    refuses(
        "cat",
        &[("WATCHDOG_OUTPUT", "json")],
        2,
        "WATCHDOG_OUTPUT is `json`, which is for the modes http and stdio",
    );
}

#[test]
fn a_worker_that_is_not_ready_for_long_is_named_and_waited_for() {
    let mut process = Process::start(&[
        ("PORT", "0"),
        ("WATCHDOG_MODE", "worker"),
        ("WATCHDOG_CMD", &script("log(f'pid {PID}')\nread()")),
    ]);
    let pid = process.pid_after("pid");
    process.line_with("warning a worker has not said in 10 s that it is ready");
    process.signal(Signal::TERM);
    assert_eq!(process.end().0, 0);
    wait_for_end(pid);
}

#[test]
fn it_listens_when_the_first_worker_is_ready() {
    let mut instance = instance_with(
        &script(
            r#"
try: os.close(os.open("first", os.O_CREAT | os.O_EXCL))
except FileExistsError: time.sleep(1000)
say(0, {"ready": True})
while True: say(read()[0], {"output": PID})
"#
            .replace("\"first\"", "os.environ['FLAG']")
            .as_str(),
        ),
        &[
            ("PICOFAAS_WORKERS", "2"),
            ("FLAG", tempfile::tempdir().unwrap().path().with_extension("flag").to_str().unwrap()),
        ],
    );
    assert_eq!(instance.connect().get("/health").status, 200);
    instance.wait_for("picofaas_watchdog_workers_ready 1");
    let mut connection = instance.connect();
    let pid = connection.invoke("", r#"{"input":1}"#).text().to_owned();
    assert_eq!(connection.invoke("", r#"{"input":1}"#).text(), pid);
    instance.signal(Signal::TERM);
    instance.line_with("stopped");
    assert_eq!(instance.end().0, 0);
}

/// Runs a JOB and takes its completion; that, and what was written to stderr.
fn completed(command: &str, headers: &str, more: &[(&str, &str)]) -> (Value, String) {
    let control_plane = ControlPlane::open();
    let job = job(&control_plane, command, more);
    let mut caller = control_plane.hand_out(headers, r#"{"input":[7]}"#);
    let completion = caller.request();
    caller.answer(TAKEN);
    let (code, said) = job.end();
    assert_eq!(code, 0, "{said}");
    (completion.json(), said)
}

#[test]
fn a_job_has_one_worker_and_posts_what_it_replies() {
    let command = each(
        r#"log(f"pid {PID}")
say(sequence, {"output": [input, request["attempt"], sequence]})"#,
    );
    let (completion, said) = completed(&command, "X-Attempt: 2\r\n", &[("PICOFAAS_WORKERS", "8")]);
    assert_eq!(completion, json!({"success": true, "output": [[7], 2, 1], "error": null, "status": 200}));
    assert_eq!(said.matches("pid ").count(), 1, "{said}");
}

#[test]
fn a_jobs_failures_are_posted() {
    for (command, headers, status, code, said) in [
        (script("say(0, {'error': {'message': 'no module'}})"), "", 500, "HANDLER_ERROR", "no module"),
        (script("log('oh')\nos._exit(3)"), "", 500, "HANDLER_ERROR", "exit status 3: oh"),
        (each("os._exit(3)"), "", 500, "HANDLER_ERROR", "exit status 3"),
        (each("say(sequence, {'error': {'message': 'm', 'status': 409, 'code': 'C'}})"), "", 409, "C", "m"),
        (each("time.sleep(1000)"), "X-Deadline-Ms: 500\r\n", 504, "HANDLER_TIMEOUT", ""),
        (script("time.sleep(1000)"), "X-Deadline-Ms: 500\r\n", 504, "HANDLER_TIMEOUT", ""),
    ] {
        let (completion, _) = completed(&command, headers, &[]);
        assert_eq!(completion["status"], status, "{command}");
        assert_eq!(completion["error"]["code"], code, "{command}");
        assert!(completion["error"]["message"].as_str().unwrap().contains(said), "{completion}");
    }
}

#[test]
fn sigterm_stops_a_jobs_worker_and_posts_nothing() {
    let control_plane = ControlPlane::open();
    let mut job = job(&control_plane, &each("log(f'pid {PID}')\ntime.sleep(1000)"), &[]);
    let mut caller = control_plane.hand_out("", r#"{"input":1}"#);
    let pid = job.pid_after("pid");
    job.signal(Signal::TERM);
    wait_for_end(pid);
    assert!(caller.is_closed());
    assert_eq!(job.end().0, 143);
}
