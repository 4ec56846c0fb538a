//! `If-Match` and `If-None-Match` (RFC 9110, 13) of calls about functions.

use std::net::SocketAddr;

use serde_json::Value;

use crate::support::client::{Answer, Client};
use crate::support::server::Server;
use crate::support::specification::{With, warm};

/// The server, and both listeners that have functions.
fn server() -> (Server, [SocketAddr; 2]) {
    let server = Server::start(&[]);
    let listeners = [server.listen, server.management];
    (server, listeners)
}

fn function() -> Value {
    warm("f", "echo").with("replicas", serde_json::json!({ "min": 0, "max": 3 }))
}

fn put(client: &mut Client, headers: &str, specification: &Value) -> Answer {
    client.call("PUT /v1/functions/f", headers, specification.to_string())
}

fn etag(client: &mut Client) -> String {
    client.get("/v1/functions/f").header("etag").unwrap().to_owned()
}

#[test]
fn a_put_for_a_function_that_is_not_there_yet_replaces_none() {
    let (server, listeners) = server();
    for address in listeners {
        let mut client = Client::connect(address);
        let created = put(&mut client, "if-none-match: *\r\n", &function());
        assert_eq!(created.status, 201, "{created:?}");
        let tag = created.header("etag").unwrap().to_owned();
        let other = function().with("timeoutMs", 7000);
        for named in ["*".to_owned(), tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}")] {
            let refused = put(&mut client, &format!("if-none-match: {named}\r\n"), &other);
            refused.assert_refused(412, "VERSION_MISMATCH", &["If-None-Match", &tag.replace('"', "")]);
        }
        let unreadable = put(&mut client, "if-none-match: nothing\r\n", &other);
        unreadable.assert_refused(412, "VERSION_MISMATCH", &["in quotes"]);
        assert_eq!(etag(&mut client), tag, "nothing was replaced");
        assert_eq!(put(&mut client, "if-none-match: \"x\"\r\n", &other).status, 200);
        assert_eq!(client.delete("/v1/functions/f").status, 204);
        let fresh = put(&mut client, "if-none-match: \"x\"\r\n", &other);
        assert_eq!(fresh.status, 201, "{fresh:?}");
        assert_eq!(client.delete("/v1/functions/f").status, 204);
    }
    server.assert_others_are_served();
}

#[test]
fn a_delete_removes_the_version_that_it_names_and_no_other() {
    let (server, listeners) = server();
    for address in listeners {
        let mut client = Client::connect(address);
        let tag = put(&mut client, "", &function()).header("etag").unwrap().to_owned();
        let mut delete = |headers: &str| client.call("DELETE /v1/functions/f", headers, "");
        for headers in [
            "if-match: \"x\"\r\n",
            "if-match: x\r\n",
            "if-none-match: *\r\n",
            &format!("if-match: W/{tag}\r\n"),
        ] {
            delete(headers).assert_refused(412, "VERSION_MISMATCH", &[&tag.replace('"', "")]);
        }
        assert_eq!(delete(&format!("if-match: \"x\"\r\nif-match: {tag}\r\n")).status, 204);
        delete(&format!("if-match: {tag}\r\n")).assert_refused(404, "FUNCTION_NOT_FOUND", &[]);
    }
    server.assert_others_are_served();
}

#[test]
fn replicas_are_set_of_the_version_that_is_named_and_are_part_of_its_tag() {
    let (server, listeners) = server();
    for address in listeners {
        let mut client = Client::connect(address);
        let tag = put(&mut client, "", &function()).header("etag").unwrap().to_owned();
        let mut scale = |headers: &str, to: u32| {
            client.call("PUT /v1/functions/f/replicas", headers, format!("{{\"replicas\":{to}}}"))
        };
        scale("if-match: \"x\"\r\n", 1).assert_refused(412, "VERSION_MISMATCH", &[&tag.replace('"', "")]);
        scale("if-none-match: *\r\n", 1).assert_refused(412, "VERSION_MISMATCH", &["If-None-Match"]);
        let scaled = scale(&format!("if-match: {tag}\r\n"), 1);
        assert_eq!((scaled.status, &scaled.json()["replicas"]["min"]), (200, &1.into()), "{scaled:?}");
        let after = scaled.header("etag").unwrap().to_owned();
        assert_ne!(after, tag, "another text has another tag");
        // One who read it before does not undo that unknowingly.
        let stale = put(&mut client, &format!("if-match: {tag}\r\n"), &function());
        stale.assert_refused(412, "VERSION_MISMATCH", &[&after.replace('"', "")]);
        assert_eq!(client.delete("/v1/functions/f").status, 204);
    }
    server.assert_others_are_served();
}

#[test]
fn a_read_of_what_the_client_has_is_a_304_with_the_tag_and_no_body() {
    let (server, listeners) = server();
    let mut operator = server.operator();
    assert_eq!(put(&mut operator, "", &function()).status, 201);
    for address in listeners {
        let mut client = Client::connect(address);
        let tag = etag(&mut client);
        for named in [tag.clone(), format!("W/{tag}"), format!("\"x\" , {tag}"), "*".to_owned()] {
            for method in ["GET", "HEAD"] {
                let request = format!("{method} /v1/functions/f");
                let answer = client.call(&request, &format!("if-none-match: {named}\r\n"), "");
                assert_eq!((answer.status, answer.header("etag")), (304, Some(tag.as_str())), "{answer:?}");
                assert_eq!(answer.header("transfer-encoding"), None);
            }
        }
        for named in ["\"x\"", "nothing"] {
            let answer = client.call("GET /v1/functions/f", &format!("if-none-match: {named}\r\n"), "");
            assert_eq!((answer.status, &answer.json()["name"]), (200, &"f".into()));
            // The tag is not of its status, so a browser is not to ask by itself.
            assert_eq!(answer.header("cache-control"), Some("no-store"));
        }
        let other = client.call("GET /v1/functions/f", "if-match: \"x\"\r\n", "");
        other.assert_refused(412, "VERSION_MISMATCH", &[&tag.replace('"', "")]);
        let absent = client.call("GET /v1/functions/nobody", "if-none-match: *\r\n", "");
        absent.assert_refused(404, "FUNCTION_NOT_FOUND", &[]);
    }
    server.assert_others_are_served();
}
