//! Corners that random steps hardly reach: full rings and numbers at their end.

use std::sync::Arc;

use crate::attempt_end::AttemptEnd;
use crate::instance::InstanceKey;
use crate::queue::function_queue::FunctionQueue;
use crate::queue_order::QueueOrder;
use crate::scheduler::message::{EndReason, GatewayCommand, GatewayEvent, SchedulerCommand, SchedulerEvent};
use crate::scheduler::rings::{Capacity, Rings};
use crate::scheduler::scheduled_version::{ScheduledVersion, VersionLimits};
use crate::scheduler::tick::Scheduler;
use crate::ticket::Ticket;

const LIMITS: VersionLimits = VersionLimits {
    concurrency: 4,
    instance_concurrency: 4,
    max_retries: 0,
    retry_backoff_ns: 0,
    retry_max_backoff_ns: 0,
    attempt_timeout_ns: u64::MAX,
    single_use: false,
    instances_max: 2,
    can_start: false,
    drop_unreachable: false,
    queue_order: QueueOrder::Deadline,
};

/// The rings of one gateway, and a scheduler with one version, which it opens on its first tick.
fn world(queue_size: u32) -> (Arc<Rings>, Scheduler, Arc<FunctionQueue>) {
    let rings = Arc::new(Rings::new(Capacity { gateways: 1, slots: 1000, versions: 1 }).unwrap());
    let scheduler = Scheduler::new(rings.clone(), 1);
    let queue = Arc::new(FunctionQueue::new(queue_size));
    let version = Box::new(ScheduledVersion::new(0, queue.clone(), LIMITS));
    rings.send_command(SchedulerCommand::Open { version }).unwrap();
    (rings, scheduler, queue)
}

fn admit(rings: &Rings, queue: &FunctionQueue, slot: u32, deadline: u64) -> Ticket {
    let ticket = Ticket::new(0, slot, 1);
    assert!(queue.take_credit());
    rings.signals(ticket).write(deadline, 0);
    if queue.push(ticket).unwrap() {
        rings.ready.push(0).unwrap();
    }
    ticket
}

const FIRST: InstanceKey = InstanceKey { version: 0, place: 0, generation: 1 };

#[test]
fn closing_a_version_with_a_long_ring_does_not_flood_the_ready_ring() {
    let (rings, mut scheduler, queue) = world(1000);
    scheduler.tick(0);
    for slot in 0..1000 {
        admit(&rings, &queue, slot, 1_000_000_000);
    }
    rings.send_command(SchedulerCommand::Close { version: 0 }).unwrap();
    while scheduler.tick(0).more {}
    assert!(matches!(rings.scheduler_events.pop(), Some(SchedulerEvent::VersionClosed { .. })));
    assert_eq!(std::iter::from_fn(|| rings.gateways[0].commands.pop()).count(), 1000);
}

#[test]
fn a_deadline_at_the_end_of_time_keeps_nobody_awake() {
    let (rings, mut scheduler, queue) = world(8);
    scheduler.tick(1_000_000);
    rings.send_command(SchedulerCommand::Starting { version: 0, count: 1 }).unwrap();
    admit(&rings, &queue, 0, u64::MAX);
    admit(&rings, &queue, 1, 70_000_000);
    let mut ticks = 0;
    while scheduler.tick(1_000_000).more {
        ticks += 1;
        assert!(ticks < 10, "the scheduler spins on a timer that is not due");
    }
    while scheduler.tick(70_000_000).more {
        ticks += 1;
        assert!(ticks < 20, "the scheduler spins on a timer that is not due");
    }
    assert!(
        matches!(rings.gateways[0].commands.pop(), Some(GatewayCommand::End { .. })),
        "the other timer was starved"
    );
}

#[test]
fn an_instance_that_is_down_and_ready_again_counts_what_still_runs_on_it() {
    let (rings, mut scheduler, queue) = world(8);
    rings.send_command(SchedulerCommand::Ready { instance: FIRST, started: false }).unwrap();
    let ticket = admit(&rings, &queue, 0, 1_000_000_000);
    scheduler.tick(0);
    rings.send_command(SchedulerCommand::Down { instance: FIRST }).unwrap();
    rings.send_command(SchedulerCommand::Ready { instance: FIRST, started: false }).unwrap();
    scheduler.tick(0);
    rings.gateway_events.push(GatewayEvent::AttemptEnded { ticket, how: AttemptEnd::Done }).unwrap();
    scheduler.tick(0);
    assert!(rings.signals(ticket).is_released(1));
}

