//! Functions that go wrong, and what their callers and their neighbours see of it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::bystander::while_others_are_served;
use crate::support::client::Answer;
use crate::support::endpoint::{Endpoint, EndpointProcess};
use crate::support::patience::{Stopwatch, eventually};
use crate::support::server::{BYSTANDER, Server};
use crate::support::specification::{With, faulty, pool, warm};

/// Time allowed above a deadline on a busy machine. It is less than the time that a function has by itself.
const SLACK: Duration = Duration::from_secs(20);
/// The longest for what is told at once, which is less than any time-out.
const AT_ONCE: Duration = Duration::from_secs(25);

/// Registers a function, invokes it once while others are served, and returns the answer.
fn invoked(specification: &Value, input: &str) -> Answer {
    let server = Server::start(&[]);
    while_others_are_served(&server, || {
        server.register(specification);
        server.invoke(specification["name"].as_str().unwrap(), input)
    })
}

fn message_of_condition(function: &Value, kind: &str) -> String {
    let conditions = function["status"]["conditions"].as_array().unwrap();
    let of_kind = conditions.iter().find(|condition| condition["type"] == kind);
    of_kind.unwrap_or_else(|| panic!("no {kind} in {function}"))["message"].as_str().unwrap().to_owned()
}

#[test]
fn a_command_over_http_needs_leave_and_the_message_says_how_to_give_it() {
    let endpoint = EndpointProcess::start("echo", 0);
    let server = Server::start_bare(&[]);
    server.register(&pool(BYSTANDER, endpoint.url()));
    while_others_are_served(&server, || {
        let specification = warm("local", "echo");
        for answer in
            [server.create(&specification), server.client().put("/v1/functions/local", &specification)]
        {
            answer.assert_refused(403, "LOCAL_EXEC_DISABLED", &["local.command", "--allow-local-exec"]);
        }
        server.client().get("/v1/functions/local").assert_refused(404, "FUNCTION_NOT_FOUND", &["\"local\""]);
    });
}

#[test]
fn a_command_that_does_not_exist_is_named_to_the_caller_at_once() {
    let specification = warm("broken", "echo").with("local", json!({ "command": ["/no/such/program"] }));
    let watch = Stopwatch::start();
    let answer = invoked(&specification, "1");
    answer.assert_error(502, "NO_INSTANCE", "gateway", &["/no/such/program", "No such file"]);
    assert!(watch.elapsed() < AT_ONCE, "it took {:?}", watch.elapsed());
}

#[test]
fn a_function_that_exits_at_once_is_a_502_with_its_final_output_and_not_a_time_out() {
    let server = Server::start(&[]);
    while_others_are_served(&server, || {
        server.register(&warm("broken", "exit-at-start"));
        let watch = Stopwatch::start();
        let answer = server.invoke("broken", 1);
        let words = ["exited with status 7", "faulty: ending before listening, as told"];
        answer.assert_error(502, "NO_INSTANCE", "gateway", &words);
        assert!(watch.elapsed() < AT_ONCE, "it took {:?}", watch.elapsed());
        let function = server.function("broken");
        let reason = message_of_condition(&function, "Degraded");
        assert!(words.iter().all(|word| reason.contains(word)), "{reason}");
        assert_eq!((&function["status"]["ready"], &function["status"]["queued"]), (&json!(0), &json!(0)));
    });
}

#[test]
fn a_function_that_never_listens_is_a_502_after_its_time_to_start() {
    let server = Server::start(&["--start-timeout-ms", "300"]);
    while_others_are_served(&server, || {
        server.register(&warm("mute", "echo").with("local", json!({ "command": ["sleep", "600"] })));
        let answer = server.invoke("mute", 1);
        answer.assert_error(502, "NO_INSTANCE", "gateway", &["GET /health", "300 ms", "--start-timeout-ms"]);
    });
}

#[test]
fn what_never_answers_is_a_504_at_the_callers_own_deadline_and_gives_its_permit_back() {
    let server = Server::start(&[]);
    let endpoint = Endpoint::listen();
    server.register(&pool("never", endpoint.url()).with("concurrency", 1));
    while_others_are_served(&server, || {
        let mut client = server.client();
        let watch = Stopwatch::start();
        client.ask_invoke("never", "x-timeout-ms: 2000\r\n", 1);
        let request = endpoint.next();
        let answer = client.receive();
        let took = watch.elapsed();
        answer.assert_error(504, "TIMEOUT", "gateway", &["did not end within 2000 ms (X-Timeout-Ms)"]);
        assert_eq!(answer.json()["status"], "timeout");
        assert_eq!(answer.header("x-attempts"), Some("1"));
        assert!((Duration::from_secs(2)..Duration::from_secs(2) + SLACK).contains(&took), "{took:?}");
        // Nobody listens to the answer any more.
        request.until_closed();
        server.until_status("never", "inFlight", 0);
        client.ask_invoke("never", "", 2);
        endpoint.next().answer(200, "\"served\"");
        assert_eq!(client.receive().output(), "served");
    });
}

