//! Several gateway threads: each owns what it admitted, and all answer as one.

use std::fs;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use crate::support::client::{Answer, Client};
use crate::support::endpoint::Endpoint;
use crate::support::job::Stage;
use crate::support::patience::{eventually, let_pass};
use crate::support::server::{BYSTANDER, Server, run};
use crate::support::specification::{With, pool, warm};

const GATEWAYS: usize = 3;

/// A server of three gateways, with more flags.
fn start(flags: &[&str]) -> Server {
    Server::start(&[&["--gateway-threads", "3"], flags].concat())
}

/// The gateway that owns an execution: the first two digits of its ticket.
fn gateway_of(id: &str) -> usize {
    usize::from_str_radix(&id[8..10], 16).unwrap()
}

/// The id of the execution that an answer is about.
fn id_of(answer: &Answer) -> String {
    answer.header("x-execution-id").unwrap_or_else(|| panic!("no id: {answer:?}")).to_owned()
}

/// A connection to each gateway, in their order. The kernel chooses by the client's port.
fn a_client_of_each(server: &Server) -> [Client; GATEWAYS] {
    let mut clients = [const { None }; GATEWAYS];
    eventually("every gateway has got a connection", || {
        let mut client = server.client();
        let gateway = gateway_of(&id_of(&client.invoke(BYSTANDER, 1)));
        clients[gateway].get_or_insert(client);
        clients.iter().all(Option::is_some).then_some(())
    });
    clients.map(Option::unwrap)
}

#[test]
fn an_execution_of_any_gateway_is_read_on_every_connection_and_on_the_management_listener() {
    let server = start(&[]);
    let mut clients = a_client_of_each(&server);
    let mut operator = server.operator();
    for owner in 0..GATEWAYS {
        let promised = clients[owner].enqueue(BYSTANDER, owner);
        let ended = clients[owner].ended(&promised);
        assert_eq!((gateway_of(&promised), &ended["output"]), (owner, &json!(owner)));
        for client in clients.iter_mut().chain([&mut operator]) {
            assert_eq!(client.get(&format!("/v1/executions/{promised}")).json(), ended);
        }
        for client in clients.iter_mut().chain([&mut operator]) {
            let again = client.delete(&format!("/v1/executions/{promised}"));
            again.assert_refused(409, "ALREADY_TERMINAL", &["ended"]);
            let bad = client.get(&format!("/v1/executions/{promised}?wait=x"));
            bad.assert_refused(400, "BAD_REQUEST", &["wait=x"]);
        }
    }
    // Calls on the management listener are spread as well.
    let mut owners: Vec<usize> =
        (0..GATEWAYS).map(|_| gateway_of(&id_of(&operator.invoke(BYSTANDER, 1)))).collect();
    owners.sort_unstable();
    assert_eq!(owners, [0, 1, 2]);
    let scrape = server.scrape();
    let of = |name: &str| scrape.of_function(BYSTANDER, name);
    assert_eq!(of("enqueued_total"), of("success_total"));
    assert!(of("success_total") >= 9.0, "{}", scrape.text());
    let bucket = "picofaas_function_latency_seconds_count{function=\"bystander\"}";
    assert_eq!(scrape.series(bucket), Some(of("success_total")));
    eventually("the connections of all gateways are counted", || {
        (server.scrape().series("picofaas_connections") >= Some(3.0)).then_some(())
    });
}

#[test]
fn an_id_of_a_gateway_that_there_is_not_was_never_an_execution() {
    let server = start(&[]);
    let [first, second, _] = &mut a_client_of_each(&server);
    let id = first.enqueue(BYSTANDER, 1);
    for gateway in [1, 3, 63, 255] {
        let other = format!("{}{gateway:02x}{}", &id[..8], &id[10..]);
        for client in [&mut *first, &mut *second, &mut server.operator()] {
            let answer = client.get(&format!("/v1/executions/{other}"));
            answer.assert_refused(404, "EXECUTION_NOT_FOUND", &[&other]);
            let answer = client.delete(&format!("/v1/executions/{other}"));
            answer.assert_refused(404, "EXECUTION_NOT_FOUND", &[&other]);
        }
    }
}

