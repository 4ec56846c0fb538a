//! Functions whose calls come in waves, simulated: how long calls wait, and what the instances cost.
//!
//! `cargo test -p picofaas --lib scaling::simulation -- --nocapture` prints the figures of docs/elasticity.md. Calls come at
//! random (Poisson) at a rate that changes, or in groups besides, and take 1 s on average (exponential); an instance
//! takes one at a time, and its start a time that is the same for all but a tenth. The queue, the choice of an instance,
//! the scheduler's asking for instances and the end of idle ones are modelled as the scheduler has them; the rule is the
//! real one. Everything is drawn from a fixed seed.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::capacity::{CapacityBounds, CapacityRule, Load};
use crate::clock::Nanos;
use crate::instances::start_times::StartTimes;

const MS: Nanos = 1_000_000;
const SECOND: Nanos = 1000 * MS;
/// Period of the looks of the control thread.
const LOOK: Nanos = 100 * MS;
const SERVICE_MEAN_NS: f64 = 1e9;
/// Instances that there may be.
const MAX: u32 = 100;
const MIN: u32 = 1;
const IDLE: Nanos = 20 * SECOND;
/// Time before anything is counted. What the first calls of all have started has gone by then.
const WARM_UP: Nanos = 60 * SECOND;

/// Random numbers: xorshift64* (S. Vigna, 2016).
struct Draws(u64);

impl Draws {
    /// A number in (0, 1].
    fn unit(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }

    /// An exponential number of this mean.
    fn exponential(&mut self, mean: f64) -> f64 {
        -self.unit().ln() * mean
    }
}

/// Course of the rate of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    /// 10 a second, which become 50 within 10 s and go on for 10 s.
    Ramp,
    /// 10 a second, and 50 from one moment on.
    Step,
    /// 10 a second, and 20 at once every 15 s.
    Burst,
    /// Between 5 and 45 a second and back, in five minutes.
    Diurnal,
}

impl Course {
    const ALL: [Course; 4] = [Course::Ramp, Course::Step, Course::Burst, Course::Diurnal];

    /// Time until the last call.
    fn length(self) -> Nanos {
        match self {
            Course::Ramp | Course::Step => WARM_UP + 25 * SECOND,
            Course::Burst => WARM_UP + 90 * SECOND,
            Course::Diurnal => WARM_UP + 300 * SECOND,
        }
    }

    /// Calls in a second, at most [`Course::RATE_MAX`].
    fn rate(self, at: Nanos) -> f64 {
        let seconds = at.saturating_sub(WARM_UP) as f64 / 1e9;
        match self {
            Course::Ramp => 10.0 + 4.0 * (seconds - 5.0).clamp(0.0, 10.0),
            Course::Step => {
                if seconds < 5.0 {
                    10.0
                } else {
                    50.0
                }
            }
            Course::Burst => 10.0,
            Course::Diurnal => 25.0 - 20.0 * (seconds * std::f64::consts::TAU / 300.0).cos(),
        }
    }

    const RATE_MAX: f64 = 50.0;

    /// The calls: when each comes and how long it takes, in the order of their coming.
    fn calls(self) -> Vec<(Nanos, Nanos)> {
        let mut draws = Draws(0x9E37_79B9_7F4A_7C15);
        let (mut calls, mut at) = (Vec::new(), 0.0);
        loop {
            // Thinning (P. A. W. Lewis and G. S. Shedler, 1979).
            at += draws.exponential(1e9 / Self::RATE_MAX);
            let now = at as Nanos;
            if now >= self.length() {
                break;
            }
            if draws.unit() * Self::RATE_MAX <= self.rate(now) {
                calls.push((now, draws.exponential(SERVICE_MEAN_NS) as Nanos));
            }
        }
        if self == Course::Burst {
            for group in (WARM_UP..self.length()).step_by((15 * SECOND) as usize) {
                calls.extend((0..20).map(|_| (group + SECOND, draws.exponential(SERVICE_MEAN_NS) as Nanos)));
            }
            calls.sort_unstable();
        }
        calls
    }
}

/// Rule by which instances are started beside those for calls that wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// None.
    ForCalls,
    ScaleAhead,
    Headroom(u32),
    /// One that knows which calls will come: an instance is there when a call needs it, and goes when none will for as long
    /// as a start takes.
    Oracle,
}

const RULES: [Rule; 5] =
    [Rule::ForCalls, Rule::ScaleAhead, Rule::Headroom(2), Rule::Headroom(5), Rule::Oracle];

