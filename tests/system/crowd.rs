//! Many at once when something ends: the process, or a function.

use rustix::process::Signal;
use serde_json::json;

use crate::support::client::Client;
use crate::support::gate::Gate;
use crate::support::patience::eventually;
use crate::support::server::Server;
use crate::support::specification::{With, warm};

/// Connections that each sent an invocation of `function` and read no answer yet.
fn callers(server: &Server, function: &str, count: usize, input: &str) -> Vec<Client> {
    let mut clients: Vec<Client> = (0..count).map(|_| server.client()).collect();
    for client in &mut clients {
        client.ask_invoke(function, "", input);
    }
    clients
}

#[test]
fn sigterm_with_200_in_flight_and_others_in_line_answers_every_one_and_ends_with_0() {
    let (server, gate) = (Server::start(&["--drain", "120"]), Gate::new());
    let wide = warm("wide", "gate").with("concurrency", 200).with("timeoutMs", 120_000);
    server.register(&wide.with("maxRetries", 0));
    server.register(&warm("narrow", "sleep").with("concurrency", 5).with("maxRetries", 0));
    let mut running = callers(&server, "wide", 200, &gate.input().to_string());
    server.until_status("wide", "inFlight", 200);
    let mut client = server.client();
    let ids: Vec<String> = (0..50).map(|_| client.enqueue("narrow", "{\"ms\":100}")).collect();
    let mut waiting = callers(&server, "narrow", 20, "{\"ms\":1}");
    // Bytes that were sent and not yet read are refused, and rightly so.
    eventually("all are admitted", || {
        (server.scrape().of_function("narrow", "enqueued_total") == 70.0).then_some(())
    });
    server.signal(Signal::TERM);
    let mut operator = server.operator();
    eventually("it drains", || (operator.get("/readyz").status == 503).then_some(()));
    gate.open();
    for client in running.iter_mut().chain(&mut waiting) {
        let answer = client.receive();
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.assert_closing();
    }
    let listen = server.listen;
    for id in ids {
        assert_eq!(Client::connect(listen).ended(&id)["status"], "success");
    }
    let end = server.end();
    assert_eq!(end.code, 0, "{}", end.stderr);
    assert!(end.stderr.contains("stopped in_time=true"), "{}", end.stderr);
}

#[test]
fn deleting_a_function_with_50_running_lets_them_finish_and_ends_all_who_wait() {
    let (server, gate) = (Server::start(&[]), Gate::new());
    server.register(&warm("doomed", "gate").with("concurrency", 50).with("timeoutMs", 120_000));
    let mut running = callers(&server, "doomed", 50, &gate.input().to_string());
    server.until_status("doomed", "inFlight", 50);
    let mut waiting = callers(&server, "doomed", 20, &gate.input().to_string());
    let mut client = server.client();
    let ids: Vec<String> = (0..30).map(|_| client.enqueue("doomed", gate.input())).collect();
    server.until_status("doomed", "queued", 50);
    assert_eq!(client.delete("/v1/functions/doomed").status, 204);
    for client in &mut waiting {
        client.receive().assert_error(500, "FUNCTION_REMOVED", "gateway", &["deleted"]);
    }
    for id in ids {
        let ended = client.ended(&id);
        assert_eq!(
            (&ended["status"], &ended["error"]["code"]),
            (&json!("error"), &json!("FUNCTION_REMOVED"))
        );
    }
    gate.open();
    for client in &mut running {
        assert_eq!(client.receive().output(), gate.input());
    }
    // A function of the name is a new one, with nothing of the old.
    server.register(&warm("doomed", "echo"));
    assert_eq!(server.invoke("doomed", 7).output(), 7);
    assert_eq!(server.scrape().of_function("doomed", "success_total"), 1.0);
}
