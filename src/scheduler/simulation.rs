//! A seeded simulation of the scheduler between gateways and control.
//!
//! One thread plays everybody: the gateways and control are models that use the real
//! rings as real gateways and control must, the clock is a number, and the scheduler is the real one.
//! It is ticked as its thread would tick it: when something was published for it, when its last
//! pass asked for more, or when the time it gave for its next wake has come; and sometimes late.
//!
//! `PICOFAAS_SEED` repeats one run; the seed of a failure is printed with it.

mod act;
mod control;
mod corner;
mod dice;
mod gateway;
mod kept_places;
mod orders;
mod overload;
mod runs;
mod seen_lines;
mod seen_times;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::message::{EndReason, GatewayCommand, GatewayEvent, SchedulerCommand, SchedulerEvent};
use super::rings::{Capacity, Rings};
use super::tick::{
    COMMANDS_PER_TICK, EVENTS_PER_TICK, GRANTS_PER_VERSION, QUEUES_PER_TICK, Scheduler, TICKETS_PER_QUEUE,
    TIMERS_PER_TICK, TickSummary, VERSIONS_PER_TICK,
};
use crate::attempt_end::AttemptEnd;
use crate::clock::{NANOS_PER_MS, Nanos};
use crate::instance::VersionIndex;
use control::{ModelControl, SentCommand};
use dice::Dice;
use gateway::{ModelGateway, id, ticket_of};
use kept_places::KeptPlaces;
use seen_lines::SeenLines;
use seen_times::SeenTimes;

/// Work that one tick may do at most.
const WORK_MAX: usize = COMMANDS_PER_TICK
    + EVENTS_PER_TICK
    + QUEUES_PER_TICK * TICKETS_PER_QUEUE
    + TIMERS_PER_TICK as usize
    + VERSIONS_PER_TICK * GRANTS_PER_VERSION;
/// How late an execution may become terminal.
const LATE_MAX: Nanos = 5 * NANOS_PER_MS;

/// How large a run is.
#[derive(Clone, Copy)]
struct Scale {
    steps: u64,
    slots: usize,
    versions: usize,
    /// No queue is longer, no function wider than a quarter of it.
    size_max: u64,
    /// Executions admitted, commands sent and events sent in one burst.
    burst: u64,
    /// Functions and instances hardly change, time passes in small steps, and deadlines are short.
    is_calm: bool,
    /// Steps between two looks into the tables.
    audit_every: u64,
}

struct Simulation {
    dice: Dice,
    scale: Scale,
    now: Nanos,
    step: u64,
    ticks: u64,
    rings: Arc<Rings>,
    scheduler: Scheduler,
    gateways: Vec<ModelGateway>,
    control: ModelControl,
    /// Something was published for the scheduler since its last tick began.
    published: bool,
    summary: TickSummary,
    /// Steps in which it does not come to tick.
    stalled: u64,
    /// Messages on the rings of gateway events and of scheduler commands.
    sent_events: VecDeque<GatewayEvent>,
    sent_commands: VecDeque<SentCommand>,
    /// Attempts in flight, as the scheduler's messages have them.
    in_flight: BTreeMap<u64, u32>,
    on_instance: BTreeMap<(VersionIndex, u16, u32), u32>,
    kept: KeptPlaces,
    times: SeenTimes,
    lines: SeenLines,
    /// Instances that may be granted, and those that may not be any more.
    grantable: BTreeSet<(VersionIndex, u16, u32)>,
    gone: BTreeSet<(VersionIndex, u16, u32)>,
    removed: BTreeSet<u64>,
    /// How often each thing happened.
    seen: BTreeMap<&'static str, u64>,
}

impl Simulation {
    fn new(seed: u64, scale: Scale) -> Self {
        let capacity = Capacity { gateways: 2, slots: scale.slots, versions: scale.versions };
        let rings = Arc::new(Rings::new(capacity).unwrap());
        let scheduler = Scheduler::new(rings.clone(), seed);
        let control = ModelControl {
            free: (0..u32::try_from(scale.versions).unwrap()).collect(),
            ..ModelControl::default()
        };
        Self {
            dice: Dice::new(seed),
            scale,
            now: 0,
            step: 0,
            ticks: 0,
            rings,
            scheduler,
            gateways: (0..2).map(|index| ModelGateway::new(index, scale.slots)).collect(),
            control,
            published: false,
            summary: TickSummary { work: 0, more: false, next_wake: u64::MAX },
            stalled: 0,
            sent_events: VecDeque::new(),
            sent_commands: VecDeque::new(),
            in_flight: BTreeMap::new(),
            on_instance: BTreeMap::new(),
            kept: KeptPlaces::default(),
            times: SeenTimes::default(),
            lines: SeenLines::default(),
            grantable: BTreeSet::new(),
            gone: BTreeSet::new(),
            removed: BTreeSet::new(),
            seen: BTreeMap::new(),
        }
    }

