//! Failures that another attempt would not mend: one attempt each, whoever says so and in whatever mode.

use serde_json::json;

use crate::support::client::Answer;
use crate::support::endpoint::{Endpoint, EndpointProcess};
use crate::support::job::Stage;
use crate::support::server::Server;
use crate::support::specification::{With, job, pool, warm};

/// Longest output that functions of these tests may have.
const OUTPUT_MAX: &str = "1024";

#[track_caller]
fn assert_attempts(answer: &Answer, attempts: &str, status: &str) {
    assert_eq!(
        (answer.header("x-attempts"), answer.json()["status"].as_str()),
        (Some(attempts), Some(status)),
        "{answer:?}"
    );
}

#[test]
fn an_output_that_is_no_json_or_too_large_is_one_attempt_in_every_mode() {
    let server = Server::start(&["--max-output", OUTPUT_MAX]);
    let endpoints = [EndpointProcess::start("unserialisable", 0), EndpointProcess::start("big", 0)];
    for (at, (handler, input, code, said)) in [
        ("unserialisable", json!(1), "BAD_OUTPUT", "cannot be written as JSON"),
        ("big", json!({ "bytes": 2000 }), "OUTPUT_TOO_LARGE", OUTPUT_MAX),
    ]
    .into_iter()
    .enumerate()
    {
        for function in [
            warm(&format!("warm-{handler}"), handler),
            job(&format!("job-{handler}"), handler),
            pool(&format!("pool-{handler}"), endpoints[at].url()),
        ] {
            server.register(&function);
            let answer = server.invoke(function["name"].as_str().unwrap(), &input);
            answer.assert_error(500, code, "function", &[said]);
            assert_attempts(&answer, "1", "error");
        }
    }
}

/// Errors of a function, the attempts that come of them where there may be three, and the end.
const ERRORS: [(u16, &str, &str, &str); 7] = [
    (500, r#","retryable":false"#, "1", "error"),
    (503, r#","retryable":false,"more":[]"#, "1", "error"),
    (504, r#","retryable":false"#, "1", "timeout"),
    (500, "", "3", "error"),
    (500, r#","retryable":true"#, "3", "error"),
    (500, r#","retryable":"no""#, "3", "error"),
    (422, r#","retryable":true"#, "1", "error"),
];

#[test]
fn an_endpoint_says_that_its_error_is_final_and_without_that_the_status_decides() {
    let (server, endpoint) = (Server::start(&[]), Endpoint::listen());
    server.register(&pool("moody", endpoint.url()).with("maxRetries", 2));
    let mut client = server.client();
    for (status, retryable, attempts, end) in ERRORS {
        client.ask_invoke("moody", "", 1);
        for _ in 0..attempts.parse::<u32>().unwrap() {
            let body = format!(r#"{{"error":{{"code":"MINE","message":"my own"{retryable}}}}}"#);
            endpoint.next().answer(status, &body);
        }
        let answer = client.receive();
        answer.assert_error(if status == 503 { 500 } else { status }, "MINE", "function", &["my own"]);
        assert_attempts(&answer, attempts, end);
    }
    // An error without a code of its own may be final, too.
    client.ask_invoke("moody", "", 1);
    endpoint.next().answer(500, r#"{"error":{"message":"my own","retryable":false}}"#);
    let answer = client.receive();
    answer.assert_error(500, "HANDLER_ERROR", "function", &["my own"]);
    assert_attempts(&answer, "1", "error");
    // Nothing is looked for in what is a success.
    client.ask_invoke("moody", "", 1);
    endpoint.next().answer(200, r#"{"error":{"code":"MINE","retryable":false}}"#);
    assert_eq!(client.receive().output()["error"]["code"], "MINE");
}

#[test]
fn the_process_of_a_job_says_that_its_error_is_final_and_without_that_the_status_decides() {
    let (server, stage) = (Server::start(&[]), Stage::new());
    server.register(&stage.function("moody").with("maxRetries", 2));
    let mut client = server.client();
    for (status, retryable, attempts, end) in ERRORS {
        client.ask_invoke("moody", "", 1);
        for _ in 0..attempts.parse::<u32>().unwrap() {
            let process = stage.next();
            let posted = format!(
                r#"{{"success":false,"error":{{"code":"MINE","message":"my own"{retryable}}},"status":{status}}}"#
            );
            assert_eq!(process.post(&serde_json::from_str(&posted).unwrap()).status, 204);
            process.exit(0);
        }
        let answer = client.receive();
        answer.assert_error(if status == 503 { 500 } else { status }, "MINE", "function", &["my own"]);
        assert_attempts(&answer, attempts, end);
    }
}

#[test]
fn a_process_that_posts_what_is_no_result_and_nothing_else_is_one_attempt() {
    let (server, stage) = (Server::start(&[]), Stage::new());
    server.register(&stage.function("wordy"));
    let mut client = server.client();
    // As some encoders write a number that JSON has not.
    for (posted, code) in [(r#"{"success":true,"output":NaN}"#, 0), (r#"{"success":true,"status":500}"#, 3)] {
        client.ask_invoke("wordy", "", 1);
        let process = stage.next();
        let call = format!("POST /v1/internal/executions/{}:complete", process.execution());
        let token = format!("authorization: Bearer {}\r\n", process.token());
        process.client().call(&call, &token, posted).assert_refused(422, "INVALID_COMPLETION", &[]);
        process.exit(code);
        let answer = client.receive();
        answer.assert_error(500, "OUTPUT_NOT_JSON", "function", &["posted what is no result"]);
        assert_attempts(&answer, "1", "error");
    }
    // One that posts a result afterwards is fine, and one that ends without a post is tried again.
    client.ask_invoke("wordy", "", 1);
    let first = stage.next();
    first.post(&json!({ "success": true, "status": 500 })).assert_refused(422, "INVALID_COMPLETION", &[]);
    assert_eq!(first.post(&json!({ "success": false, "status": 500 })).status, 204);
    first.exit(0);
    stage.next().exit(3);
    let third = stage.next();
    third.succeed("at last");
    third.exit(0);
    let answer = client.receive();
    assert_eq!((answer.output(), answer.header("x-attempts")), (json!("at last"), Some("3")));
}

#[test]
fn a_function_that_names_its_error_as_we_do_that_of_no_result_is_tried_again_after_a_crash() {
    let (server, stage) = (Server::start(&[]), Stage::new());
    server.register(&stage.function("same"));
    let mut client = server.client();
    client.ask_invoke("same", "", 1);
    let first = stage.next();
    let error = json!({ "code": "OUTPUT_NOT_JSON", "message": "my own" });
    assert_eq!(first.post(&json!({ "success": false, "error": error, "status": 500 })).status, 204);
    first.exit(0);
    // This attempt posts nothing, and an error of the one before is not its own.
    stage.next().exit(3);
    let third = stage.next();
    third.succeed("at last");
    third.exit(0);
    let answer = client.receive();
    assert_eq!((answer.output(), answer.header("x-attempts")), (json!("at last"), Some("3")));
}
