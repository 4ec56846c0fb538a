//! Admission: from the parsed head of an `:invoke` and its body to the ticket on its function's queue, and the
//! refusal of a full queue.
//!
//! `admit/invoke` is the first poll of the call: `Gateway::admit` and `Gateway::enqueue`, with the scheduler looked
//! at and not run. The scheduler, and the end of the call, have their turn outside of the measurement.

mod bodies;
mod world;

use std::task::Poll;

use bytes::Bytes;
use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use picofaas::internals::gateway::BodySource;

use world::{FUNCTION, WARM, World, head, parts, poll, routed};

/// Calls that are admitted before the scheduler has its turn.
const CALLS: u64 = 64;

/// Slots of the store: so few that it is soon full of ended executions, as that of a busy server is.
const SLOTS: &[&str] = &["--max-executions", "1024"];

fn admit(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("admit");
    for size in [bodies::SMALL, 10_240, 262_144] {
        let body = Bytes::from(bodies::invocation(size));
        let mut world = World::new(WARM, SLOTS);
        let gateway = world.gateway.clone();
        let parts = parts(head(":invoke"));
        let request = routed(&parts);
        group.bench_function(BenchmarkId::new("invoke", format!("bytes={}", body.len())), |b| {
            b.iter_batched(
                || {
                    world.tick();
                    Box::pin(gateway.invoke(FUNCTION, request, BodySource::Whole(body.clone())))
                },
                |mut call| {
                    assert!(poll(&mut call).is_pending(), "it was not admitted");
                    call
                },
                BatchSize::NumIterations(CALLS),
            );
        });
    }
    let world = World::new(WARM, SLOTS);
    while world.function.queue.take_credit() {}
    let parts = parts(head(":invoke"));
    let request = routed(&parts);
    let body = Bytes::from(bodies::invocation(bodies::SMALL));
    group.bench_function(BenchmarkId::new("refuse", "queue=full"), |b| {
        b.iter_batched(
            || Box::pin(world.gateway.invoke(FUNCTION, request, BodySource::Whole(body.clone()))),
            |mut call| match poll(&mut call) {
                Poll::Ready(answer) => assert_eq!(answer.status(), 429),
                Poll::Pending => panic!("it was admitted"),
            },
            BatchSize::NumIterations(CALLS),
        );
    });
    group.finish();
}

criterion_group!(benches, admit);
criterion_main!(benches);