    fn saw(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    /// Whether the scheduler's thread would be awake.
    fn is_awake(&self) -> bool {
        self.published || self.summary.more || self.now >= self.summary.next_wake
    }

    fn send(&mut self, event: GatewayEvent) {
        self.rings.gateway_events.push(event).expect("the event ring is full");
        self.sent_events.push_back(event);
        self.published = true;
    }

    fn send_command(&mut self, command: SchedulerCommand) {
        let sent = SentCommand::of(&command);
        self.rings.send_command(command).expect("the command ring is full");
        self.sent_commands.push_back(sent);
        self.published = true;
    }

    // ---- what the scheduler does ----

    fn tick(&mut self) {
        self.published = false;
        self.summary = self.scheduler.tick(self.now);
        self.ticks += 1;
        assert!(self.summary.work <= WORK_MAX, "a tick of {} messages", self.summary.work);
        let commands = self.sent_commands.len() - self.rings.scheduler_commands.len();
        let events = self.sent_events.len() - self.rings.gateway_events.len();
        assert!(commands <= COMMANDS_PER_TICK, "{commands} commands in a tick");
        assert!(events <= EVENTS_PER_TICK, "{events} events in a tick");
        for command in self.sent_commands.drain(..commands).collect::<Vec<_>>() {
            self.scheduler_command_was_taken(command);
        }
        for event in self.sent_events.drain(..events).collect::<Vec<_>>() {
            self.gateway_event_was_taken(event);
        }
        while let Some(event) = self.rings.scheduler_events.pop() {
            self.scheduler_event_came(&event);
            self.control.inbox.push_back(event);
        }
        for step in std::mem::take(&mut self.scheduler.line_steps) {
            self.lines.step(step, &self.control, self.now);
        }
        let mut runs = BTreeMap::<VersionIndex, usize>::new();
        let mut drops = Vec::new();
        for gateway in 0..self.gateways.len() {
            while let Some(command) = self.rings.gateways[gateway].commands.pop() {
                self.gateway_command_came(gateway, command);
                match command {
                    GatewayCommand::Run { instance, .. } => *runs.entry(instance.version).or_default() += 1,
                    GatewayCommand::End { ticket, why: EndReason::Unreachable { .. } } => drops.push(ticket),
                    GatewayCommand::Abort { .. } | GatewayCommand::End { .. } => {}
                }
                self.gateways[gateway].inbox.push_back(command);
            }
        }
        assert!(
            runs.values().all(|n| *n <= GRANTS_PER_VERSION),
            "one version had more than its turn: {runs:?}"
        );
        for ticket in drops {
            let execution = self.gateways[ticket.gateway()].execution(ticket).expect("a drop of nothing");
            self.times.check_drop(execution, &self.control, self.now);
            self.lines.check_drop(ticket);
        }
        self.note_started_budgets();
    }

    fn scheduler_command_was_taken(&mut self, command: SentCommand) {
        match command {
            SentCommand::Opened { version } => {
                // Commands for the version that had the index before came to nothing.
                self.gone.retain(|(index, ..)| *index != version);
                self.grantable.retain(|(index, ..)| *index != version);
                self.times.forget(version);
                self.lines.forget(version);
            }
            SentCommand::Succeeded { old } => {
                if let Some(old) = self.control.versions.get_mut(&old) {
                    old.over = true;
                }
            }
            SentCommand::Closed { version } => {
                self.control.versions.get_mut(&version).unwrap().over = true;
                self.grantable.retain(|(index, ..)| *index != version);
            }
            SentCommand::Ready { instance } => {
                if !self.gone.contains(&id(instance)) {
                    self.grantable.insert(id(instance));
                }
            }
            SentCommand::Gone { instance } => {
                self.gone.insert(id(instance));
                self.grantable.remove(&id(instance));
            }
            SentCommand::Other => {}
        }
    }

    fn gateway_event_was_taken(&mut self, event: GatewayEvent) {
        let ticks = self.ticks;
        let (ticket, ended) = match event {
            GatewayEvent::AttemptEnded { ticket, how } => (ticket, Some(how)),
            GatewayEvent::Cancelled { ticket } => (ticket, None),
            GatewayEvent::InstanceSilent { .. } => return,
            GatewayEvent::PlaceKept { instance } => return self.kept.was_kept(instance),
            GatewayEvent::PlaceFreed { instance } => return self.kept.was_freed(instance),
        };
        let Some(execution) = self.gateways[ticket.gateway()].execution(ticket) else {
            assert!(ended.is_none(), "{ticket:?} was released during an attempt");
            return;
        };
        if execution.terminal {
            execution.settled_in.get_or_insert(ticks);
        }
        if let Some(how) = ended {
            let key = execution.flying.take().expect("an attempt ends that was not granted");
            execution.was_begun |= how != AttemptEnd::Unsent;
            self.times.ended(key, execution, how, self.now);
            let function = execution.function;
            *self.in_flight.get_mut(&function).unwrap() -= 1;
            *self.on_instance.get_mut(&id(key)).unwrap() -= 1;
        }
    }

    fn scheduler_event_came(&mut self, event: &SchedulerEvent) {
        match event {
            SchedulerEvent::InstanceWanted { version } => {
                assert!(self.control.versions[version].limits.can_start, "a start was asked of a pool");
                self.saw("start");
            }
            SchedulerEvent::InstanceSuspect { instance } => {
                self.grantable.remove(&id(*instance));
                self.saw("suspect");
            }
            SchedulerEvent::InstanceIdle { instance } => {
                assert_eq!(
                    self.on_instance.get(&id(*instance)).copied().unwrap_or(0),
                    0,
                    "retired while busy"
                );
                self.gone.insert(id(*instance));
                self.grantable.remove(&id(*instance));
                self.saw("retired");
            }
            SchedulerEvent::VersionClosed { version } => {
                let model = &self.control.versions[&version.index];
                assert!(model.close_sent, "version {} closed by itself", version.index);
                let credits = model.queue.credits() + version.forfeited_credits;
                assert_eq!(credits, model.queue_size, "credits of a closed version");
                assert_eq!(model.queue.on_ring(), 0, "tickets on the ring of a closed version");
                let busy = self.on_instance.iter().any(|((index, ..), n)| *index == version.index && *n > 0);
                assert!(!busy, "version {} closed during an attempt", version.index);
                self.on_instance.retain(|(index, ..), _| *index != version.index);
                self.kept.version_closed(version.index);
                self.saw("closed");
            }
        }
    }

    fn gateway_command_came(&mut self, gateway: usize, command: GatewayCommand) {
        let (now, ticks) = (self.now, self.ticks);
        let ticket = ticket_of(command);
        assert_eq!(ticket.gateway(), gateway, "{command:?} for another gateway");
        let execution = self.gateways[gateway].execution(ticket).expect("a command for a stale ticket");
        assert!(!execution.ended, "{command:?} after the end");
        let function = execution.function;
        match command {
            GatewayCommand::Run { instance, attempt, .. } => {
                assert_eq!(execution.settled_in, None, "{command:?} of a terminal execution");
                assert_eq!(execution.flying.replace(instance), None, "{command:?} during an attempt");
                execution.granted = now;
                assert!((1..=11).contains(&attempt), "{command:?}");
                let model = &self.control.versions[&instance.version];
                assert_eq!(model.function, function, "{command:?} of another function");
                assert!(!model.over, "{command:?} from a version that is over");
                assert!(
                    self.grantable.contains(&id(instance)),
                    "{command:?} to an instance that is not ready"
                );
                let flying = self.in_flight.entry(function).or_default();
                *flying += 1;
                assert!(*flying <= model.limits.concurrency, "{command:?} over the concurrency");
                let there = self.on_instance.entry(id(instance)).or_default();
                *there += 1;
                let kept = self.kept.at(instance);
                assert!(*there + kept <= model.room_at(instance.place), "{command:?} over the instance's");
                self.use_up(instance);
                self.saw(if attempt > 1 { "retried" } else { "run" });
            }
            GatewayCommand::Abort { .. } => {
                assert_eq!(execution.settled_in, None, "{command:?} of a terminal execution");
                assert!(execution.flying.is_some(), "{command:?} without an attempt");
                self.times.stopped(execution, now);
                self.saw("abort");
            }
            GatewayCommand::End { why, .. } => {
                // One that the gateway settled may have ended earlier in the same tick.
                assert!(
                    execution.settled_in.is_none_or(|tick| tick == ticks),
                    "{command:?} after it was settled"
                );
                execution.ended = true;
                self.times.stopped(execution, now);
                if why == EndReason::Timeout {
                    assert!(
                        now >= execution.deadline,
                        "{command:?} at {now}, its deadline is {}",
                        execution.deadline
                    );
                }
                if why == EndReason::FunctionRemoved {
                    assert!(self.removed.contains(&function), "{command:?} though its function is there");
                }
                self.saw(match why {
                    EndReason::Timeout => "timeout",
                    EndReason::Exhausted => "exhausted",
                    EndReason::NoInstance => "no instance",
                    EndReason::FunctionRemoved => "function removed",
                    EndReason::Unreachable { .. } => "unreachable",
                });
            }
        }
    }

    /// The deadline of an asynchronous execution changes when it is first dispatched, or when
    /// it uses up its first attempt without an instance.
    fn note_started_budgets(&mut self) {
        let Self { gateways, scheduler, now, .. } = self;
        for slot in gateways.iter_mut().flat_map(|gateway| gateway.slots.iter_mut()) {
            if let Some(execution) = slot.execution.as_mut().filter(|execution| execution.run_budget > 0)
                && let Some((deadline, 0)) = scheduler.terms_of(execution.ticket)
            {
                assert_eq!(
                    deadline,
                    *now + execution.run_budget,
                    "the time to run of {:?}",
                    execution.ticket
                );
                execution.deadline = deadline;
                execution.run_budget = 0;
            }
        }
    }

    // ---- what must hold ----

    fn check(&self) {
        let asleep = !self.is_awake() && self.gateways.iter().all(|g| g.owes_announcement.is_none());
        for execution in self.gateways.iter().flat_map(ModelGateway::executions) {
            let ticket = execution.ticket;
            if self.rings.signals(ticket).is_released(ticket.generation()) {
                assert!(execution.terminal || execution.ended, "{ticket:?} was released before its end");
                assert!(
                    execution.flying.is_none() && !execution.attempt_open,
                    "{ticket:?} was released in flight"
                );
            }
            if asleep && !execution.terminal && !execution.ended {
                assert!(self.now <= execution.deadline + LATE_MAX, "{ticket:?} outlived its deadline");
            }
        }
        if asleep {
            for (index, model) in &self.control.versions {
                assert_eq!(model.queue.on_ring(), 0, "asleep with a ticket on the ring of version {index}");
            }
        }
        if self.step.is_multiple_of(self.scale.audit_every) {
            self.audit();
        }
    }

    fn audit(&self) {
        self.scheduler.audit(|version| self.control.versions[&version].queue_size);
    }

    fn run(&mut self) {
        if self.scale.is_calm {
            self.open_all();
        }
        while self.step < self.scale.steps {
            self.step += 1;
            self.act();
            // A thread that others keep off its core ticks late.
            if self.dice.one_in(50) {
                self.stalled = self.dice.below(20);
            }
            self.stalled = self.stalled.saturating_sub(1);
            while self.stalled == 0 && self.is_awake() && !self.dice.one_in(4) {
                self.tick();
            }
            self.check();
        }
        self.drain();
    }

    /// Nothing new comes: all that was accepted ends, and everything is given back.
    fn drain(&mut self) {
        self.remove_everything();
        for _ in 0..100_000 {
            let nothing_left =
                self.control.versions.is_empty() && self.gateways.iter().all(|g| g.executions().count() == 0);
            if nothing_left && !self.is_awake() {
                break;
            }
            self.settle_everything();
            while self.is_awake() {
                self.tick();
            }
            self.check();
            if self.summary.next_wake != u64::MAX {
                self.now = self.now.max(self.summary.next_wake);
            }
        }
        assert!(self.control.versions.is_empty(), "versions were not given back");
        assert!(self.gateways.iter().all(|g| g.executions().count() == 0), "slots were not released");
        assert!(self.scheduler.is_empty(), "the scheduler's tables are not empty");
        assert!(self.in_flight.values().all(|n| *n == 0), "attempts in flight while idle");
        assert_eq!(self.summary.next_wake, u64::MAX, "a timer is left");
        self.audit();
    }
}