#[test]
fn an_execution_is_cancelled_and_waited_for_through_any_other_gateway() {
    let server = start(&[]);
    let endpoint = Endpoint::listen();
    server.register(&pool("held", endpoint.url()).with("concurrency", 1));
    let mut clients = a_client_of_each(&server);
    let running = clients[0].enqueue("held", 1);
    let request = endpoint.next();
    let queued = clients[1].enqueue("held", 2);
    for (waiter, canceller, id) in [(2, 0, queued), (1, 2, running)] {
        let mut operator = server.operator();
        for waiting in [&mut clients[waiter], &mut operator] {
            waiting.ask(&format!("GET /v1/executions/{id}?wait=60"), "", "");
        }
        server.assert_others_are_served();
        let cancelled = clients[canceller].delete(&format!("/v1/executions/{id}"));
        assert_eq!(cancelled.status, 202, "{cancelled:?}");
        assert_eq!(cancelled.json(), json!({ "executionId": id, "status": "cancelled" }));
        for waiting in [&mut clients[waiter], &mut operator] {
            assert_eq!(waiting.receive().json()["status"], "cancelled");
        }
    }
    request.until_closed();
    server.until_status("held", "inFlight", 0);
    assert_eq!(server.scrape().of_function("held", "cancelled_total"), 2.0);
}

#[test]
fn a_full_queue_refuses_on_every_gateway_and_one_place_admits_on_any() {
    let server = start(&[]);
    let endpoint = Endpoint::listen();
    server.register(&pool("narrow", endpoint.url()).with("concurrency", 1).with("queueSize", 3));
    let mut clients = a_client_of_each(&server);
    let running = clients[0].enqueue("narrow", 0);
    let request = endpoint.next();
    let mut queued: Vec<String> = clients.iter_mut().map(|client| client.enqueue("narrow", 1)).collect();
    for client in &mut clients {
        let refused = client.post("/v1/functions/narrow:enqueue", "{\"input\":2}");
        refused.assert_refused(429, "QUEUE_FULL", &["queueSize 3"]);
        assert!(refused.header("retry-after").is_some(), "{refused:?}");
    }
    // The place of one gateway's execution is another's.
    request.answer(200, "0");
    assert_eq!(clients[2].ended(&running)["output"], 0);
    let request = endpoint.next();
    queued.push(clients[1].enqueue("narrow", 3));
    clients[2].post("/v1/functions/narrow:enqueue", "{\"input\":2}").assert_refused(429, "QUEUE_FULL", &[]);
    request.answer(200, "1");
    for _ in 1..queued.len() {
        endpoint.next().answer(200, "1");
    }
    for id in queued {
        assert_eq!(clients[0].ended(&id)["status"], "success");
    }
}

#[test]
fn draining_answers_everyone_on_every_gateway_and_reads_across_them() {
    let server = start(&[]);
    let endpoint = Endpoint::listen();
    server.register(&pool("held", endpoint.url()));
    let mut clients = a_client_of_each(&server);
    let mut readers = a_client_of_each(&server);
    let promised: Vec<String> = clients.iter_mut().map(|client| client.enqueue("held", 1)).collect();
    let mut requests: Vec<_> = promised.iter().map(|_| endpoint.next()).collect();
    // One more on a gateway has a place of its own: concurrency is 4.
    clients[1].ask_invoke("held", "", 2);
    requests.push(endpoint.next());
    for (at, reader) in readers.iter_mut().enumerate() {
        reader.ask(&format!("GET /v1/executions/{}?wait=60", promised[(at + 1) % GATEWAYS]), "", "");
    }
    server.assert_others_are_served();
    server.signal(Signal::TERM);
    // Gateways are told in their order, so that when the last one drains all do.
    eventually("the last gateway drains", || {
        (clients[2].get("/healthz").header("connection") == Some("close")).then_some(())
    });
    for client in [&mut clients[0], &mut server.client()] {
        let refused = client.invoke(BYSTANDER, 1);
        refused.assert_refused(503, "DRAINING", &["stopping"]);
        refused.assert_closing();
    }
    for request in requests {
        request.answer(200, "\"kept\"");
    }
    for reader in &mut readers {
        let answer = reader.receive();
        assert_eq!(answer.json()["output"], "kept");
        answer.assert_closing();
    }
    assert_eq!(clients[1].receive().output(), "kept");
    let end = server.end();
    assert!(end.code == 0 && end.stderr.contains("stopped in_time=true"), "{}", end.stderr);
}

