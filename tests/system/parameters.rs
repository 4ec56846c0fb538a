//! Query parameters that a call has not.

use serde_json::json;

use crate::support::client::Client;
use crate::support::server::Server;

/// Asserts that a call with a parameter that it has not is refused, before anything of it is done.
#[track_caller]
fn assert_refused(client: &mut Client, method: &str, path: &str, there: &str) {
    let separator = if path.contains('?') { '&' } else { '?' };
    client.send(format!(
        "{method} {path}{separator}colour=red HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n"
    ));
    let answer = client.receive();
    answer.assert_refused(400, "BAD_REQUEST", &["unknown parameter \"colour\"", there]);
}

#[test]
fn a_parameter_that_a_call_has_not_is_refused_on_every_path_of_every_listener() {
    let server = Server::start(&[]);
    let none = "this call has none";
    let everywhere = [
        ("POST", "/v1/functions/bystander:invoke", none),
        ("POST", "/v1/functions/bystander:enqueue", none),
        ("GET", "/v1/functions", none),
        ("POST", "/v1/functions", none),
        ("GET", "/v1/functions/bystander", none),
        ("PUT", "/v1/functions/bystander", none),
        ("DELETE", "/v1/functions/bystander", none),
        ("PUT", "/v1/functions/bystander/replicas", none),
        ("GET", "/v1/functions/bystander/logs?tail=1", "there are `tail`, `since` and `follow`"),
        ("GET", "/v1/executions?limit=1", "`function`, `status`, `limit`, `cursor` and `slowest`"),
        ("GET", "/v1/executions/0?wait=1", "there is `wait`"),
        ("GET", "/v1/executions/0/output?wait=1", "there is `wait`"),
        ("DELETE", "/v1/executions/0", none),
        ("GET", "/v1/executions/0/logs", "there are `tail`, `since` and `follow`"),
        ("GET", "/healthz", none),
        ("GET", "/openapi.yaml", none),
    ];
    let of_operators = [
        ("GET", "/", none),
        ("GET", "/readyz", none),
        ("GET", "/metrics", none),
        ("GET", "/debug/state", none),
    ];
    let of_runtimes = [
        ("GET", "/v1/internal/executions/0/input", none),
        ("POST", "/v1/internal/executions/0:complete", none),
        ("POST", "/v1/internal/instances", none),
    ];
    for (method, path, there) in everywhere {
        for address in [server.listen, server.management] {
            assert_refused(&mut Client::connect(address), method, path, there);
        }
    }
    for (method, path, there) in of_operators {
        assert_refused(&mut server.operator(), method, path, there);
    }
    for (method, path, there) in of_runtimes {
        assert_refused(&mut Client::connect(server.runtime), method, path, there);
    }
    assert_eq!(server.function("bystander")["name"], json!("bystander"), "it was deleted all the same");
    server.assert_others_are_served();
}

#[test]
fn a_call_with_parameters_that_it_has_or_with_an_empty_query_is_served() {
    let server = Server::start(&[]);
    let mut operator = server.operator();
    for path in [
        "/healthz?",
        "/v1/functions?",
        "/v1/executions?limit=1&function=bystander",
        "/v1/functions/bystander/logs?tail=1",
        "/metrics?",
        "/debug/state?",
    ] {
        assert_eq!(operator.get(path).status, 200, "{path}");
    }
}
