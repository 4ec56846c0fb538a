//! The queue of a function: what a gateway and the scheduler do with it for one ticket, and its refusal.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use picofaas::internals::queue::FunctionQueue;
use picofaas::internals::scheduler::{Capacity, Rings};
use picofaas::internals::ticket::Ticket;

fn queue(criterion: &mut Criterion) {
    let rings = Rings::new(Capacity { gateways: 1, slots: 16, versions: 16 }).expect("rings");
    let mut group = criterion.benchmark_group("queue");
    let ticket = Ticket::new(0, 1, 1);
    for size in [1, 1024] {
        let shape = format!("size={size}");
        let queue = FunctionQueue::new(size);
        group.bench_function(BenchmarkId::new("credit", &shape), |b| {
            b.iter(|| {
                assert!(black_box(&queue).take_credit());
                queue.return_credit();
            });
        });
        // The function has been announced, and the scheduler has not looked since.
        assert_eq!(queue.push(ticket), Ok(true));
        assert_eq!(queue.pop(), Some(ticket));
        group.bench_function(BenchmarkId::new("push-pop", &shape), |b| {
            b.iter(|| {
                assert_eq!(black_box(&queue).push(black_box(ticket)), Ok(false));
                assert_eq!(queue.pop(), Some(ticket));
            });
        });
        queue.clear_announced();
        group.bench_function(BenchmarkId::new("push-announce-pop", &shape), |b| {
            b.iter(|| {
                assert_eq!(black_box(&queue).push(black_box(ticket)), Ok(true));
                rings.ready.push(0).expect("room to announce");
                assert_eq!(rings.ready.pop(), Some(0));
                queue.clear_announced();
                assert_eq!(queue.pop(), Some(ticket));
            });
        });
        while queue.take_credit() {}
        group.bench_function(BenchmarkId::new("full", &shape), |b| {
            b.iter(|| assert!(!black_box(&queue).take_credit()));
        });
    }
    group.finish();
}

criterion_group!(benches, queue);
criterion_main!(benches);