#[test]
fn at_the_end_of_the_drain_time_who_waits_on_another_gateway_is_told_how_it_ended() {
    let server = start(&["--drain", "1"]);
    let endpoint = Endpoint::listen();
    server.register(&pool("never", endpoint.url()));
    let [first, second, mut third] = a_client_of_each(&server);
    let [first_reader, second_reader, _] = a_client_of_each(&server);
    let promised = third.enqueue("never", 1);
    let _request = endpoint.next();
    let (mut readers, mut clients) = ([first_reader, second_reader], [first, second]);
    for (reader, client) in readers.iter_mut().zip(&mut clients) {
        reader.ask(&format!("GET /v1/executions/{promised}?wait=60"), "", "");
        client.ask_invoke("never", "", 2);
    }
    // The owner has no connection left that would keep it from stopping first.
    third.hang_up();
    eventually("only those who wait are connected", || {
        (server.scrape().series("picofaas_connections") == Some(4.0)).then_some(())
    });
    server.signal(Signal::TERM);
    for reader in &mut readers {
        let execution = reader.receive().json();
        assert_eq!(execution["status"], "error", "{execution}");
        assert_eq!(execution["error"]["code"], "SHUTTING_DOWN");
    }
    for client in &mut clients {
        client.receive().assert_error(503, "SHUTTING_DOWN", "gateway", &["--drain"]);
    }
    let end = server.end();
    assert!(end.code == 0 && end.stderr.contains("stopped in_time=false"), "{}", end.stderr);
}

#[test]
fn a_key_is_one_execution_on_whichever_connection_it_comes() {
    let server = start(&[]);
    let endpoint = Endpoint::listen();
    server.register(&pool("once", endpoint.url()));
    let mut clients = a_client_of_each(&server);
    let mut homes = std::collections::BTreeSet::new();
    for number in 0..12 {
        let key = format!("idempotency-key: key-{number}\r\n");
        for client in &mut clients {
            client.ask_invoke("once", &key, number);
        }
        let mut operator = server.operator();
        operator.ask_invoke("once", &key, number);
        endpoint.next().answer(200, &number.to_string());
        let answers: Vec<Answer> =
            clients.iter_mut().chain([&mut operator]).map(|client| client.receive()).collect();
        let replayed =
            answers.iter().filter(|answer| answer.header("idempotency-replayed") == Some("true")).count();
        assert_eq!(replayed, GATEWAYS, "{answers:?}");
        for answer in &answers {
            assert_eq!(answer.output(), number);
            assert_eq!(id_of(answer), id_of(&answers[0]));
        }
        homes.insert(gateway_of(&id_of(&answers[0])));
        for client in &mut clients {
            let other = client.invoke_with("once", &key, "\"another body\"");
            other.assert_refused(422, "IDEMPOTENCY_MISMATCH", &["another body"]);
        }
    }
    assert_eq!(homes.len(), GATEWAYS, "only the gateways {homes:?} have keys");
    assert_eq!(server.scrape().of_function("once", "dispatched_total"), 12.0);
}

