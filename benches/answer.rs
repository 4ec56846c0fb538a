//! The head of an instance's answer, parsed where it was read.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use picofaas::internals::dispatch::{ParsedHead, parse_head};

/// Headers that a function may answer with and that mean nothing to picofaas.
const FURTHER: &str = "Server: uvicorn\r\nCache-Control: no-store, max-age=0\r\nX-Request-Id: 4bf92f3577b34da6a3ce929d0e0e4736\r\nVary: Accept-Encoding\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n";

fn answer(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("answer");
    let plain = "Content-Type: application/json\r\nContent-Length: 16\r\n".to_owned();
    let all = format!(
        "Date: Tue, 01 Jul 2025 10:00:00 GMT\r\nConnection: keep-alive\r\nX-Cold-Start: true\r\nX-Init-Duration-Ms: 12\r\n{FURTHER}{plain}"
    );
    for headers in [plain, all] {
        let count = headers.lines().count();
        let head = format!("HTTP/1.1 200 OK\r\n{headers}\r\n");
        group.throughput(Throughput::Bytes(head.len() as u64));
        group.bench_function(BenchmarkId::new("head", format!("headers={count}")), |b| {
            b.iter(|| {
                let parsed = parse_head(black_box(head.as_bytes()));
                assert!(matches!(parsed, Ok(ParsedHead::Whole(_))), "{parsed:?}");
            });
        });
        let half = head.len() / 2;
        group.bench_function(BenchmarkId::new("half-a-head", format!("headers={count}")), |b| {
            b.iter(|| {
                let parsed = parse_head(black_box(&head.as_bytes()[..half]));
                assert!(matches!(parsed, Ok(ParsedHead::Partial)), "{parsed:?}");
            });
        });
    }
    group.finish();
}

criterion_group!(benches, answer);
criterion_main!(benches);