/// Outcome of one simulation.
#[derive(Clone, Copy, Debug)]
struct ScalingOutcome {
    wait_p50_ns: Nanos,
    wait_p99_ns: Nanos,
    /// Seconds that instances were there, starting or ready.
    instance_s: f64,
    most: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Ready { began: Nanos },
    Ended { instance: usize },
    Arrives { call: usize },
    Look,
}

#[derive(Clone, Copy)]
struct ModelInstance {
    is_busy: bool,
    last_used: Nanos,
}

struct Model {
    rule: Rule,
    start_ns: Nanos,
    calls: Vec<(Nanos, Nanos)>,
    /// Calls that would be under way at each look and until the next, if none ever waited.
    unhindered: Vec<u32>,
    capacity: CapacityRule,
    starts: StartTimes,
    draws: Draws,
    events: BinaryHeap<Reverse<(Nanos, Event)>>,
    /// By place; `None` where none is.
    instances: Vec<Option<ModelInstance>>,
    starting: u32,
    waiting: VecDeque<usize>,
    admitted: u64,
    waits: Vec<Nanos>,
    instance_ns: f64,
    last: Nanos,
    most: u32,
}

impl Model {
    fn run(course: Course, rule: Rule, start_ns: Nanos) -> ScalingOutcome {
        let bounds = CapacityBounds {
            max: MAX,
            places: 1,
            permits: 1000,
            headroom: if let Rule::Headroom(count) = rule { count } else { 0 },
            scale_ahead: rule == Rule::ScaleAhead,
            idle_ns: IDLE,
        };
        let calls = course.calls();
        let mut model = Model {
            rule,
            start_ns,
            unhindered: unhindered(&calls, course.length()),
            calls,
            capacity: CapacityRule::new(bounds),
            starts: StartTimes::default(),
            draws: Draws(0xD1B5_4A32_D192_ED03),
            events: BinaryHeap::new(),
            instances: vec![None; MAX as usize],
            starting: 0,
            waiting: VecDeque::new(),
            admitted: 0,
            waits: Vec::new(),
            instance_ns: 0.0,
            last: 0,
            most: 0,
        };
        model.events.push(Reverse((0, Event::Look)));
        model.events.push(Reverse((model.calls[0].0, Event::Arrives { call: 0 })));
        (0..MIN).for_each(|_| model.start(0));
        while let Some(Reverse((now, event))) = model.events.pop() {
            if now > course.length() {
                break;
            }
            model.step(event, now);
        }
        model.waits.sort_unstable();
        let percentile = |share: usize| model.waits[(model.waits.len() * share).div_ceil(100) - 1];
        ScalingOutcome {
            wait_p50_ns: percentile(50),
            wait_p99_ns: percentile(99),
            instance_s: model.instance_ns / 1e9,
            most: model.most,
        }
    }

    fn step(&mut self, event: Event, now: Nanos) {
        let since = self.last.max(WARM_UP);
        self.instance_ns += f64::from(self.count()) * now.saturating_sub(since) as f64;
        self.last = now;
        match event {
            Event::Ready { began } => {
                self.starting -= 1;
                self.starts.note(now - began);
                let free = self.instances.iter_mut().find(|place| place.is_none());
                *free.expect("there is a place for each") =
                    Some(ModelInstance { is_busy: false, last_used: now });
            }
            Event::Ended { instance } => {
                let ended = self.instances[instance].as_mut().expect("it is busy");
                *ended = ModelInstance { is_busy: false, last_used: now };
            }
            Event::Arrives { call } => {
                self.waiting.push_back(call);
                self.admitted += 1;
                if let Some((at, _)) = self.calls.get(call + 1) {
                    self.events.push(Reverse((*at, Event::Arrives { call: call + 1 })));
                }
            }
            Event::Look => {
                self.look(now);
                self.events.push(Reverse((now + LOOK, Event::Look)));
            }
        }
        self.grant(now);
        while self.waiting.len() > self.starting as usize && self.count() < MAX {
            self.start(now);
        }
        if now >= WARM_UP {
            self.most = self.most.max(self.count());
        }
    }

    fn ready(&self) -> u32 {
        u32::try_from(self.instances.iter().flatten().count()).unwrap()
    }

    fn count(&self) -> u32 {
        self.ready() + self.starting
    }

    fn start(&mut self, now: Nanos) {
        self.starting += 1;
        let takes = self.start_ns as f64 * (0.9 + 0.2 * self.draws.unit());
        self.events.push(Reverse((now + takes as Nanos, Event::Ready { began: now })));
    }