#[test]
fn an_attempt_that_takes_too_long_is_stopped_and_tried_again() {
    let server = Server::start(&[]);
    let endpoint = Endpoint::listen();
    server.register(&pool("slow", endpoint.url()).with("attemptTimeoutMs", 5000));
    let mut client = server.client();
    client.ask_invoke("slow", "", 1);
    endpoint.next().until_closed();
    let second = endpoint.next();
    assert_eq!(second.header("x-attempt"), Some("2"));
    second.answer(200, "\"at last\"");
    let answer = client.receive();
    assert_eq!((answer.output(), answer.header("x-attempts")), (json!("at last"), Some("2")));
}

#[test]
fn an_answer_that_is_not_http_is_the_functions_fault() {
    let answer = invoked(&warm("garbage", "garbage"), "1");
    answer.assert_error(500, "INVALID_ANSWER", "function", &["not HTTP"]);
    assert_eq!(answer.header("x-attempts"), Some("1"));
}

#[test]
fn an_output_that_is_not_json_is_the_functions_fault() {
    let server = Server::start(&[]);
    let endpoint = Endpoint::listen();
    server.register(&pool("text", endpoint.url()));
    while_others_are_served(&server, || {
        let mut client = server.client();
        client.ask_invoke("text", "", 1);
        endpoint.next().answer(200, "plain words");
        client.receive().assert_error(
            500,
            "OUTPUT_NOT_JSON",
            "function",
            &["not one JSON value but begins with"],
        );
        client.ask_invoke("text", "", 1);
        endpoint.next().answer(302, "");
        client.receive().assert_error(500, "INVALID_ANSWER", "function", &["302"]);
    });
}

#[test]
fn an_output_above_its_limit_is_stopped_and_named() {
    let answer = invoked(&warm("too-much", "too-much"), "1");
    answer.assert_error(500, "OUTPUT_TOO_LARGE", "function", &["1048576 bytes", "--max-output"]);
    assert_eq!(answer.header("x-attempts"), Some("1"));
}

#[test]
fn an_instance_that_always_dies_half_way_is_a_crash_after_every_retry() {
    for handler in ["half", "exit"] {
        let answer = invoked(&warm("dies", handler).with("maxRetries", 2), "1");
        answer.assert_error(500, "INSTANCE_CRASHED", "function", &["went away"]);
        assert_eq!(
            (answer.json()["status"].as_str(), answer.header("x-attempts")),
            (Some("error"), Some("3"))
        );
    }
}

#[test]
fn with_no_retries_a_crash_is_one_attempt() {
    let answer = invoked(&warm("dies", "half").with("maxRetries", 0), "1");
    answer.assert_error(500, "INSTANCE_CRASHED", "function", &["went away"]);
    assert_eq!(answer.header("x-attempts"), Some("1"));
}

#[test]
fn an_instance_that_dies_once_is_replaced_and_the_retry_is_served_by_the_new_one() {
    let server = Server::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("died");
    // The first instance dies in its first request, those after it live.
    let script = format!(
        "if [ -e '{mark}' ]; then HANDLER=identity; else touch '{mark}'; HANDLER=half; fi; export HANDLER; exec '{faulty}'",
        mark = mark.display(),
        faulty = faulty().display(),
    );
    let command = json!({ "command": ["sh", "-c", script] });
    while_others_are_served(&server, || {
        server.register(&warm("phoenix", "echo").with("local", command));
        let answer = server.invoke("phoenix", 7);
        let output = answer.output();
        assert_eq!((&output["input"], &output["attempt"]), (&json!(7), &json!(2)));
        assert_eq!(answer.header("x-attempts"), Some("2"));
        let next = server.invoke("phoenix", 8);
        assert_eq!((&next.output()["pid"], next.header("x-attempts")), (&output["pid"], Some("1")));
    });
}

#[test]
fn a_panic_is_a_500_of_the_function_after_its_retries() {
    let answer = invoked(&warm("panics", "panic"), "\"ouch\"");
    answer.assert_error(500, "HANDLER_ERROR", "function", &["ouch"]);
    assert_eq!(answer.header("x-attempts"), Some("4"));
    assert_eq!(answer.json()["output"], Value::Null);
}

