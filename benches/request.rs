//! The head of the request to an instance, as it is written into a connection's memory for each attempt. The body
//! behind it is the client's and is not copied.

mod bodies;
mod world;

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use picofaas::internals::dispatch::write_head;
use picofaas::internals::gateway::BodySource;
use picofaas::internals::instance::{Address, InstanceStart, Target};

use world::{FUNCTION, WARM, World, head, parts, poll, routed};

const TRACE_PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn request(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("request");
    let address =
        Address::new(1, InstanceStart::default(), Target::Unix("echo.sock".into()), "localhost", "/invoke");
    let traced = head(":invoke")
        .header("traceparent", TRACE_PARENT)
        .header("tracestate", "vendor=00f067aa0ba902b7")
        .header("idempotency-key", "order-4711");
    for (passed_on, head) in [(0, head(":invoke")), (3, traced)] {
        let world = World::new(WARM, &[]);
        let parts = parts(head);
        let body = BodySource::Whole(Bytes::from(bodies::invocation(bodies::SMALL)));
        let mut call = Box::pin(world.gateway.invoke(FUNCTION, routed(&parts), body));
        assert!(poll(&mut call).is_pending(), "it was not admitted");
        let ticket = world.function.queue.pop().expect("a ticket");
        let mut head = Vec::with_capacity(512);
        let mut write = || {
            world.gateway.executions.with(ticket, |id, execution| {
                write_head(&mut head, black_box(&address), execution, id, 9999);
                head.len()
            })
        };
        let bytes = write().expect("an execution");
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(BenchmarkId::new("head", format!("passed-on={passed_on}")), |b| {
            b.iter(|| assert_eq!(write(), Some(bytes)));
        });
    }
    group.finish();
}

criterion_group!(benches, request);
criterion_main!(benches);
