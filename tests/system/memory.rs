//! Bodies held in memory are bounded by the flag that says so.

use crate::support::bystander::while_others_are_served;
use crate::support::endpoint::Endpoint;
use crate::support::server::{BYSTANDER, Server};
use crate::support::specification::{With, pool};

const MIB: usize = 1 << 20;
const PAYLOAD_BYTES_MAX: usize = 64 * MIB;
/// Beside the payloads: what is being read and written, and what the allocator keeps of it.
const OVERHEAD_BYTES_MAX: usize = 32 * MIB;
/// Each may hold half of what the others leave.
const HOARDERS: usize = 6;

fn resident_bytes(server: &Server) -> usize {
    let bytes = server.scrape().series("process_resident_memory_bytes").unwrap();
    format!("{bytes:.0}").parse().unwrap()
}

#[test]
fn bodies_are_taken_up_to_their_limit_and_not_beyond_and_every_one_taken_is_served() {
    let server = Server::start(&["--max-payload-bytes", &PAYLOAD_BYTES_MAX.to_string()]);
    let endpoint = Endpoint::listen();
    for at in 0..HOARDERS {
        let hoarder = pool(&format!("hoarder-{at}"), endpoint.url());
        server.register(&hoarder.with("concurrency", 1).with("queueSize", 1000));
    }
    let before = resident_bytes(&server);
    let mut client = server.client();
    // The whole body is 1 MiB, the most that is taken.
    let frame = "{\"input\":\"\"}".len();
    let body = format!("{{\"input\":\"{}\"}}", "x".repeat(MIB - frame));
    let ids = while_others_are_served(&server, || {
        let mut ids = Vec::new();
        for at in 0..HOARDERS {
            loop {
                let answer = client.call(&format!("POST /v1/functions/hoarder-{at}:enqueue"), "", &body);
                if answer.status != 202 {
                    answer.assert_refused(503, "PAYLOAD_BYTES_FULL", &["--max-payload-bytes"]);
                    assert!(answer.header("retry-after").is_some(), "{answer:?}");
                    break;
                }
                ids.push(answer.json()["executionId"].as_str().unwrap().to_owned());
            }
        }
        ids
    });
    let full = resident_bytes(&server);
    println!("{} bodies of 1 MiB: {} MiB before, {} MiB now", ids.len(), before / MIB, full / MIB);
    // 32 + 16 + 8 + 4 + 2 + 1, less what the bystander holds.
    assert!(ids.len() >= PAYLOAD_BYTES_MAX / MIB * 3 / 4, "only {} fit", ids.len());
    assert!(full < before + PAYLOAD_BYTES_MAX + OVERHEAD_BYTES_MAX, "{before} became {full} bytes");
    while_others_are_served(&server, || {
        for _ in &ids {
            let request = endpoint.next();
            assert_eq!(request.body.len(), MIB);
            request.answer(200, "\"served\"");
        }
        for id in &ids {
            assert_eq!(client.ended(id)["output"], "served");
        }
    });
    let after = resident_bytes(&server);
    println!("{} MiB after", after / MIB);
    assert!(after < before + PAYLOAD_BYTES_MAX + OVERHEAD_BYTES_MAX, "{before} became {after} bytes");
    // Their memory is free again.
    let again = client.call("POST /v1/functions/hoarder-0:enqueue", "", &body);
    assert_eq!(again.status, 202, "{again:?}");
    endpoint.next().answer(200, "\"again\"");
}

#[test]
fn outputs_that_are_kept_are_held_in_no_more_memory_than_they_are_long() {
    const OUTPUTS: usize = 64;
    let server = Server::start(&[]);
    let mut client = server.client();
    let frame = "{\"input\":\"\"}".len();
    let text = "x".repeat(MIB - frame);
    let body = format!("{{\"input\":\"{text}\"}}");
    let chunked = |size: usize| {
        let chunks = body
            .as_bytes()
            .chunks(size)
            .map(|chunk| format!("{:x}\r\n{}\r\n", chunk.len(), std::str::from_utf8(chunk).unwrap()));
        format!(
            "POST /v1/functions/{BYSTANDER}:enqueue HTTP/1.1\r\nhost: localhost\r\n\
             transfer-encoding: chunked\r\n\r\n{}0\r\n\r\n",
            chunks.collect::<String>()
        )
    };
    let before = resident_bytes(&server);
    for at in 0..OUTPUTS {
        // Half of the bodies are of a length that nobody announced.
        let answer = if at % 2 == 0 {
            client.call(&format!("POST /v1/functions/{BYSTANDER}:enqueue"), "", &body)
        } else {
            client.send(chunked(10_000));
            client.receive()
        };
        assert_eq!(answer.status, 202, "{answer:?}");
        let id = answer.json()["executionId"].as_str().unwrap().to_owned();
        assert_eq!(client.ended(&id)["output"].as_str().map(str::len), Some(text.len()));
    }
    let after = resident_bytes(&server);
    println!("{OUTPUTS} outputs of 1 MiB: {} MiB before, {} MiB now", before / MIB, after / MIB);
    assert!(after > before + OUTPUTS * MIB / 2, "they are not kept: {before} became {after} bytes");
    assert!(after < before + OUTPUTS * MIB + OVERHEAD_BYTES_MAX, "{before} became {after} bytes");
}
