//! The mode `worker`: processes that take one request after the other.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

use crate::wire::invocation;
use crate::worker_program::{each, fifo, instance, instance_with, script};

#[test]
fn a_process_stays_and_answers_one_request_after_the_other() {
    let instance = instance(&each(r#"say(sequence, {"output": [PID, sequence, input]})"#));
    let mut connection = instance.connect();
    let first = connection.invoke("", r#"{"input":{"a":[1.50,"ü"]}}"#).json();
    assert_eq!((&first[1], &first[2]), (&json!(1), &json!({"a": [1.5, "ü"]})));
    for sequence in 2..5 {
        assert_eq!(connection.invoke("", r#"{"input":null}"#).json(), json!([first[0], sequence, null]));
    }
    instance.wait_for("picofaas_watchdog_children_started_total 1");
    instance.wait_for("picofaas_watchdog_workers_ready 1");
}

#[test]
fn a_request_has_all_that_is_known_and_leaves_out_what_is_absent() {
    let instance = instance(&each(r#"say(sequence, {"output": request})"#));
    let mut connection = instance.connect();
    assert_eq!(
        connection.invoke("", r#"{"input":1}"#).json(),
        json!({"executionId": "e-1", "attempt": 1, "metadata": {}, "input": 1})
    );
    let headers = "x-trace-id: t-1\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\
                   tracestate: a=1\r\ntracestate: b=2\r\nx-attempt: 3\r\nidempotency-key: k \"1\"\r\n\
                   x-deadline-ms: 60000\r\n";
    let mut full = connection.invoke(headers, r#"{"metadata":{"a":"b"},"input":{"x":1}}"#).json();
    let left = full["deadlineMs"].take().as_u64().unwrap();
    assert!((1..=60_000).contains(&left), "{left}");
    let now: Duration = clock_gettime(ClockId::Monotonic).try_into().unwrap();
    let at = Duration::from_millis(full["deadlineAtMs"].take().as_u64().unwrap());
    assert!(at > now && at <= now + Duration::from_secs(60), "{at:?} at {now:?}");
    assert_eq!(
        full,
        json!({
            "executionId": "e-1", "traceId": "t-1",
            "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "a=1,b=2", "attempt": 3,
            "deadlineMs": null, "deadlineAtMs": null, "idempotencyKey": "k \"1\"", "metadata": {"a": "b"}, "input": {"x": 1}
        })
    );
}

#[test]
fn a_worker_works_in_utf_8_where_its_environment_says_nothing_of_it() {
    let command = each(r#"say(sequence, {"output": os.environ.get("LANG")})"#);
    for (given, lang) in [(&[][..], "C.UTF-8"), (&[("LC_COLLATE", "C")], "C.UTF-8"), (&[("LANG", "C")], "C")]
    {
        let instance = instance_with(&command, given);
        assert_eq!(instance.connect().invoke("", r#"{"input":1}"#).json(), lang);
    }
}

#[test]
fn an_output_is_passed_on_as_it_is_written() {
    let instance = instance(&each(
        r#"
data = b'{"output": {"b":1e400, "a" : [1.0,"\\u00e9"]}, "more": 1}'
put(struct.pack(">II", len(data), sequence) + data)"#,
    ));
    assert_eq!(
        instance.connect().invoke("", r#"{"input":1}"#).text(),
        r#"{"b":1e400, "a" : [1.0,"\u00e9"]}"#
    );
}

#[test]
fn a_failure_has_the_status_and_code_that_the_worker_gives_or_the_usual_ones() {
    let instance = instance(&each(r#"say(sequence, {"error": input} if input else {"output": None})"#));
    let mut connection = instance.connect();
    for (error, status, code) in [
        (r#"{"message":"m"}"#, 500, "HANDLER_ERROR"),
        (r#"{"message":"m","status":400}"#, 400, "BAD_INPUT"),
        (r#"{"message":"m","status":422,"code":"NAME_EMPTY"}"#, 422, "NAME_EMPTY"),
        (r#"{"message":"m","status":503}"#, 503, "HANDLER_ERROR"),
        (r#"{"message":"m","status":200}"#, 500, "HANDLER_ERROR"),
    ] {
        let answer = connection.invoke("", &format!(r#"{{"input":{error}}}"#));
        assert_eq!(
            (answer.failure(), answer.message()),
            ((status, code.to_owned()), "m".to_owned()),
            "{error}"
        );
    }
    assert_eq!(connection.invoke("", r#"{"input":0}"#).text(), "null");
    instance.wait_for("picofaas_watchdog_children_started_total 1");
}

#[test]
fn a_mebibyte_goes_in_and_out_and_not_a_byte_more() {
    let instance = instance(&each(r#"say(sequence, {"output": input[0] * input[1]})"#));
    let mut connection = instance.connect();
    let mut output = |text: &str, times| connection.invoke("", &format!(r#"{{"input":["{text}",{times}]}}"#));
    let fits = "x".repeat((1 << 20) - 2);
    for _ in 0..3 {
        assert_eq!(output(&fits, 1).body.len(), 1 << 20);
    }
    assert_eq!(output(&format!("{fits}y"), 1).failure(), (500, "OUTPUT_TOO_LARGE".to_owned()));
    // A frame that is not read to its end costs the worker its place.
    assert_eq!(output(&fits, 2).failure(), (500, "OUTPUT_TOO_LARGE".to_owned()));
    assert_eq!(output("a", 1).text(), r#""a""#);
    instance.wait_for("picofaas_watchdog_worker_restarts_total{reason=\"output_too_large\"} 1");
    instance.wait_for("picofaas_watchdog_children_started_total 2");
}

#[test]
fn what_does_not_fit_into_a_pipe_follows_when_there_is_room() {
    let (_directory, path) = fifo();
    let instance = instance(&script(&format!(
        r#"
say(0, {{"ready": True}})
wait({path:?})
while True:
    sequence, request = read()
    say(sequence, {{"output": request["input"]}})
"#
    )));
    let body = format!(r#"{{"input":"{}"}}"#, "x".repeat((1 << 20) - 2));
    let mut connection = instance.connect();
    // Far below what wakes the watchdog for other reasons.
    connection.send(invocation("x-deadline-ms: 5000\r\n", &body));
    instance.wait_for("picofaas_runtime_in_flight 1");
    std::fs::write(&path, "1").unwrap();
    assert_eq!(connection.receive().body.len(), 1 << 20);
}

#[test]
fn several_workers_run_beside_each_other() {
    let (_directory, path) = fifo();
    let command = each(&format!(r#"say(sequence, {{"output": [PID, wait({path:?}, 1)]}})"#));
    let instance = instance_with(&command, &[("PICOFAAS_WORKERS", "4")]);
    instance.wait_for("picofaas_watchdog_workers_ready 4");
    let mut connections: Vec<_> = (0..4).map(|_| instance.connect()).collect();
    for connection in &mut connections {
        connection.send(invocation("", r#"{"input":1}"#));
    }
    instance.wait_for("picofaas_runtime_in_flight 4");
    instance.wait_for("picofaas_watchdog_requests_waiting 0");
    // A byte for each.
    let mut gate = std::fs::File::options().read(true).write(true).open(&path).unwrap();
    std::io::Write::write_all(&mut gate, b"1234").unwrap();
    let pids = connections.iter_mut().map(|connection| connection.receive().json()[0].to_string());
    assert_eq!(pids.collect::<std::collections::BTreeSet<_>>().len(), 4);
}

#[test]
fn nothing_is_sent_ahead_of_one_that_is_slow_where_another_may_be_free_before() {
    let (_directory, path) = fifo();
    let command = each(&format!("say(sequence, {{'output': wait({path:?}, 1)}})"));
    let instance = instance_with(&command, &[("PICOFAAS_WORKERS", "2")]);
    instance.wait_for("picofaas_watchdog_workers_ready 2");
    let mut connections: Vec<_> = (0..3).map(|_| instance.connect()).collect();
    for connection in &mut connections {
        connection.send(invocation("", r#"{"input":1}"#));
    }
    instance.wait_for("picofaas_watchdog_requests_waiting 1");
    let mut gate = std::fs::File::options().read(true).write(true).open(&path).unwrap();
    std::io::Write::write_all(&mut gate, b"123").unwrap();
    for connection in &mut connections {
        assert_eq!(connection.receive().status, 200);
    }
}

#[test]
fn one_that_takes_several_replies_in_any_order() {
    let instance = instance(&script(
        r#"
say(0, {"ready": True, "concurrency": 8})
while True:
    requests = [read() for _ in range(8)]
    for sequence, request in reversed(requests):
        say(sequence, {"output": [request["input"], sequence]})
"#,
    ));
    let mut connections: Vec<_> = (0..8).map(|_| instance.connect()).collect();
    for _ in 0..3 {
        for (input, connection) in connections.iter_mut().enumerate() {
            connection.send(invocation("", &format!(r#"{{"input":{input}}}"#)));
        }
        for (input, connection) in connections.iter_mut().enumerate() {
            assert_eq!(connection.receive().json()[0], input);
        }
    }
}

#[test]
fn sixty_four_at_once_wait_in_line_for_one_and_each_gets_its_own_answer() {
    let instance = instance(&each(r#"say(sequence, {"output": input})"#));
    let mut connections: Vec<_> = (0..64).map(|_| instance.connect()).collect();
    for round in 0..10 {
        for (number, connection) in connections.iter_mut().enumerate() {
            connection.send(invocation("", &format!(r#"{{"input":[{round},{number}]}}"#)));
        }
        for (number, connection) in connections.iter_mut().enumerate() {
            assert_eq!(connection.receive().json(), json!([round, number]));
        }
    }
    instance.wait_for("picofaas_watchdog_requests_waiting 0");
}

#[test]
fn a_line_has_the_ids_of_its_request_and_comes_before_the_answer() {
    let mut instance = instance(&script(
        r#"
log("loading")
say(0, {"ready": True})
while True:
    sequence, request = read()
    for line in request["input"]: log(line)
    say(sequence, {"output": None})
"#,
    ));
    let mut connection = instance.connect();
    let input = r#"{"input":["a line","{\"executionId\":\"e-1\",\"m\":1}"]}"#;
    connection.invoke("x-trace-id: t-1\r\n", input);
    assert_eq!(instance.line_with("a line"), "info executionId=e-1 traceId=t-1 a line\n");
    assert_eq!(instance.line_with("\"m\""), "{\"executionId\":\"e-1\",\"m\":1}\n");
    for round in 0..20 {
        connection.invoke("", &format!(r#"{{"input":["round {round}"]}}"#));
        // A line that is written now is behind those from before the answer.
        connection.invoke("x-attempt: none\r\n", "");
        let line = instance.line_with("executionId=");
        assert!(line.ends_with(&format!("executionId=e-1 traceId=- round {round}\n")), "{line}");
        assert!(instance.line_with("executionId=").contains("BAD_HEADER"));
    }
}

#[test]
fn a_line_that_is_noticed_after_the_reply_behind_it_has_the_ids_too() {
    // The watchdog is held while a reply begins, a line is written, and the reply ends.
    let mut instance = instance(&each(
        r#"
data = json.dumps({"output": input}).encode()
frame = struct.pack(">II", len(data), sequence) + data
os.kill(os.getppid(), signal.SIGSTOP)
put(frame[:5])
log(f"line {input}")
put(frame[5:])
os.kill(os.getppid(), signal.SIGCONT)"#,
    ));
    let mut connection = instance.connect();
    for round in 0..20 {
        connection.invoke("", &format!(r#"{{"input":{round}}}"#));
        let line = instance.line_with("line ");
        assert_eq!(line, format!("info executionId=e-1 traceId=- line {round}\n"));
    }
}

#[test]
fn lines_of_requests_that_come_at_once_have_the_ids_of_their_own() {
    let mut instance = instance(&each("log(f'line of {input}')\nsay(sequence, {'output': None})"));
    let mut connections: Vec<_> = (0..16).map(|_| instance.connect()).collect();
    connections[0].invoke("", r#"{"input":"the first"}"#);
    instance.line_with("line of the first");
    for (number, connection) in connections.iter_mut().enumerate() {
        let request = invocation("", &format!(r#"{{"input":"{number}."}}"#));
        connection.send(request.replace("e-1\r", &format!("id-{number}.\r")));
    }
    for (number, connection) in connections.iter_mut().enumerate() {
        connection.receive();
        let line = instance.line_with("line of");
        assert_eq!(line, format!("info executionId=id-{number}. traceId=- line of {number}.\n"));
    }
}

#[test]
fn the_environment_has_what_a_function_needs_and_nothing_that_is_the_watchdogs() {
    let instance = instance_with(
        &each(r#"say(sequence, {"output": dict(os.environ)})"#),
        &[("FUNCTION_NAME", "f"), ("HANDLER", "m:h"), ("PICOFAAS_TOKEN", "t"), ("MAX_OUTPUT", "1000000")],
    );
    let environment = instance.connect().invoke("", r#"{"input":1}"#).json();
    for (name, value) in [("FUNCTION_NAME", "f"), ("HANDLER", "m:h"), ("MAX_OUTPUT", "1000000")] {
        assert_eq!(environment[name], value);
    }
    for name in ["PICOFAAS_TOKEN", "PICOFAAS_SOCKET", "PORT"] {
        assert_eq!(environment[name], Value::Null, "{name}");
    }
}

/// The worker on the page about the watchdog.
fn documented() -> String {
    let page =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/watchdog.md")).unwrap();
    let (_, block) = page.split_once("```python\n").expect("the page has a worker");
    block.split_once("```").unwrap().0.to_owned()
}

#[test]
fn the_worker_in_the_documentation_works() {
    let command = serde_json::to_string(&["python3", "-c", &documented()]).unwrap();
    let instance = instance(&command);
    let mut connection = instance.connect();
    for _ in 0..3 {
        let answer = connection.invoke("", r#"{"input":"the quick brown fox"}"#);
        assert_eq!(answer.text(), "4");
    }
    let refused = connection.invoke("", r#"{"input":1}"#);
    assert_eq!(
        (refused.failure(), refused.message()),
        ((400, "BAD_INPUT".to_owned()), "give a text".to_owned())
    );
    instance.wait_for("picofaas_watchdog_children_started_total 1");
    instance.signal(rustix::process::Signal::TERM);
    assert_eq!(instance.end().0, 0);
}

#[test]
fn of_a_log_that_goes_on_and_on_while_replies_come_nothing_is_lost() {
    let mut instance = instance(&each(
        r##"
if input == "flood":
    import threading
    line = b"executionId= " + b"#" * 200 + b"\n"
    def flood():
        for _ in range(600):
            lines = line * 500
            while lines: lines = lines[os.write(2, lines):]
        log("executionId= that was all")
    threading.Thread(target=flood).start()
say(sequence, {"output": None})"##,
    ));
    let mut connection = instance.connect();
    let asked = std::thread::spawn(move || {
        connection.invoke("", r#"{"input":"flood"}"#);
        for _ in 0..2000 {
            connection.invoke("", r#"{"input":1}"#);
        }
    });
    let mut marks = 0;
    loop {
        let line = instance.line_with("");
        marks += line.matches('#').count();
        if line.contains("that was all") {
            break;
        }
    }
    assert_eq!(marks, 600 * 500 * 200);
    asked.join().unwrap();
}
