//! `GET /v1/executions`: what is listed, in which order, and page after page.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::endpoint::Endpoint;
use crate::support::patience::eventually;
use crate::support::server::{BYSTANDER, Server};
use crate::support::specification::{With, pool, warm};

/// A page: the executions, and the cursor of the next one.
fn page(client: &mut Client, query: &str) -> (Vec<Value>, Option<String>) {
    let answer = client.get(&format!("/v1/executions?{query}"));
    assert_eq!(answer.status, 200, "{answer:?}");
    let page = answer.json();
    assert_eq!(page.as_object().unwrap().len(), 2, "{page}");
    let cursor = match &page["nextCursor"] {
        Value::Null => None,
        Value::String(cursor) => Some(cursor.clone()),
        other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            panic!("no cursor: {other}")
        }
    };
    (page["executions"].as_array().unwrap().clone(), cursor)
}

fn ids(executions: &[Value]) -> Vec<String> {
    executions.iter().map(|execution| execution["executionId"].as_str().unwrap().to_owned()).collect()
}

/// The executions that a query finds at once.
fn found(client: &mut Client, query: &str) -> Vec<String> {
    let (executions, cursor) = page(client, query);
    assert_eq!(cursor, None, "there is more");
    ids(&executions)
}

/// Invokes and answers the execution's id.
fn invoke(client: &mut Client, name: &str) -> String {
    client.invoke(name, 1).header("x-execution-id").unwrap().to_owned()
}

#[test]
fn executions_are_listed_newest_first_as_they_are_read_but_without_output() {
    let server = Server::start(&[]);
    server.register(&warm("broken", "error").with("maxRetries", 0));
    let (mut client, mut operator) = (server.client(), server.operator());
    let executions =
        [client.enqueue(BYSTANDER, 1), client.enqueue("broken", 2), client.enqueue(BYSTANDER, 3)];
    let mut ended = executions.map(|id| client.ended(&id));
    ended.reverse();
    for execution in &mut ended {
        assert!(execution.as_object_mut().unwrap().remove("output").is_some());
    }
    assert_eq!(ended[1]["status"], "error");
    assert!(ended[1]["error"]["message"].is_string(), "{}", ended[1]);
    for client in [&mut client, &mut operator] {
        assert_eq!(page(client, ""), (ended.to_vec(), None));
        assert_eq!(page(client, "limit=3"), (ended.to_vec(), None));
        let (first, cursor) = page(client, "limit=2");
        assert_eq!(first, ended[..2]);
        assert_eq!(page(client, &format!("cursor={}", cursor.unwrap())), (ended[2..].to_vec(), None));
    }
}

#[test]
fn a_list_is_of_one_function_or_of_one_status() {
    let server = Server::start(&[]);
    let endpoint = Endpoint::listen();
    server.register(&pool("held", endpoint.url()).with("concurrency", 1).with("maxRetries", 0));
    let mut client = server.client();
    let success = client.enqueue("held", 1);
    endpoint.next().answer(200, "1");
    client.ended(&success);
    let error = client.enqueue("held", 2);
    endpoint.next().answer(400, "{}");
    client.ended(&error);
    let running = client.enqueue("held", 3);
    let request = endpoint.next();
    let timeout = client.invoke_with("held", "x-timeout-ms: 20\r\n", 4);
    assert_eq!(timeout.status, 504, "{timeout:?}");
    let timeout = timeout.header("x-execution-id").unwrap().to_owned();
    let cancelled = client.enqueue("held", 5);
    assert_eq!(client.delete(&format!("/v1/executions/{cancelled}")).status, 202);
    let queued = client.enqueue("held", 6);
    let other = invoke(&mut client, BYSTANDER);
    for (status, id) in [
        ("queued", &queued),
        ("running", &running),
        ("error", &error),
        ("timeout", &timeout),
        ("cancelled", &cancelled),
    ] {
        assert_eq!(found(&mut client, &format!("status={status}")), [id.as_str()], "{status}");
    }
    assert_eq!(found(&mut client, "status=success"), [other.clone(), success.clone()]);
    assert_eq!(found(&mut client, "status=success&function=held"), [success.as_str()]);
    assert_eq!(found(&mut client, "function=bystander"), [other]);
    let all_held = [queued, cancelled, timeout, running, error, success];
    assert_eq!(found(&mut client, "function=held&limit=500"), all_held);
    assert_eq!(found(&mut client, "function=nobody"), [""; 0]);
    // They outlive their function.
    assert_eq!(client.delete("/v1/functions/held").status, 204);
    assert_eq!(found(&mut client, "function=held"), all_held);
    request.answer(200, "1");
}