#[test]
fn the_functions_own_4xx_is_passed_on_and_not_tried_again() {
    let server = Server::start(&[]);
    while_others_are_served(&server, || {
        server.register(&warm("picky", "status"));
        for status in [400, 404, 409, 422, 429, 451] {
            let input = json!({ "status": status, "code": "NOT_TODAY", "message": "come back tomorrow" });
            let answer = server.invoke("picky", input);
            answer.assert_error(status, "NOT_TODAY", "function", &["come back tomorrow"]);
            assert_eq!(
                (answer.json()["status"].as_str(), answer.header("x-attempts")),
                (Some("error"), Some("1"))
            );
            assert!(answer.header("x-execution-id").is_some() && answer.header("server-timing").is_some());
        }
    });
}

#[test]
fn the_functions_own_5xx_is_tried_again_and_answered_500_with_its_code() {
    let server = Server::start(&[]);
    while_others_are_served(&server, || {
        server.register(&warm("moody", "status").with("maxRetries", 1));
        let input = json!({ "status": 503, "code": "NO_MOOD", "message": "not now" });
        let answer = server.invoke("moody", input);
        answer.assert_error(500, "NO_MOOD", "function", &["not now"]);
        assert_eq!(answer.header("x-attempts"), Some("2"));
    });
}

/// Line of another execution, with its id before it, that a caller's error must not have.
const CARD: &str = "executionId=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa charging card 4111";

#[test]
fn an_instance_that_dies_tells_neither_a_caller_nor_a_reader_of_its_function_what_it_wrote_for_others() {
    let server = Server::start(&[]);
    let on_demand = json!({ "min": 0, "max": 1 });
    server.register(&warm("dies", "leave").with("maxRetries", 0).with("replicas", on_demand));
    // Crashes that follow each other closely are told in the status.
    let condition = eventually("the status says that instances crash", || {
        assert_eq!(server.invoke("dies", json!({ "text": "charging card 4111" })).status, 200);
        let answer = server.invoke("dies", json!({ "text": "own words", "end": true }));
        answer.assert_error(500, "INSTANCE_CRASHED", "function", &[]);
        assert!(!answer.text().contains("4111"), "{}", answer.text());
        let function = server.function("dies");
        assert!(!function.to_string().contains("4111"), "{function}");
        let conditions = function["status"]["conditions"].as_array().unwrap();
        conditions.iter().find(|condition| condition["type"] == "Degraded").cloned()
    });
    let message = condition["message"].as_str().unwrap();
    for part in ["an instance crashed: it exited with status 3", "GET /v1/functions/dies/logs"] {
        assert!(message.contains(part), "{message}");
    }
    assert!(!message.contains("own words"), "{message}");
}

#[test]
fn what_a_start_that_fails_wrote_is_told_without_lines_that_name_an_execution() {
    let script = format!("echo 'no such module'; echo '{CARD}'; exit 7");
    let server = Server::start(&[]);
    server.register(&warm("broken", "").with("local", json!({ "command": ["sh", "-c", script] })));
    let answer = server.invoke("broken", 1);
    answer.assert_error(502, "NO_INSTANCE", "gateway", &["exited with status 7", "it wrote: no such module"]);
    let reason = message_of_condition(&server.function("broken"), "Degraded");
    for told in [answer.message(), reason] {
        assert!(!told.contains("4111"), "{told}");
    }
}

#[test]
fn a_job_that_ends_tells_its_own_lines_and_none_that_names_another_execution() {
    let server = Server::start(&[]);
    let job = |name: &str, script: &str| json!({ "name": name, "local": { "command": ["sh", "-c", script] }, "maxRetries": 0 });
    server.register(&job("own", &format!("echo '{CARD}'; echo executionId=$EXECUTION_ID own words; exit 3")));
    let answer = server.invoke("own", 1);
    let id = answer.header("x-execution-id").unwrap();
    let own = format!("it wrote: executionId={id} own words");
    answer.assert_error(500, "INSTANCE_CRASHED", "function", &["exited with status 3", &own]);
    assert!(!answer.text().contains("4111"), "{}", answer.text());
    server.register(&job("other", &format!("echo '{CARD}'; exit 3")));
    let answer = server.invoke("other", 1);
    let log = format!("GET /v1/executions/{}/logs", answer.header("x-execution-id").unwrap());
    answer.assert_error(500, "INSTANCE_CRASHED", "function", &["exited with status 3", &log]);
    assert!(!answer.text().contains("4111"), "{}", answer.text());
}
