//! The protocols around the rings, every interleaving of them.
//!
//! The rings and the cell of the idle scheduler are opaque to loom, so counters and flags stand
//! for them, with the orderings that the real ones have. The doorbell and the announced flag are
//! the real ones.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use loom::thread;

use crate::queue::doorbell::Doorbell;
use crate::queue::function_queue::Announced;

/// A ring as others see it: how many messages are on it.
#[derive(Default)]
struct ModelRing(AtomicUsize);

impl ModelRing {
    fn push(&self) {
        self.push_weighing(1);
    }

    fn push_weighing(&self, weight: usize) {
        self.0.fetch_add(weight, Ordering::SeqCst);
    }

    fn is_empty(&self) -> bool {
        fence(Ordering::SeqCst);
        self.0.load(Ordering::Relaxed) == 0
    }

    fn drain(&self) -> usize {
        if self.is_empty() { 0 } else { self.0.swap(0, Ordering::SeqCst) }
    }
}

#[derive(Default)]
struct ModelQueue {
    ring: ModelRing,
    announced: Announced,
    ready: ModelRing,
}

impl ModelQueue {
    fn gateway_pushes(&self) {
        self.ring.push();
        if self.announced.set() {
            self.ready.push();
        }
    }

    /// The scheduler looks at the queue if it was announced.
    fn scheduler_looks(&self) -> usize {
        if self.ready.drain() == 0 {
            return 0;
        }
        self.announced.clear();
        self.ring.drain()
    }
}

/// The interleaving hunted: a gateway finds the queue announced and announces nothing, while the
/// scheduler has looked at the ring before the gateway's ticket was on it.
#[test]
fn no_ticket_is_left_on_a_ring_that_nobody_announced() {
    loom::model(|| {
        let queue = Arc::new(ModelQueue::default());
        let gateways: Vec<_> = (0..2)
            .map(|_| {
                let queue = queue.clone();
                thread::spawn(move || queue.gateway_pushes())
            })
            .collect();
        let mut taken = queue.scheduler_looks() + queue.scheduler_looks();
        gateways.into_iter().for_each(|gateway| gateway.join().unwrap());
        taken += queue.scheduler_looks() + queue.scheduler_looks();
        assert_eq!(taken, 2, "a ticket is on the ring, and no announcement of it");
    });
}

/// The scheduler has no timer, or the one that a message makes it set.
const NEVER: u64 = u64::MAX;
const TIMER: u64 = 5;
/// Weight of a message that sets no timer, and of one that sets one.
const WITHOUT_TIMER: usize = 1;
const WITH_TIMER: usize = 2;

/// `Rings::wake_or_tick` and the sleep of the scheduler's thread, line by line.
struct ModelRings {
    ring: ModelRing,
    bell: Doorbell,
    /// Whether the scheduler is idle and can be taken.
    idle_scheduler: AtomicBool,
    wakes_at: AtomicU64,
    /// The scheduler's next timer; belongs to the thread that has taken the scheduler.
    timer: AtomicU64,
    /// The scheduler's thread was unparked.
    token: AtomicBool,
}

impl ModelRings {
    fn asleep() -> Self {
        let bell = Doorbell::new();
        bell.fall_asleep();
        Self {
            ring: ModelRing::default(),
            bell,
            idle_scheduler: AtomicBool::new(true),
            wakes_at: AtomicU64::new(NEVER),
            timer: AtomicU64::new(NEVER),
            token: AtomicBool::new(false),
        }
    }

    fn tick(&self) -> u64 {
        loop {
            match self.ring.drain() {
                0 => break,
                WITHOUT_TIMER => {}
                _ => self.timer.store(TIMER, Ordering::Relaxed),
            }
        }
        self.timer.load(Ordering::Relaxed)
    }

    fn take_scheduler(&self) -> bool {
        self.idle_scheduler.swap(false, Ordering::AcqRel)
    }

    fn put_scheduler_back(&self) {
        assert!(!self.idle_scheduler.swap(true, Ordering::AcqRel), "two schedulers");
    }

    fn wake(&self) {
        if self.bell.must_wake() {
            self.token.store(true, Ordering::SeqCst);
        }
    }

    fn wake_or_tick(&self) {
        while self.bell.is_asleep() {
            if !self.take_scheduler() {
                return;
            }
            let next = self.tick();
            let sooner = next < self.wakes_at.load(Ordering::Relaxed);
            if sooner {
                self.wakes_at.store(next, Ordering::Relaxed);
            }
            self.put_scheduler_back();
            if sooner {
                self.wake();
                return;
            }
            if self.ring.is_empty() {
                return;
            }
        }
    }

    /// The thread wakes by its timer, ticks, and sleeps again: until when, or `None` where it
    /// looks again at once.
    fn wakes_and_sleeps_again(&self) -> Option<u64> {
        self.bell.wake_up();
        while !self.take_scheduler() {
            thread::yield_now();
        }
        let local = self.tick();
        self.wakes_at.store(local, Ordering::Relaxed);
        self.put_scheduler_back();
        self.bell.fall_asleep();
        let wake_at = self.wakes_at.load(Ordering::Relaxed);
        (self.ring.is_empty()).then_some(wake_at)
    }
}

/// The interleavings hunted: a producer finds the scheduler taken and leaves its message to an
/// owner that has looked already; and a producer that saw the thread asleep takes the scheduler
/// only when the thread has been awake and given it back, sets a timer, and finds nobody to wake,
/// because the thread is not asleep yet.
#[test]
fn no_message_and_no_timer_is_left_behind_while_everyone_sleeps() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let rings = Arc::new(ModelRings::asleep());
        let producers: Vec<_> = [WITHOUT_TIMER, WITH_TIMER]
            .into_iter()
            .map(|weight| {
                let rings = rings.clone();
                thread::spawn(move || {
                    rings.ring.push_weighing(weight);
                    rings.wake_or_tick();
                })
            })
            .collect();
        let sleeper = {
            let rings = rings.clone();
            thread::spawn(move || rings.wakes_and_sleeps_again())
        };
        producers.into_iter().for_each(|producer| producer.join().unwrap());
        let Some(sleeps_until) = sleeper.join().unwrap() else { return };
        if !rings.token.load(Ordering::SeqCst) {
            assert!(rings.ring.is_empty(), "asleep with a message on the ring");
            assert!(rings.timer.load(Ordering::Relaxed) >= sleeps_until, "asleep past a timer");
        }
    });
}