#[test]
fn a_wrong_parameter_is_named_with_what_would_be_right() {
    let server = Server::start(&[]);
    let mut client = server.client();
    for (query, parts) in [
        ("limit=0", ["limit=0", "1 … 500"]),
        ("limit=501", ["limit=501", "1 … 500"]),
        ("limit=many", ["limit=many", "1 … 500"]),
        ("status=done", ["status=done", "queued, running, success, error, timeout, cancelled"]),
        ("function=Word%20Stats", ["function=Word%20Stats", "lower-case"]),
        ("cursor=", ["cursor=", "nextCursor"]),
        ("cursor=null", ["cursor=null", "nextCursor"]),
        ("cursor=00000000.1-g", ["cursor=00000000.1-g", "nextCursor"]),
        ("name=f", ["\"name\"", "`function`, `status`, `limit`, `cursor` and `slowest`"]),
        ("limit=1&limit=2", ["`limit`", "twice"]),
    ] {
        for client in [&mut client, &mut server.operator()] {
            client.get(&format!("/v1/executions?{query}")).assert_refused(400, "BAD_REQUEST", &parts);
        }
    }
    let answer = client.post("/v1/executions", "{}");
    answer.assert_refused(405, "METHOD_NOT_ALLOWED", &["GET"]);
    assert_eq!(answer.header("allow"), Some("GET, HEAD"));
    server.assert_others_are_served();
}

#[test]
fn beyond_loopback_executions_are_listed_for_operators_or_with_leave() {
    let server = Server::start_at("0.0.0.0:0", &[]);
    let answer = server.client().get("/v1/executions");
    answer.assert_refused(403, "LISTING_DISABLED", &["--allow-writes", "management listener"]);
    assert_eq!(page(&mut server.operator(), ""), (Vec::new(), None));
    let open = Server::start_at("0.0.0.0:0", &["--allow-writes"]);
    assert_eq!(page(&mut open.client(), ""), (Vec::new(), None));
}

#[test]
fn pages_have_each_execution_once_and_in_order_while_others_come_and_go() {
    const PROMISED: usize = 1000;
    let server = Server::start(&["--max-executions", "1300"]);
    server.register(&warm("many", "echo").with("queueSize", 2000));
    let mut client = server.client();
    // One in ten is the first to go when room is needed.
    let mut promised = Vec::new();
    for number in 0..PROMISED {
        if number % 10 == 0 {
            invoke(&mut client, BYSTANDER);
        }
        promised.push(client.enqueue("many", number));
    }
    client.ended(promised.last().unwrap());
    promised.reverse();

    let (mut listed, mut seen, mut later) = (Vec::new(), HashSet::new(), HashSet::new());
    let mut next = Some(String::new());
    let mut pages = 0;
    while let Some(cursor) = next {
        let parameter = if cursor.is_empty() { cursor } else { format!("&cursor={cursor}") };
        let (executions, cursor) = page(&mut client, &format!("limit=33{parameter}"));
        assert!(executions.len() <= 33);
        for id in ids(&executions) {
            assert!(seen.insert(id.clone()), "{id} is on two pages");
            listed.push(id);
        }
        // Soon every one of these takes the place of another.
        later.extend((0..30).map(|_| invoke(&mut client, BYSTANDER)));
        next = cursor;
        pages += 1;
    }
    assert!(pages > PROMISED / 33, "only {pages} pages");
    assert!(later.is_disjoint(&seen), "what came after the first page was on a later one");
    let kept: HashSet<&String> = promised.iter().collect();
    assert!(listed.len() > PROMISED, "none of the others was listed");
    assert!(listed.len() < PROMISED + PROMISED / 10, "none of the others had gone");
    listed.retain(|id| kept.contains(id));
    assert_eq!(listed, promised);
}

