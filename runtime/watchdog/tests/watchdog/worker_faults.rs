//! Workers that end, and workers that do not keep to the protocol.

use crate::wire::invocation;
use crate::worker_program::{each, instance, instance_with, script};

const OK: &str = r#"{"input":"ok"}"#;

#[test]
fn what_is_no_reply_costs_the_worker_its_place_and_says_why() {
    let command = each(
        r#"
def frame(data, number=sequence): put(struct.pack(">II", len(data), number) + data)
if input == "not JSON": frame(b"hello")
elif input == "not UTF-8": frame(b'{"output": "\xff"}')
elif input == "two values": frame(b'{"output": 1} 2')
elif input == "not a number": frame(b'{"output": [1, NaN]}')
elif input == "an array": frame(b'[1, null]')
elif input == "nothing": frame(b'')
elif input == "neither": frame(b'{}')
elif input == "both": frame(b'{"output": 1, "error": {"message": "m"}}')
elif input == "no message": frame(b'{"error": {}}')
elif input == "unknown": frame(b'{"output": 1}', 4711)
elif input == "ready again": frame(b'{"ready": true}', 0)
elif input == "length": put(struct.pack(">II", 0xffffffff, 4711))
else: say(sequence, {"output": PID})"#,
    );
    for (input, code, said) in [
        ("not JSON", "HANDLER_ERROR", "not an object in JSON but \"hello\""),
        ("not UTF-8", "BAD_OUTPUT", "is none"),
        ("two values", "BAD_OUTPUT", "is none"),
        ("not a number", "BAD_OUTPUT", "is none"),
        ("an array", "HANDLER_ERROR", "not an object in JSON"),
        ("nothing", "HANDLER_ERROR", "not an object in JSON"),
        ("neither", "HANDLER_ERROR", "neither an `output` nor an `error`"),
        ("both", "HANDLER_ERROR", "both an `output` and an `error`"),
        (
            "no message",
            "HANDLER_ERROR",
            r#""{\"error\": {}}" is not what it should be: missing field `message`"#,
        ),
        ("unknown", "HANDLER_ERROR", "4711, under which it has no request"),
        ("ready again", "HANDLER_ERROR", "0, under which it has no request"),
        ("length", "HANDLER_ERROR", "has 4294967295 bytes"),
    ] {
        let instance = instance(&command);
        let mut connection = instance.connect();
        let before = connection.invoke("", OK).text().to_owned();
        let answer = connection.invoke("", &format!(r#"{{"input":"{input}"}}"#));
        assert_eq!(answer.failure(), (500, code.to_owned()), "{input}");
        assert!(answer.message().contains(said), "{input}: {}", answer.message());
        assert!(answer.message().contains("does not keep to the protocol"), "{}", answer.message());
        // Its own reply is none, as that of another attempt would be; a number may be another request's.
        let is_own = !["unknown", "ready again", "length"].contains(&input);
        assert_eq!(answer.is_final(), is_own, "{input}: {}", answer.text());
        assert_ne!(connection.invoke("", OK).text(), before);
        instance.wait_for("picofaas_watchdog_worker_restarts_total{reason=\"garbage\"} 1");
        instance.wait_for_children(1);
    }
}

#[test]
fn text_on_standard_output_is_shown_and_the_message_asks_whether_it_is_printed_there() {
    let question = "Does it print to standard output";
    for (printed, shown) in [
        ("hello order 17\\n", r#"it wrote "hello order 17\n" where"#),
        ("hi\\n", r#"it wrote "hi\n"#),
        ("größer\\n", r#"it wrote "größer\n" where"#),
        (r#"{\"level\":30}\n"#, r#"it wrote "{\"level\":30}\n" where"#),
    ] {
        let instance = instance(&each(&format!(
            r#"
put("{printed}".encode())
if input == "wait": time.sleep(1000)
say(sequence, {{"output": 1}})"#
        )));
        for input in ["wait", "reply"] {
            let answer = instance.connect().invoke("", &format!(r#"{{"input":"{input}"}}"#));
            assert_eq!(answer.failure(), (500, "HANDLER_ERROR".to_owned()), "{printed}");
            let message = answer.message();
            assert!(message.contains(shown) && message.contains(question), "{message}");
        }
    }
}

#[test]
fn with_room_for_large_outputs_a_short_print_before_a_reply_is_shown_at_once() {
    for printed in ["\\n", "hi\\n", "202\\n", "2026\\n"] {
        let command = each(&format!("put(b\"{printed}\")\nsay(sequence, {{'output': 1}})\ntime.sleep(1000)"));
        let instance = instance_with(&command, &[("MAX_OUTPUT", "1073741824")]);
        let answer = instance.connect().invoke("", OK);
        assert_eq!(answer.failure(), (500, "HANDLER_ERROR".to_owned()), "{printed}");
        assert!(answer.message().contains(&format!("it wrote \"{printed}\" where")), "{}", answer.message());
    }
}

#[test]
fn a_frame_takes_memory_as_it_comes_and_not_by_the_length_that_it_says() {
    // A byte is read when all that came before has been looked at.
    let mut instance = instance_with(
        &each(
            r#"
import fcntl, termios
def peak(): return int(open(f"/proc/{os.getppid()}/status").read().split("VmPeak:")[1].split()[0])
before = peak()
put(struct.pack(">II", 1 << 29, sequence))
for _ in range(2):
    put(b"{")
    while struct.unpack("i", fcntl.ioctl(1, termios.FIONREAD, bytes(4)))[0]: time.sleep(0.001)
log(f"grown by {(peak() - before) >> 10} MiB")"#,
        ),
        &[("MAX_OUTPUT", "1073741824")],
    );
    let mut asked = instance.connect();
    asked.send(invocation("", OK));
    let line = instance.line_with("grown by ");
    let grown: u64 = line.split("grown by ").nth(1).unwrap().trim().trim_end_matches(" MiB").parse().unwrap();
    assert!(grown < 64, "{line}");
}

#[test]
fn text_that_may_be_of_another_execution_is_for_the_log_alone() {
    let mut instance = instance(&each(
        r#"
if input == "print": put(b"charging card 4111\n")
say(sequence, {"output": 1})"#,
    ));
    let mut connection = instance.connect();
    assert_eq!(connection.invoke("", OK).text(), "1");
    let request = invocation("", r#"{"input":"print"}"#).replace("e-1", "e-2");
    connection.send(request);
    let message = connection.receive().message();
    assert!(message.contains("it wrote text (the log shows it)"), "{message}");
    assert!(message.contains("Does it print to standard output") && !message.contains("4111"), "{message}");
    instance.line_with(r#"it wrote "charging card 4111\n"#);
    assert!(!instance.connect().get("/health").text().contains("4111"));
}

#[test]
fn a_second_reply_to_a_request_costs_the_worker_its_place() {
    let instance = instance(&each("for _ in range(2): say(sequence, {'output': PID})"));
    let mut connection = instance.connect();
    let first = connection.invoke("", OK).text().to_owned();
    instance.wait_for("picofaas_watchdog_worker_restarts_total{reason=\"garbage\"} 1");
    assert_ne!(connection.invoke("", OK).text(), first);
}

#[test]
fn one_that_takes_one_at_a_time_replies_in_their_order() {
    let instance = instance(&script(
        r#"
say(0, {"ready": True})
first, second = read(), read()
say(second[0], {"output": 2})
time.sleep(1000)
"#,
    ));
    let mut connections = [instance.connect(), instance.connect()];
    for connection in &mut connections {
        connection.send(invocation("", OK));
    }
    for connection in &mut connections {
        let message = connection.receive().message();
        assert!(message.contains("replied to request 2 before"), "{message}");
    }
}

#[test]
fn the_end_of_a_worker_fails_its_request_with_how_it_ended() {
    for (end, said) in [
        ("os._exit(3)", "the worker ended with exit status 3: last words"),
        ("sys.exit(0)", "the worker ended with exit status 0: last words"),
        ("os.kill(PID, signal.SIGKILL)", "the worker was killed by SIGKILL: last words"),
        ("put(struct.pack('>II', 100, sequence) + b'{}')\n    os._exit(4)", "exit status 4: last words"),
        ("os.close(1)\n    time.sleep(1000)", "closed its standard output"),
    ] {
        let instance = instance(&each(&format!(
            "if input == 'end':\n    log('last words')\n    {end}\nsay(sequence, {{'output': PID}})"
        )));
        let mut connection = instance.connect();
        let answer = connection.invoke("", r#"{"input":"end"}"#);
        assert_eq!(answer.failure(), (500, "HANDLER_ERROR".to_owned()), "{end}");
        assert!(answer.message().contains(said), "{}", answer.message());
        assert_eq!(connection.invoke("", OK).status, 200);
        instance.wait_for("picofaas_watchdog_children_started_total 2");
        instance.wait_for_children(1);
    }
}

#[test]
fn a_reply_that_was_written_before_the_end_counts_and_what_was_not_read_goes_to_another() {
    let instance = instance(&each("say(sequence, {'output': PID})\nos._exit(3)"));
    let mut connection = instance.connect();
    for _ in 0..5 {
        assert_eq!(connection.invoke("", OK).status, 200);
    }
}

#[test]
fn one_sent_ahead_of_a_worker_that_ends_goes_to_the_next() {
    let instance = instance(&each(
        r#"
if input == "end":
    take(8)
    os._exit(3)
say(sequence, {"output": sequence})"#,
    ));
    let mut ended = instance.connect();
    ended.send(invocation("", r#"{"input":"end"}"#));
    instance.wait_for("picofaas_runtime_in_flight 1");
    let mut ahead = instance.connect();
    ahead.send(invocation("", OK));
    assert!(ended.receive().message().contains("exit status 3"));
    assert_eq!(ahead.receive().text(), "1", "the first of a new worker");
}

#[test]
fn all_that_a_worker_of_several_held_fail_with_it() {
    let instance = instance(&script(
        r#"
say(0, {"ready": True, "concurrency": 4})
for _ in range(3): read()
os._exit(3)
"#,
    ));
    let mut connections: Vec<_> = (0..3).map(|_| instance.connect()).collect();
    for connection in &mut connections {
        connection.send(invocation("", OK));
    }
    for connection in &mut connections {
        assert!(connection.receive().message().contains("exit status 3"));
    }
}

#[test]
fn a_worker_that_does_not_read_is_found_when_its_time_is_over() {
    let instance = instance(&script("say(0, {'ready': True})\ntime.sleep(1000)"));
    let pid = instance.children()[0].parse().unwrap();
    let body = format!(r#"{{"input":"{}"}}"#, "x".repeat(1 << 20));
    let mut waiting = instance.connect();
    waiting.send(invocation("x-deadline-ms: 300\r\n", &body));
    assert_eq!(waiting.receive().failure().0, 504);
    crate::instance::wait_for_end(rustix::process::Pid::from_raw(pid).unwrap());
}

#[test]
fn a_worker_that_closes_its_input_is_replaced_and_costs_no_request() {
    let instance = instance(&script(
        r#"
say(0, {"ready": True})
sequence, _ = read()
os.close(0)
say(sequence, {"output": 1})
time.sleep(1000)
"#,
    ));
    let mut connection = instance.connect();
    assert_eq!(connection.invoke("", OK).text(), "1");
    assert_eq!(connection.invoke("", OK).text(), "1");
    instance.wait_for("picofaas_watchdog_worker_restarts_total{reason=\"garbage\"} 1");
}

#[test]
fn while_no_worker_is_ready_health_says_why_and_requests_wait() {
    let directory = tempfile::tempdir().unwrap();
    let broken = directory.path().join("broken");
    let instance = instance(&script(&format!(
        r#"
if os.path.exists({broken:?}):
    log("it is broken")
    sys.exit(3)
say(0, {{"ready": True}})
while True:
    sequence, request = read()
    if request["input"] == "end": os._exit(0)
    say(sequence, {{"output": request["input"]}})
"#
    )));
    let mut connection = instance.connect();
    assert_eq!(connection.get("/health").status, 200);
    std::fs::write(&broken, "").unwrap();
    assert_eq!(connection.invoke("", r#"{"input":"end"}"#).status, 500);
    let mut waiting = instance.connect();
    waiting.send(invocation("", OK));
    instance.wait_for("picofaas_watchdog_worker_restarts_total{reason=\"exited\"} 3");
    let health = connection.get("/health");
    assert_eq!(health.failure(), (503, "NOT_READY".to_owned()));
    assert!(
        health.message().contains("the worker ended with exit status 3: it is broken"),
        "{}",
        health.message()
    );
    std::fs::remove_file(&broken).unwrap();
    assert_eq!(waiting.receive().text(), "\"ok\"");
    assert_eq!(connection.get("/health").status, 200);
}
