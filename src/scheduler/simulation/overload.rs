//! More comes than can be done: the scheduler between arrivals of a given shape and instances of a given speed.
//!
//! Arrivals, times of service and deadlines are lists of numbers, the clock is a number, and the scheduler, its rings
//! and the gate are the real ones. Capacity is 8 attempts at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::dice::Dice;
use crate::attempt_end::AttemptEnd;
use crate::clock::{NANOS_PER_MS as MS, Nanos};
use crate::instance::InstanceKey;
use crate::queue::function_queue::FunctionQueue;
use crate::queue_order::QueueOrder;
use crate::scheduler::message::{EndReason, GatewayCommand, GatewayEvent, SchedulerCommand};
use crate::scheduler::rings::{Capacity, Rings};
use crate::scheduler::scheduled_version::{ScheduledVersion, VersionLimits};
use crate::scheduler::tick::Scheduler;
use crate::ticket::Ticket;

pub(super) const S: Nanos = 1000 * MS;
const SLOTS: usize = 8192;
pub(super) const LIMITS: VersionLimits = VersionLimits {
    concurrency: 8,
    instance_concurrency: 8,
    max_retries: 0,
    retry_backoff_ns: 0,
    retry_max_backoff_ns: 0,
    attempt_timeout_ns: 3600 * S,
    single_use: false,
    instances_max: 1,
    can_start: false,
    drop_unreachable: true,
    queue_order: QueueOrder::Fifo,
};

/// One invocation.
#[derive(Clone, Copy)]
pub(super) struct ModelCall {
    pub at: Nanos,
    /// Time that an attempt takes.
    pub takes: Nanos,
    /// Time until its deadline.
    pub time: Nanos,
}

/// End of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Answered {
        at: Nanos,
    },
    /// Refused at admission.
    Refused,
    /// Ended before it was begun.
    Dropped,
    TimedOut,
}

pub(super) struct World {
    rings: Arc<Rings>,
    scheduler: Scheduler,
    queue: Arc<FunctionQueue>,
    now: Nanos,
    next_wake: Nanos,
    free: Vec<u32>,
    generations: Vec<u32>,
    /// Calls by their ticket.
    calls: BTreeMap<u64, usize>,
    /// Running attempts by their end.
    running: BTreeMap<(Nanos, u64), Ticket>,
    fates: Vec<Option<Fate>>,
    /// Calls that are still to come, by their time.
    arrivals: BTreeSet<(Nanos, usize)>,
    /// Pause after which a call that was not begun comes again, and how often each may.
    again: Option<Nanos>,
    tries_left: Vec<u8>,
    /// Calls that have ended, and may be released.
    over: Vec<Ticket>,
}

impl World {
    fn new(limits: VersionLimits) -> Self {
        let rings = Arc::new(Rings::new(Capacity { gateways: 1, slots: SLOTS, versions: 1 }).unwrap());
        let scheduler = Scheduler::new(rings.clone(), 1);
        let queue = Arc::new(FunctionQueue::new(4096));
        let version = Box::new(ScheduledVersion::new(0, queue.clone(), limits));
        rings.send_command(SchedulerCommand::Open { version }).unwrap();
        let instance = InstanceKey { version: 0, place: 0, generation: 1 };
        rings.send_command(SchedulerCommand::Ready { instance, started: false }).unwrap();
        Self {
            rings,
            scheduler,
            queue,
            now: 0,
            next_wake: 0,
            free: (0..u32::try_from(SLOTS).unwrap()).collect(),
            generations: vec![0; SLOTS],
            calls: BTreeMap::new(),
            running: BTreeMap::new(),
            fates: Vec::new(),
            arrivals: BTreeSet::new(),
            again: None,
            tries_left: Vec::new(),
            over: Vec::new(),
        }
    }

    /// The fates of the calls.
    pub(super) fn run(limits: VersionLimits, calls: &[ModelCall]) -> Vec<Fate> {
        Self::run_again(limits, calls, None, 0)
    }