    fn grant(&mut self, now: Nanos) {
        while let Some(&call) = self.waiting.front() {
            let idle = self.instances.iter_mut().enumerate().filter_map(|(at, place)| {
                place.as_mut().filter(|instance| !instance.is_busy).map(|instance| (at, instance))
            });
            let Some((at, instance)) = idle.max_by_key(|(_, instance)| instance.last_used) else { return };
            *instance = ModelInstance { is_busy: true, last_used: now };
            self.waiting.pop_front();
            let (came, takes) = self.calls[call];
            if came >= WARM_UP {
                self.waits.push(now - came);
            }
            self.events.push(Reverse((now + takes, Event::Ended { instance: at })));
        }
    }

    fn look(&mut self, now: Nanos) {
        let load = Load {
            in_flight: u32::try_from(self.instances.iter().flatten().filter(|one| one.is_busy).count())
                .unwrap(),
            waiting: u32::try_from(self.waiting.len()).unwrap(),
            ready: self.ready(),
            admitted: self.admitted,
        };
        let (mut start_up_to, mut keep, mut idle_before) = (0, MIN, now.saturating_sub(IDLE));
        match self.rule {
            Rule::ForCalls => {}
            Rule::ScaleAhead | Rule::Headroom(_) => {
                let plan = self.capacity.look(load, MIN, self.starts.p90(), now);
                (start_up_to, keep) = (plan.start_up_to, plan.keep);
            }
            Rule::Oracle => {
                let (from, looks) =
                    ((now / LOOK) as usize, (self.start_ns * 11 / 10).div_ceil(LOOK) as usize + 1);
                let soon = self.unhindered.iter().skip(from).take(looks + 1).max();
                start_up_to = soon.copied().unwrap_or(0).max(MIN);
                (keep, idle_before) = (start_up_to, now);
            }
        }
        while self.count() < start_up_to.min(MAX) {
            self.start(now);
        }
        for at in 0..self.instances.len() {
            if self.ready() <= keep || !self.waiting.is_empty() {
                return;
            }
            if self.instances[at].is_some_and(|one| !one.is_busy && one.last_used < idle_before) {
                self.instances[at] = None;
            }
        }
    }
}

/// Calls that are under way at most between one look and the next, if none ever waits.
fn unhindered(calls: &[(Nanos, Nanos)], length: Nanos) -> Vec<u32> {
    let mut changes: Vec<(Nanos, i32)> =
        calls.iter().flat_map(|(came, takes)| [(*came, 1), (came + takes, -1)]).collect();
    changes.sort_unstable();
    let mut highest = vec![0; (length / LOOK) as usize + 2];
    let (mut under_way, mut look) = (0, 0);
    for (at, change) in changes {
        let now = ((at / LOOK) as usize).min(highest.len() - 1);
        highest[look..=now].iter_mut().for_each(|highest| *highest = under_way.max(*highest));
        under_way += change;
        highest[now] = highest[now].max(under_way);
        look = now;
    }
    highest.into_iter().map(|count| u32::try_from(count).unwrap_or(0)).collect()
}

#[test]
fn instances_ahead_halve_the_waits_of_a_ramp_for_less_than_a_third_more_of_instances() {
    println!("| calls | start | rule | wait p50 | wait p99 | instance-seconds | ÷ for calls | most |");
    println!("|---|---|---|---|---|---|---|---|");
    for course in Course::ALL {
        for start_ns in [300 * MS, 3 * SECOND] {
            let outcomes = RULES.map(|rule| (rule, Model::run(course, rule, start_ns)));
            let (_, plain) = outcomes[0];
            for (rule, outcome) in outcomes {
                let ScalingOutcome { wait_p50_ns, wait_p99_ns, instance_s, most } = outcome;
                println!(
                    "| {course:?} | {} s | {rule:?} | {} ms | {} ms | {instance_s:.0} | {:.2} | {most} |",
                    start_ns as f64 / 1e9,
                    wait_p50_ns / MS,
                    wait_p99_ns / MS,
                    instance_s / plain.instance_s,
                );
                if course == Course::Ramp && rule == Rule::ScaleAhead {
                    assert!(wait_p99_ns * 2 <= plain.wait_p99_ns, "{outcome:?} {plain:?}");
                    assert!(instance_s <= 1.3 * plain.instance_s, "{outcome:?} {plain:?}");
                }
            }
        }
    }
}
