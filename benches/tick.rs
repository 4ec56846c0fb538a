//! One pass of the scheduler: idle, and for one invocation, with few and many functions open.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use picofaas::internals::attempt_end::AttemptEnd;
use picofaas::internals::clock::Clock;
use picofaas::internals::instance::InstanceKey;
use picofaas::internals::queue::FunctionQueue;
use picofaas::internals::queue_order::QueueOrder;
use picofaas::internals::scheduler::{
    Capacity, GatewayCommand, GatewayEvent, Rings, ScheduledVersion, Scheduler, SchedulerCommand,
    VersionLimits,
};
use picofaas::internals::ticket::Ticket;

const LIMITS: VersionLimits = VersionLimits {
    concurrency: 64,
    instance_concurrency: 64,
    max_retries: 3,
    retry_backoff_ns: 1_000_000,
    retry_max_backoff_ns: 1_000_000_000,
    attempt_timeout_ns: 30_000_000_000,
    single_use: false,
    instances_max: 4,
    can_start: true,
    drop_unreachable: true,
    queue_order: QueueOrder::Deadline,
};

/// A scheduler with this many functions open, each with one ready instance; the first one's queue.
fn world(functions: u32) -> (Arc<Rings>, Scheduler, Arc<FunctionQueue>) {
    let capacity = Capacity { gateways: 1, slots: 1024, versions: functions as usize };
    let rings = Arc::new(Rings::new(capacity).expect("rings"));
    let mut scheduler = Scheduler::new(rings.clone(), 1);
    let queue = Arc::new(FunctionQueue::new(64));
    for index in 0..functions {
        let queue = if index == 0 { queue.clone() } else { Arc::new(FunctionQueue::new(64)) };
        let version = Box::new(ScheduledVersion::new(index, queue, LIMITS));
        let instance = InstanceKey { version: index, place: 0, generation: 1 };
        for command in
            [SchedulerCommand::Open { version }, SchedulerCommand::Ready { instance, started: false }]
        {
            rings.scheduler_commands.push(command).expect("room for a command");
        }
        while scheduler.tick(1).more {}
    }
    (rings, scheduler, queue)
}

/// Cost of asking what time it is: each pass that had something to do asks once more, to be timed.
fn clock(criterion: &mut Criterion) {
    let clock = Clock::start();
    criterion.bench_function("clock/now", |b| b.iter(|| black_box(clock.now())));
}

fn tick(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("tick");
    for functions in [10, 10_000] {
        let (rings, mut scheduler, queue) = world(functions);
        let mut now = 1_000_000;
        group.bench_function(BenchmarkId::new("idle", format!("functions={functions}")), |b| {
            b.iter(|| {
                now += 1000;
                black_box(scheduler.tick(now))
            });
        });
        let mut generation = 0;
        group.bench_function(BenchmarkId::new("invocation", format!("functions={functions}")), |b| {
            b.iter(|| {
                now += 1000;
                generation += 1;
                let ticket = Ticket::new(0, generation % 1024, generation);
                assert!(queue.take_credit());
                rings.signals(ticket).write(now + 5_000_000_000, 0);
                if queue.push(ticket).expect("a credit is a place") {
                    rings.ready.push(0).expect("room to announce");
                }
                scheduler.tick(now);
                assert!(matches!(rings.gateways[0].commands.pop(), Some(GatewayCommand::Run { .. })));
                rings
                    .gateway_events
                    .push(GatewayEvent::AttemptEnded { ticket, how: AttemptEnd::Done })
                    .expect("room for an event");
                black_box(scheduler.tick(now))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, clock, tick);
criterion_main!(benches);