    /// The same where each that was not begun comes again after a pause, so many times.
    fn run_again(limits: VersionLimits, calls: &[ModelCall], again: Option<Nanos>, tries: u8) -> Vec<Fate> {
        let mut world = Self::new(limits);
        world.fates = vec![None; calls.len()];
        world.arrivals = calls.iter().enumerate().map(|(index, call)| (call.at, index)).collect();
        (world.again, world.tries_left) = (again, vec![tries; calls.len()]);
        loop {
            let arrives = world.arrivals.first().map_or(Nanos::MAX, |(at, _)| *at);
            let ends = world.running.keys().next().map_or(Nanos::MAX, |(at, _)| *at);
            let at = arrives.min(ends).min(world.next_wake);
            if at == Nanos::MAX {
                break;
            }
            world.now = world.now.max(at);
            if at == arrives {
                if let Some((_, index)) = world.arrivals.pop_first() {
                    world.admit(index, calls[index]);
                }
            } else if at == ends {
                world.answer();
            }
            world.tick(calls);
        }
        world.fates.into_iter().map(|fate| fate.expect("a call without an end")).collect()
    }

    /// A call was not begun: it comes again, or that is its end.
    fn was_not_begun(&mut self, index: usize, fate: Fate) {
        match self.again.filter(|_| self.tries_left[index] > 0) {
            Some(pause) => {
                self.tries_left[index] -= 1;
                self.arrivals.insert((self.now + pause, index));
            }
            None => assert_eq!(self.fates[index].replace(fate), None, "two ends of a call"),
        }
    }

    fn admit(&mut self, index: usize, call: ModelCall) {
        if self.queue.wait_beyond(call.time, self.now + call.time).is_some() || !self.queue.take_credit() {
            return self.was_not_begun(index, Fate::Refused);
        }
        let slot = self.free.pop().expect("a slot");
        let generation = &mut self.generations[slot as usize];
        *generation += 1;
        let ticket = Ticket::new(0, slot, *generation);
        self.rings.signals(ticket).write(self.now + call.time, 0);
        self.calls.insert(id(ticket), index);
        if self.queue.push(ticket).unwrap() {
            self.rings.ready.push(0).unwrap();
        }
    }

    /// The attempt that ends first is answered.
    fn answer(&mut self) {
        let Some((_, ticket)) = self.running.pop_first() else { return };
        self.fates[self.calls[&id(ticket)]] = Some(Fate::Answered { at: self.now });
        self.end_attempt(ticket, AttemptEnd::Answered);
    }

    fn end_attempt(&mut self, ticket: Ticket, how: AttemptEnd) {
        self.rings.gateway_events.push(GatewayEvent::AttemptEnded { ticket, how }).unwrap();
        self.over.push(ticket);
    }

    fn tick(&mut self, calls: &[ModelCall]) {
        loop {
            let summary = self.scheduler.tick(self.now);
            while let Some(command) = self.rings.gateways[0].commands.pop() {
                self.obey(command, calls);
            }
            if !summary.more && !self.rings.has_work() {
                self.next_wake = summary.next_wake;
                break;
            }
        }
        let Self { calls, free, rings, over, .. } = self;
        over.retain(|ticket| {
            let is_released = rings.signals(*ticket).is_released(ticket.generation());
            if is_released && calls.remove(&id(*ticket)).is_some() {
                free.push(u32::try_from(ticket.slot()).unwrap());
            }
            !is_released
        });
    }

    fn obey(&mut self, command: GatewayCommand, calls: &[ModelCall]) {
        match command {
            GatewayCommand::Run { ticket, .. } => {
                let takes = calls[self.calls[&id(ticket)]].takes;
                self.running.insert((self.now + takes, id(ticket)), ticket);
            }
            GatewayCommand::Abort { .. } => panic!("an attempt has all of the time"),
            GatewayCommand::End { ticket, why } => {
                let fate = match why {
                    EndReason::Unreachable { .. } => Fate::Dropped,
                    EndReason::Timeout
                    | EndReason::Exhausted
                    | EndReason::NoInstance
                    | EndReason::FunctionRemoved => Fate::TimedOut,
                };
                let index = self.calls[&id(ticket)];
                match fate {
                    Fate::Dropped => self.was_not_begun(index, fate),
                    Fate::Answered { .. } | Fate::Refused | Fate::TimedOut => {
                        assert_eq!(self.fates[index].replace(fate), None, "two ends of a call");
                    }
                }
                self.over.push(ticket);
                let running = self.running.iter().find(|(_, running)| **running == ticket).map(|(at, _)| *at);
                if let Some(at) = running {
                    assert_ne!(fate, Fate::Dropped, "a call was dropped that runs");
                    self.running.remove(&at);
                    self.end_attempt(ticket, AttemptEnd::Failed);
                }
            }
        }
    }
}

