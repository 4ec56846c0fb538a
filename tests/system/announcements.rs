//! Instances that say that they listen. Nobody here is known to a backend: only Kubernetes has such.

use serde_json::{Value, json};

use crate::support::client::{Answer, Client};
use crate::support::server::Server;

const ANNOUNCE: &str = "POST /v1/internal/instances";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn announce(server: &Server, token: &str, headers: &str, body: impl AsRef<[u8]>) -> Answer {
    let headers = format!("authorization: Bearer {token}\r\n{headers}");
    Client::connect(server.runtime).call(ANNOUNCE, &headers, body)
}

fn body(address: &str) -> String {
    json!({ "instance": "fn-echo-5d9c7b8f6d-x2x7k", "address": address }).to_string()
}

#[test]
fn a_token_that_no_function_has_is_refused_and_the_remedy_named_and_the_connection_serves_on() {
    let server = Server::start(&[]);
    let mut client = Client::connect(server.runtime);
    for address in ["10.1.2.3:8080", "[fd00::17]:8080"] {
        let answer = client.call(ANNOUNCE, &format!("authorization: Bearer {TOKEN}\r\n"), body(address));
        answer.assert_refused(401, "UNAUTHORIZED", &["no function here", "PICOFAAS_RUNTIME_URL"]);
        assert_eq!(answer.header("connection"), None, "{answer:?}");
    }
    server.assert_others_are_served();
}

#[test]
fn without_a_token_of_the_right_form_not_even_the_body_is_read() {
    let server = Server::start(&[]);
    for headers in [
        "",
        "authorization: Bearer\r\n",
        "authorization: Bearer short\r\n",
        "authorization: Basic 0123456789abcdef0123456789abcdef\r\n",
        "authorization: Bearer 0123456789ABCDEF0123456789ABCDEF\r\n",
    ] {
        let mut client = Client::connect(server.runtime);
        // None of its body is ever sent.
        client.send(format!("{ANNOUNCE} HTTP/1.1\r\nhost: localhost\r\n{headers}content-length: 99\r\n\r\n"));
        let answer = client.receive();
        answer.assert_refused(401, "UNAUTHORIZED", &["Bearer", "PICOFAAS_TOKEN of this instance"]);
        answer.assert_closing();
    }
}

#[test]
fn every_fault_of_an_announcement_is_told_before_its_token_is_looked_up() {
    let server = Server::start(&[]);
    let refused = |body: Value| {
        let answer = announce(&server, TOKEN, "", body.to_string());
        answer.assert_refused(422, "INVALID_ANNOUNCEMENT", &[]);
        answer
    };
    let answer = refused(json!({ "instance": "A pod", "address": "echo:8080" }));
    let details = answer.details();
    assert_eq!(details.len(), 2, "{details:?}");
    assert!(details[0].starts_with("instance: must be the name of the pod"), "{details:?}");
    assert!(details[1].starts_with("address: must be the pod's IP address"), "{details:?}");
    assert!(details[1].ends_with("is \"echo:8080\""), "{details:?}");
    assert_eq!(refused(json!({ "instance": "a", "address": "10.1.2.3:0" })).details().len(), 1);
    for body in [json!({ "instance": "a" }), json!(["a", "10.1.2.3:80"]), json!(null)] {
        assert!(refused(body).message().contains("{\"instance\",\"address\"}"));
    }
    let more = refused(json!({ "instance": "a", "address": "10.1.2.3:80", "zone": "b" }));
    assert!(more.message().contains("unknown field `zone`"), "{more:?}");
    announce(&server, TOKEN, "", "{").assert_refused(400, "INVALID_JSON", &["line 1 column 1"]);
    let plain = announce(&server, TOKEN, "content-type: text/plain\r\n", body("10.1.2.3:80"));
    plain.assert_refused(415, "UNSUPPORTED_MEDIA_TYPE", &["application/json"]);
}

#[test]
fn an_announcement_of_more_than_4096_bytes_is_not_read() {
    let server = Server::start(&[]);
    let padded = |length: usize| {
        let body = body("10.1.2.3:80");
        format!("{body}{}", " ".repeat(length - body.len()))
    };
    announce(&server, TOKEN, "", padded(4096)).assert_refused(401, "UNAUTHORIZED", &[]);
    let answer = announce(&server, TOKEN, "", padded(4097));
    answer.assert_refused(413, "BODY_TOO_LARGE", &["4096"]);
    answer.assert_closing();
    let mut chunked = Client::connect(server.runtime);
    chunked.send(format!(
        "{ANNOUNCE} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {TOKEN}\r\ntransfer-encoding: chunked\r\n\r\n1001\r\n{}\r\n",
        padded(4097)
    ));
    chunked.receive().assert_refused(413, "BODY_TOO_LARGE", &["4096"]);
}

#[test]
fn announcements_are_taken_by_post_and_on_the_runtime_listener_only() {
    let server = Server::start(&["--gateway-threads", "2"]);
    let headers = format!("authorization: Bearer {TOKEN}\r\n");
    for mut client in [server.client(), server.operator()] {
        let answer = client.call(ANNOUNCE, &headers, body("10.1.2.3:80"));
        answer.assert_refused(404, "NOT_FOUND", &["--runtime-listen"]);
    }
    announce(&server, TOKEN, "", body("10.1.2.3:80")).assert_refused(401, "UNAUTHORIZED", &[]);
    let answer = Client::connect(server.runtime).get("/v1/internal/instances");
    answer.assert_refused(405, "METHOD_NOT_ALLOWED", &["POST"]);
}