#[test]
fn a_new_version_knows_nothing_of_the_times_of_the_one_before() {
    const MS: u64 = 1_000_000;
    for is_replaced in [false, true] {
        let capacity = Capacity { gateways: 1, slots: 1000, versions: 2 };
        let rings = Arc::new(Rings::new(capacity).unwrap());
        let mut scheduler = Scheduler::new(rings.clone(), 1);
        let queue = Arc::new(FunctionQueue::new(1000));
        let open = |index, queue: &Arc<FunctionQueue>| {
            let limits = VersionLimits { concurrency: 1, drop_unreachable: true, ..LIMITS };
            let version = Box::new(ScheduledVersion::new(index, queue.clone(), limits));
            rings.send_command(SchedulerCommand::Open { version }).unwrap();
            let instance = InstanceKey { version: index, place: 0, generation: 1 };
            rings.send_command(SchedulerCommand::Ready { instance, started: false }).unwrap();
        };
        open(0, &queue);
        let ended = |ticket| {
            let event = GatewayEvent::AttemptEnded { ticket, how: AttemptEnd::Answered };
            rings.gateway_events.push(event).unwrap();
        };
        let mut now = 0;
        for slot in 0..30 {
            let ticket = admit(&rings, &queue, slot, now + 1000 * MS);
            while scheduler.tick(now).more {}
            assert!(matches!(rings.gateways[0].commands.pop(), Some(GatewayCommand::Run { .. })));
            now += 100 * MS;
            ended(ticket);
            while scheduler.tick(now).more {}
        }
        let runs = admit(&rings, &queue, 100, now + 10_000 * MS);
        while scheduler.tick(now).more {}
        assert!(matches!(rings.gateways[0].commands.pop(), Some(GatewayCommand::Run { .. })));
        let late = admit(&rings, &queue, 101, now + 250 * MS);
        admit(&rings, &queue, 102, now + 10_000 * MS);
        if is_replaced {
            open(1, &Arc::new(FunctionQueue::new(1000)));
            rings.send_command(SchedulerCommand::Succeed { old: 0, new: 1 }).unwrap();
        }
        while scheduler.tick(now).more {}
        now += 200 * MS;
        ended(runs);
        while scheduler.tick(now).more {}
        match rings.gateways[0].commands.pop() {
            Some(GatewayCommand::Run { ticket, instance, .. }) => {
                assert_eq!((ticket, instance.version, is_replaced), (late, 1, true));
            }
            Some(GatewayCommand::End { ticket, why: EndReason::Unreachable { .. } }) => {
                assert_eq!((ticket, is_replaced), (late, false));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn while_a_version_hands_over_its_queue_admits_no_more_than_it_has_left_or_the_new_one_can_take() {
    for (old_size, waiting, new_size, admitted) in [(8, 8, 3, 0), (8, 6, 3, 2), (8, 2, 3, 7), (8, 7, 20, 14)]
    {
        let capacity = Capacity { gateways: 1, slots: 1000, versions: 2 };
        let rings = Arc::new(Rings::new(capacity).unwrap());
        let mut scheduler = Scheduler::new(rings.clone(), 1);
        let [old, new] = [old_size, new_size].map(|size| Arc::new(FunctionQueue::new(size)));
        for (index, queue) in [(0, &old), (1, &new)] {
            rings
                .send_command(SchedulerCommand::Open {
                    version: Box::new(ScheduledVersion::new(index, queue.clone(), LIMITS)),
                })
                .unwrap();
            rings.send_command(SchedulerCommand::Starting { version: index, count: 1 }).unwrap();
        }
        for slot in 0..waiting {
            admit(&rings, &old, slot, 1_000_000_000);
        }
        scheduler.tick(0);
        rings.send_command(SchedulerCommand::Succeed { old: 0, new: 1 }).unwrap();
        while scheduler.tick(0).more {}
        // Gateways go on pushing there until they are told.
        let mut came = 0;
        while old.credits() > 0 && came < 100 {
            admit(&rings, &old, waiting + came, 1_000_000_000);
            while scheduler.tick(0).more {}
            scheduler.audit(|version| if version == 0 { old_size } else { new_size });
            came += 1;
        }
        assert_eq!(came, admitted, "{waiting} of {old_size} waited, {new_size} places in the new queue");
        rings.send_command(SchedulerCommand::Close { version: 0 }).unwrap();
        while scheduler.tick(0).more {}
        assert!(matches!(rings.scheduler_events.pop(), Some(SchedulerEvent::VersionClosed { .. })));
        scheduler.audit(|_| new_size);
    }
}
