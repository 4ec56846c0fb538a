//! The text of `/metrics`, with few and many functions: those that nobody calls, and those that were called, which
//! have histograms.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use picofaas::internals::metrics::{
    FunctionGauges, FunctionSnapshot, MetricsByGateway, MetricsSnapshot, TickHistogramCells, render,
};

/// As in the program itself.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The numbers of so many functions on one gateway.
fn functions(count: usize, are_called: bool) -> Vec<FunctionSnapshot> {
    let function = |number| {
        let metrics = Arc::new(MetricsByGateway::new(1));
        if are_called {
            let of = &metrics.0[0];
            [&of.enqueued, &of.dispatched, &of.success].into_iter().for_each(|count| count.add(1_234_567));
            for histogram in [&of.latency, &of.queue_wait, &of.execution, &of.overhead] {
                [60_000, 120_000, 900_000, 14_000_000].into_iter().for_each(|ns| histogram.observe(ns));
            }
        }
        let gauges = FunctionGauges { queue_depth: 3, in_flight: 2, replicas: 1, ready_replicas: 1 };
        FunctionSnapshot { name: format!("function-{number:05}"), metrics, gauges, standby: None }
    };
    (0..count).map(function).collect()
}

fn scrape(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("scrape");
    let tick_times = TickHistogramCells::default();
    for (kind, are_called) in [("idle", false), ("called", true)] {
        for count in [1, 100, 10_000] {
            let snapshot = MetricsSnapshot {
                functions: functions(count, are_called),
                families: Vec::new(),
                executions_retained: 7,
                connections: 4,
                scheduler_parked: true,
                scheduler_ticks: 5,
                tick_times: &tick_times,
            };
            group.throughput(Throughput::Bytes(render(&snapshot).len() as u64));
            // A text of 10,000 functions takes long.
            group.sample_size(if count > 100 { 10 } else { 100 });
            group.bench_function(BenchmarkId::new(kind, format!("functions={count}")), |b| {
                b.iter(|| render(black_box(&snapshot)));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, scrape);
criterion_main!(benches);