#[test]
fn a_page_is_bounded_by_what_is_looked_at_and_a_cursor_by_what_has_gone() {
    /// How many executions a gateway looks at for one page.
    const LOOKS: usize = 2000;
    let server = Server::start(&["--max-executions", "2560"]);
    server.register(&warm("many", "echo").with("queueSize", 3000));
    let mut client = server.client();
    let rare = client.enqueue(BYSTANDER, 1);
    let mut last = String::new();
    for number in 0..LOOKS {
        last = client.enqueue("many", number);
    }
    client.ended(&last);
    let (first, cursor) = page(&mut client, "function=bystander");
    assert_eq!(first, [Value::Null; 0]);
    let second = format!("function=bystander&cursor={}", cursor.expect("it has not looked at all"));
    assert_eq!(found(&mut client, &second), [rare]);

    // The next one of this page goes, and it is not near the end.
    let [goes, stays] = [(); 2].map(|()| invoke(&mut client, BYSTANDER));
    let (first, cursor) = page(&mut client, "limit=1");
    assert_eq!(ids(&first), [stays]);
    let cursor = cursor.unwrap();
    let second = format!("limit=1&cursor={cursor}");
    assert_eq!(ids(&page(&mut client, &second).0), [goes.as_str()]);
    eventually("it is evicted", || {
        invoke(&mut client, BYSTANDER);
        (client.get(&format!("/v1/executions/{goes}")).status == 404).then_some(())
    });
    let answer = client.get(&format!("/v1/executions?{second}"));
    answer.assert_refused(400, "CURSOR_EXPIRED", &["without `cursor`"]);
    let incarnation = u32::from_str_radix(&cursor[..8], 16).unwrap();
    let earlier = format!("{:08x}{}", incarnation - 1, &cursor[8..]);
    let answer = client.get(&format!("/v1/executions?cursor={earlier}"));
    answer.assert_refused(400, "CURSOR_EXPIRED", &["restarted", "without `cursor`"]);
}

#[test]
fn a_cursor_whose_execution_has_gone_goes_on_at_the_next_older_one() {
    let server = Server::start(&["--max-executions", "64"]);
    let mut client = server.client();
    let oldest = client.enqueue(BYSTANDER, 1);
    client.ended(&oldest);
    let invoked: Vec<String> = (0..10).map(|_| invoke(&mut client, BYSTANDER)).collect();
    let (first, cursor) = page(&mut client, "limit=5");
    let newest_first: Vec<String> = invoked.iter().rev().take(5).cloned().collect();
    assert_eq!(ids(&first), newest_first);
    let second = format!("cursor={}", cursor.unwrap());
    let expected: Vec<String> = invoked[..5].iter().rev().chain([&oldest]).cloned().collect();
    assert_eq!(found(&mut client, &second), expected);
    eventually("all but the promised one have gone", || {
        invoke(&mut client, BYSTANDER);
        (client.get(&format!("/v1/executions/{}", invoked[9])).status == 404).then_some(())
    });
    assert_eq!(found(&mut client, &second), [oldest]);
    assert_eq!(page(&mut client, "limit=500").0.len(), 64);
}

#[test]
fn a_listed_result_is_not_read() {
    let server = Server::start(&["--drain", "1"]);
    let mut client = server.client();
    let id = client.enqueue(BYSTANDER, json!("unread"));
    eventually("it has ended", || (found(&mut client, "status=success") == [id.clone()]).then_some(()));
    let end = server.stop();
    assert!(end.stderr.contains("promised results were not read before the end results=1"), "{}", end.stderr);
}
