//! Ten thousand functions.

use crate::support::bystander::while_others_are_served;
use crate::support::client::Client;
use crate::support::endpoint::Endpoint;
use crate::support::patience::{Stopwatch, eventually};
use crate::support::server::{BYSTANDER, Server, command};
use crate::support::specification::{pool, warm};

const FUNCTIONS: usize = 10_000;
const MIB: f64 = (1 << 20) as f64;
/// Bytes that may be left of ten thousand functions that were deleted: pages of which a little is in use, and
/// maps that have grown.
const LEFT_BYTES_MAX: f64 = 16.0 * MIB;

fn resident_bytes(server: &Server) -> f64 {
    server.scrape().series("process_resident_memory_bytes").unwrap()
}

fn register_all(client: &mut Client, url: &str) {
    let watch = Stopwatch::start();
    for at in 0..FUNCTIONS {
        let answer = client.post("/v1/functions", pool(&format!("f-{at}"), url));
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    let took = watch.elapsed();
    println!("{FUNCTIONS} registered in {took:?}: {:.0} per second", FUNCTIONS as f64 / took.as_secs_f64());
}

fn delete_all(client: &mut Client) {
    for at in 0..FUNCTIONS {
        let answer = client.delete(&format!("/v1/functions/f-{at}"));
        assert_eq!(answer.status, 204, "{answer:?}");
    }
}

#[test]
fn ten_thousand_functions_come_and_go_and_their_memory_with_them() {
    // Freed memory is given back at once, so that all resident memory is in use; when the allocator would do it by
    // itself is a matter of chance.
    let mut command = command();
    command.env("MIMALLOC_PURGE_DELAY", "0");
    let anywhere = "127.0.0.1:0";
    let flags = ["--allow-local-exec", "--max-functions", "10001"];
    let server = Server::start_by(command, anywhere, anywhere, &flags);
    server.register(&warm(BYSTANDER, "echo"));
    let endpoint = Endpoint::listen();
    let mut client = server.client();
    let start = resident_bytes(&server);
    while_others_are_served(&server, || {
        // The first time also grows what stays: maps, stacks, the allocator's own.
        register_all(&mut client, &endpoint.url());
        delete_all(&mut client);
        let before = resident_bytes(&server);
        register_all(&mut client, &endpoint.url());
        let full = resident_bytes(&server);
        let listed = client.get("/v1/functions").json();
        assert_eq!(listed["functions"].as_array().unwrap().len(), FUNCTIONS + 1);
        client.ask_invoke("f-9999", "", 1);
        endpoint.next().answer(200, "\"the last\"");
        assert_eq!(client.receive().output(), "the last");
        delete_all(&mut client);
        let after = eventually("the memory of deleted functions is given back", || {
            let now = resident_bytes(&server);
            (now < before + LEFT_BYTES_MAX).then_some(now)
        });
        println!(
            "resident: {:.1} MiB at first, {:.1} MiB before, {:.1} MiB with {FUNCTIONS} functions, {:.1} MiB after",
            start / MIB,
            before / MIB,
            full / MIB,
            after / MIB
        );
        assert!(after - start < (full - start) / 2.0, "what was deleted twice is still there");
    });
    assert!(!server.scrape().text().contains("\"f-"), "a deleted function is still measured");
    let listed = server.client().get("/v1/functions").json();
    assert_eq!(listed["functions"].as_array().unwrap().len(), 1);
}
