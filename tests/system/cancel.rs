//! Taking an execution back.

use crate::support::bystander::while_others_are_served;
use crate::support::endpoint::Endpoint;
use crate::support::server::Server;
use crate::support::specification::{With, pool};

#[test]
fn a_cancelled_execution_in_line_never_runs_and_a_running_one_is_hung_up_on() {
    let (server, endpoint) = (Server::start(&[]), Endpoint::listen());
    server.register(&pool("narrow", endpoint.url()).with("concurrency", 1));
    let mut client = server.client();
    while_others_are_served(&server, || {
        // One runs, with its client waiting; two are in line.
        let mut waiting = server.client();
        waiting.ask_invoke("narrow", "", "\"runs\"");
        let request = endpoint.next();
        let running = request.header("x-execution-id").unwrap().to_owned();
        let first = client.enqueue("narrow", "\"first in line\"");
        let second = client.enqueue("narrow", "\"second in line\"");
        server.until_status("narrow", "queued", 2);

        let answer = client.delete(&format!("/v1/executions/{first}"));
        assert_eq!(answer.status, 202, "{answer:?}");
        assert_eq!(answer.json()["status"], "cancelled");
        server.until_status("narrow", "queued", 1);
        let ended = client.ended(&first);
        assert_eq!((&ended["status"], &ended["attempt"]), (&"cancelled".into(), &0.into()));

        let answer = client.delete(&format!("/v1/executions/{running}"));
        assert_eq!(answer.status, 202, "{answer:?}");
        request.until_closed();
        waiting.receive().assert_error(503, "CANCELLED", "gateway", &["cancelled by a client"]);

        // Its permit is free, and the line goes on behind the one that was taken out.
        let request = endpoint.next();
        assert_eq!(request.header("x-execution-id"), Some(second.as_str()));
        request.answer(200, "2");
        assert_eq!(client.ended(&second)["output"], 2);
    });
    server.until_status("narrow", "inFlight", 0);
    let scrape = server.scrape();
    assert_eq!(scrape.of_function("narrow", "cancelled_total"), 2.0);
    assert_eq!(scrape.of_function("narrow", "enqueued_total"), 3.0);
}

#[test]
fn what_has_ended_cannot_be_cancelled_and_what_never_was_neither() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let answer = server.invoke("bystander", 1);
    let id = answer.header("x-execution-id").unwrap();
    // On either listener.
    for mut client in [server.client(), server.operator()] {
        let answer = client.delete(&format!("/v1/executions/{id}"));
        answer.assert_refused(409, "ALREADY_TERMINAL", &["has ended already"]);
    }
    assert_eq!(client.get(&format!("/v1/executions/{id}")).json()["status"], "success");
    client.delete("/v1/executions/nothing").assert_refused(404, "EXECUTION_NOT_FOUND", &["nothing"]);
}