fn id(ticket: Ticket) -> u64 {
    ticket.to_bits()
}

/// Calls for so long, so many a second, at random intervals.
pub(super) fn arrivals(dice: &mut Dice, from: Nanos, to: Nanos, per_second: u64) -> Vec<Nanos> {
    let mut at = from;
    let mut arrivals = Vec::new();
    while at < to {
        arrivals.push(at);
        let pause = (-((dice.below(1 << 30) + 1) as f64 / (1_u64 << 30) as f64).ln() * 1e9
            / per_second as f64) as u64;
        at += pause.max(1);
    }
    arrivals
}

/// A call of 4 ms to 6 ms with 100 ms of time: 1600 of these can be done in a second.
fn short(dice: &mut Dice, at: Nanos) -> ModelCall {
    ModelCall { at, takes: 4 * MS + dice.below(2 * MS), time: 100 * MS }
}

/// Calls of 5 ms that can be done in a second.
pub(super) const CAPACITY: u64 = 1600;

fn answered(fates: &[Fate]) -> usize {
    fates.iter().filter(|fate| matches!(fate, Fate::Answered { .. })).count()
}

#[test]
fn overload_costs_a_function_hardly_any_of_its_capacity() {
    let mut dice = Dice::new(1);
    for (load, answered_min) in [(75, 0.99 * 0.75), (200, 0.9), (400, 0.9)] {
        let calls: Vec<ModelCall> = arrivals(&mut dice, S, 11 * S, CAPACITY * load / 100)
            .into_iter()
            .map(|at| short(&mut dice, at))
            .collect();
        let fates = World::run(LIMITS, &calls);
        let good = answered(&fates) as f64 / (CAPACITY * 10) as f64;
        let count = |wanted| fates.iter().filter(|fate| **fate == wanted).count();
        let (refused, dropped) = (count(Fate::Refused), count(Fate::Dropped));
        println!(
            "{load} %: {good:.3} of the capacity, {refused} refused, {dropped} dropped, {} timed out",
            count(Fate::TimedOut)
        );
        assert!(good >= answered_min, "{good} of the capacity at {load} %");
        if load > 100 {
            let before = World::run(VersionLimits { drop_unreachable: false, ..LIMITS }, &calls);
            let before = answered(&before) as f64 / (CAPACITY * 10) as f64;
            assert!(
                before < 0.5,
                "without the gate {before} of the capacity at {load} %: the load is no overload"
            );
            assert!(refused > 0 && dropped > 0, "{refused} refused, {dropped} dropped");
        }
    }
}

/// Each order, with the gate.
const WITH_GATE: [VersionLimits; 3] = [
    LIMITS,
    VersionLimits { queue_order: QueueOrder::Lifo, ..LIMITS },
    VersionLimits { queue_order: QueueOrder::Deadline, ..LIMITS },
];

#[test]
fn callers_who_come_back_at_once_take_nothing_from_each_other() {
    for limits in WITH_GATE {
        let mut dice = Dice::new(2);
        let calls: Vec<ModelCall> =
            arrivals(&mut dice, S, 6 * S, CAPACITY * 2).into_iter().map(|at| short(&mut dice, at)).collect();
        let fates = World::run_again(limits, &calls, Some(MS), 50);
        let good = answered(&fates) as f64 / (CAPACITY * 5) as f64;
        assert!(good >= 0.9, "{good} of the capacity, {:?}", limits.queue_order);
    }
}

