//! The scheduler's own thread: its spin policies, its pinning, its sleep.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::thread::CpuSet;

use super::rings::Rings;
use super::tick::Scheduler;
use crate::clock::{Clock, Nanos};
use crate::config::Spin;

/// Loops of spinning between two looks at the clock.
const SPINS_PER_LOOK: u32 = 64;
/// Longest sleep (ns). Who sets a timer for later than its end, as most deadlines are, wakes nobody for that.
const SLEEP_MAX: Nanos = 10_000_000_000;

/// Runs the scheduler until `stop` is set and its thread unparked.
///
/// `core` is the CPU to stay on, where the policy pins.
pub(crate) fn run(
    rings: &Arc<Rings>,
    scheduler: Scheduler,
    clock: Clock,
    spin: Spin,
    core: Option<usize>,
    stop: &AtomicBool,
) {
    if let Some(core) = core {
        let mut set = CpuSet::new();
        set.set(core);
        // Refused only where the CPU went away since it was chosen; then it runs unpinned.
        let _ = rustix::thread::sched_setaffinity(None, &set);
    }
    let mut scheduler = Box::new(scheduler);
    let mut last_work = clock.now();
    while !stop.load(Ordering::Acquire) {
        let summary = rings.tick(&mut scheduler, || clock.now());
        let now = clock.now();
        if summary.work > 0 || summary.more {
            last_work = now;
            continue;
        }
        let patience = match spin {
            Spin::Always => u64::MAX,
            Spin::Then(patience) => patience,
        };
        if now - last_work < patience {
            spin_for_a_while(rings);
            continue;
        }
        scheduler = sleep(rings, scheduler, clock, summary.next_wake);
        last_work = clock.now();
    }
}

fn spin_for_a_while(rings: &Rings) {
    for _ in 0..SPINS_PER_LOOK {
        if rings.has_work() {
            return;
        }
        std::hint::spin_loop();
    }
}

/// Leaves the scheduler in the rings, parks, and takes it out again.
fn sleep(rings: &Rings, scheduler: Box<Scheduler>, clock: Clock, wake_at: Nanos) -> Box<Scheduler> {
    let wake_at = wake_at.min(clock.now() + SLEEP_MAX);
    rings.wakes_at.store(wake_at, Ordering::Relaxed);
    rings.idle_scheduler.store(Some(scheduler));
    rings.doorbell.fall_asleep();
    if !rings.has_work() {
        // A gateway may have ticked since the scheduler was left there, and have set a sooner timer.
        let wake_at = rings.wakes_at.load(Ordering::Relaxed);
        let now = clock.now();
        if wake_at > now {
            std::thread::park_timeout(Duration::from_nanos(wake_at - now));
        }
    }
    rings.doorbell.wake_up();
    loop {
        if let Some(scheduler) = rings.idle_scheduler.take() {
            return scheduler;
        }
        // A gateway is in the middle of a tick, which is bounded.
        std::hint::spin_loop();
    }
}