#[test]
fn a_job_of_any_gateway_is_fetched_and_posted_through_the_one_that_runtimes_call() {
    let (server, stage) = (start(&["--max-output", "2048"]), Stage::new());
    server.register(&stage.function("job"));
    let mut clients = a_client_of_each(&server);
    for (gateway, client) in clients.iter_mut().enumerate() {
        client.ask_invoke("job", "", gateway);
        let process = stage.next();
        assert_eq!(gateway_of(process.execution()), gateway);
        assert_eq!(process.fetch().text(), format!("{{\"input\":{gateway}}}"));
        process.succeed(json!({ "from": gateway }));
        assert_eq!(client.receive().output(), json!({ "from": gateway }));
        process.exit(0);

        client.ask_invoke("job", "", gateway);
        let process = stage.next();
        let too_large = json!({ "success": true, "output": "x".repeat(2048 + 64 * 1024) });
        process.post(&too_large).assert_refused(413, "BODY_TOO_LARGE", &["larger"]);
        client.receive().assert_error(500, "OUTPUT_TOO_LARGE", "function", &["--max-output"]);
        process.exit(0);
    }
}

#[test]
fn a_result_without_a_token_is_not_even_read_whichever_gateway_owns_its_execution() {
    let (server, stage) = (start(&[]), Stage::new());
    server.register(&stage.function("job"));
    for client in &mut a_client_of_each(&server) {
        client.ask_invoke("job", "", 1);
        let process = stage.next();
        let mut runtime = process.client();
        // None of its body is ever sent.
        let path = format!("/v1/internal/executions/{}:complete", process.execution());
        runtime.send(format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99\r\n\r\n"));
        let answer = runtime.receive();
        answer.assert_refused(401, "UNAUTHORIZED", &["PICOFAAS_TOKEN"]);
        answer.assert_closing();
        process.succeed(1);
        assert_eq!(client.receive().output(), 1);
        process.exit(0);
    }
}

#[test]
fn a_port_that_several_gateways_share_is_refused_to_every_other_process() {
    let folder = tempfile::tempdir().unwrap();
    for (first, second) in [("1", "2"), ("2", "2"), ("2", "1")] {
        let server = Server::start_bare(&["--gateway-threads", first]);
        let address = server.listen.to_string();
        let management = ["--management-listen", "127.0.0.1:0"];
        let flags = [&["serve", "--listen", &address, "--gateway-threads", second], &management[..]].concat();
        let end = run(&flags, folder.path());
        assert_eq!(end.code, 1, "{end:?}");
        for part in ["--listen", &address, "another program listens there"] {
            assert!(end.stderr.contains(part), "no {part:?} in {}", end.stderr);
        }
    }
}

#[test]
fn too_little_for_each_gateway_stops_the_start_with_both_flags() {
    let folder = tempfile::tempdir().unwrap();
    let end = run(&["serve", "--gateway-threads", "2", "--max-executions", "127"], folder.path());
    assert_eq!(end.code, 1, "{end:?}");
    for part in ["--gateway-threads 2", "--max-executions 127", "128"] {
        assert!(end.stderr.contains(part), "no {part:?} in {}", end.stderr);
    }
}

#[test]
fn every_gateway_stays_off_the_core_of_a_scheduler_that_spins() {
    let server = start(&["--scheduler", "spin"]);
    let mut allowed = std::collections::BTreeMap::new();
    for task in fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap() {
        let status = fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line[name.len()..].trim().to_owned()
        };
        allowed.insert(field("Name:"), field("Cpus_allowed_list:"));
    }
    let core = allowed["scheduler"].clone();
    assert!(core.parse::<usize>().is_ok(), "the scheduler is not pinned: {allowed:?}");
    let gateways: Vec<_> = (0..GATEWAYS).map(|at| allowed[&format!("gateway-{at}")].clone()).collect();
    if allowed.values().all(|list| *list == core) {
        println!("only one core: nothing to stay off");
        return;
    }
    for list in gateways {
        let on = list.split(',').any(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let core: usize = core.parse().unwrap();
            (first.parse().unwrap()..=last.parse().unwrap()).contains(&core)
        });
        assert!(!on, "{allowed:?}");
    }
}