#[test]
fn deadlines_of_a_millisecond_and_of_a_day_take_nothing_from_others() {
    const DAY: Nanos = 24 * 3600 * S;
    for limits in WITH_GATE {
        let mut dice = Dice::new(6);
        // Calls that can end in time are nine tenths of what can be done.
        let kinds = [(50, MS), (70, 100 * MS), (20, DAY)];
        let calls: Vec<ModelCall> = kinds
            .into_iter()
            .flat_map(|(load, time)| {
                let at = arrivals(&mut dice, S, 6 * S, CAPACITY * load / 100);
                at.into_iter().map(move |at| ModelCall { at, takes: 5 * MS, time })
            })
            .collect();
        let fates = World::run(limits, &calls);
        let share = |wanted: Nanos| -> f64 {
            let of = calls.iter().zip(&fates).filter(|(call, _)| call.time == wanted);
            let of: Vec<Fate> = of.map(|(_, fate)| *fate).collect();
            answered(&of) as f64 / of.len() as f64
        };
        let order = limits.queue_order;
        println!(
            "{order:?}: {:.4} of 1 ms, {:.4} of 100 ms, {:.4} of a day",
            share(MS),
            share(100 * MS),
            share(DAY)
        );
        assert_eq!(share(MS), 0.0, "{order:?}");
        assert!(share(100 * MS) >= 0.97, "{order:?}: {}", share(100 * MS));
        assert_eq!(share(DAY), 1.0, "{order:?}");
    }
}

#[test]
fn a_function_that_was_slow_for_ten_seconds_serves_everybody_within_a_second() {
    let cases = [(60 * MS, 100 * MS), (S, 100 * MS), (30 * S, 100 * MS), (30 * S, 2 * S)];
    for (limits, (slow, time)) in WITH_GATE.into_iter().flat_map(|limits| cases.map(|case| (limits, case))) {
        let mut dice = Dice::new(3);
        let calls: Vec<ModelCall> = arrivals(&mut dice, S, 25 * S, CAPACITY / 2)
            .into_iter()
            .map(|at| ModelCall {
                takes: if (5 * S..15 * S).contains(&at) { slow } else { 5 * MS },
                time,
                at,
            })
            .collect();
        let fates = World::run(limits, &calls);
        let beside = calls.iter().zip(&fates).filter(|(call, _)| (7 * S..15 * S).contains(&call.at));
        let beside: Vec<Fate> = beside.map(|(_, fate)| *fate).collect();
        if slow < time {
            // As many as it can do while it is slow.
            let possible = 8.0 * (8 * S / slow) as f64;
            let good = answered(&beside) as f64 / possible;
            println!("{:?}: {good:.2} of what it can do while it is slow", limits.queue_order);
            assert!(good >= 0.8, "{good} while it is slow, {:?}", limits.queue_order);
        }
        // Calls that were begun while it was slow end by their deadline.
        let from = 15 * S + time.max(S);
        let after: Vec<Fate> =
            calls.iter().zip(&fates).filter(|(call, _)| call.at >= from).map(|(_, fate)| *fate).collect();
        assert_eq!(answered(&after), after.len(), "slow {slow}, time {time}, {:?}", limits.queue_order);
    }
}

#[test]
fn a_function_with_fast_and_slow_calls_loses_none_of_the_fast_ones_by_the_gate() {
    for per_second in [50, 100, 200] {
        let mut dice = Dice::new(4);
        let calls: Vec<ModelCall> = arrivals(&mut dice, S, 21 * S, per_second)
            .into_iter()
            .map(|at| ModelCall { at, takes: if dice.one_in(2) { MS } else { S }, time: 100 * MS })
            .collect();
        let fast = calls.iter().filter(|call| call.takes == MS).count();
        let good =
            |drop_unreachable| answered(&World::run(VersionLimits { drop_unreachable, ..LIMITS }, &calls));
        let (with, without) = (good(true), good(false));
        println!("{per_second}/s: of {fast} fast ones {with} with the gate, {without} without");
        assert!(with * 100 >= without * 99, "{with} with the gate, {without} without, at {per_second}/s");
        assert!(per_second > 100 || with * 10 >= fast * 9, "{with} of {fast} at {per_second}/s");
    }
}