#[test]
fn executions_of_all_gateways_are_listed_in_one_order_page_by_page() {
    let server = start(&[]);
    server.register(&warm("many", "echo").with("queueSize", 200));
    let mut clients = a_client_of_each(&server);
    // An uneven share for each: 0 1 2 0 0 0 1 1 …
    let mut admitted: Vec<String> = Vec::new();
    for number in 0..120 {
        let gateway = [0, 1, 2, 0, 0, 0, 1, 1][number % 8];
        admitted.push(clients[gateway].enqueue("many", number));
    }
    admitted.reverse();
    for limit in [1, 7, 40, 120] {
        let mut listed = Vec::new();
        let mut query = format!("function=many&limit={limit}");
        let mut asked = 0;
        loop {
            // Each gateway hands the call to control, and operators come there at once.
            let client = if asked % 4 == 3 { &mut server.operator() } else { &mut clients[asked % 4] };
            let page = client.get(&format!("/v1/executions?{query}")).json();
            let ids = page["executions"].as_array().unwrap().iter();
            listed.extend(ids.map(|execution| execution["executionId"].as_str().unwrap().to_owned()));
            asked += 1;
            let Some(cursor) = page["nextCursor"].as_str() else { break };
            query = format!("function=many&limit={limit}&cursor={cursor}");
            clients[asked % GATEWAYS].enqueue("many", "\"later\"");
        }
        assert_eq!(listed, admitted, "limit {limit}");
        admitted = found_all(&server);
    }
}

/// All executions of the function `many`.
fn found_all(server: &Server) -> Vec<String> {
    let page = server.operator().get("/v1/executions?function=many&limit=500").json();
    assert_eq!(page["nextCursor"], json!(null));
    let ids = page["executions"].as_array().unwrap().iter();
    ids.map(|execution| execution["executionId"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn who_waits_through_another_gateway_and_goes_has_left() {
    let server = start(&[]);
    let endpoint = Endpoint::listen();
    server.register(&pool("held", endpoint.url()).with("concurrency", 1));
    let [mut first, mut second, _] = a_client_of_each(&server);
    let mut operator = server.operator();
    let running = first.enqueue("held", 1);
    let request = endpoint.next();
    for through_control in [false, true] {
        let [mut invoker, mut reader, _] = a_client_of_each(&server);
        if through_control {
            reader = server.operator();
        }
        invoker.ask_invoke("held", "", 2);
        let id = eventually("it is in line", || {
            let page = operator.get("/v1/executions?function=held&status=queued").json();
            page["executions"][0]["executionId"].as_str().map(str::to_owned)
        });
        assert_eq!(gateway_of(&id), 0);
        reader.ask(&format!("GET /v1/executions/{id}?wait=60"), "", "");
        // A call that comes the same way after it is answered after it has begun to wait.
        let behind = if through_control { &mut operator } else { &mut second };
        assert_eq!(behind.get(&format!("/v1/executions/{id}")).json()["status"], "queued");
        invoker.hang_up();
        // Someone else waits for it still.
        assert_eq!(second.get(&format!("/v1/executions/{id}?wait=1")).json()["status"], "queued");
        reader.hang_up();
        let cancelled = eventually("nobody waits for it", || {
            let execution = second.get(&format!("/v1/executions/{id}")).json();
            (execution["status"] != "queued").then_some(execution)
        });
        assert_eq!(cancelled["status"], "cancelled", "{cancelled}");
        assert_eq!(cancelled["error"]["code"], "CANCELLED");
    }
    request.answer(200, "1");
    assert_eq!(first.ended(&running)["status"], "success");
}

#[test]
fn the_time_of_a_request_with_a_key_runs_from_its_head_on_whichever_gateway_has_the_key() {
    let server = start(&[]);
    // Of so many keys some belong to another gateway than the one that the connection is at.
    let clients: Vec<_> = (0..8)
        .map(|key| {
            let mut client = server.client();
            client.send(format!(
                "POST /v1/functions/{BYSTANDER}:invoke HTTP/1.1\r\nhost: localhost\r\nx-timeout-ms: 200\r\nidempotency-key: k{key}\r\ncontent-length: 11\r\n\r\n"
            ));
            client
        })
        .collect();
    let_pass(Duration::from_secs(2));
    for mut client in clients {
        client.send("{\"input\":1}");
        client.receive().assert_error(504, "TIMEOUT", "gateway", &["X-Timeout-Ms"]);
    }
}
