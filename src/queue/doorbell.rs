//! Waking the one who sleeps, without waking the one who is awake.
//!
//! Both sides follow the same protocol. The producer publishes its message, fences, and looks
//! whether the consumer sleeps. The consumer says that it sleeps, fences, and looks at every
//! ring again. With both fences `SeqCst` one of the two sees the other, so no message is left
//! behind with its consumer asleep.

use super::sync::{AtomicBool, Ordering, fence};

/// Whether its owner sleeps.
///
/// | field | written by | read by | published by |
/// |---|---|---|---|
/// | `asleep` | the owner; a producer that takes over the waking | producers | the two `SeqCst` fences |
#[derive(Debug)]
pub struct Doorbell {
    asleep: AtomicBool,
}

impl Doorbell {
    /// A doorbell whose owner is awake.
    #[must_use]
    pub fn new() -> Self {
        Self { asleep: AtomicBool::new(false) }
    }

    /// Producer, after publishing: whether it is the one who must wake the owner. Of several
    /// producers one gets the answer yes.
    #[must_use]
    pub fn must_wake(&self) -> bool {
        fence(Ordering::SeqCst);
        // Exchanged, not swapped: a swap that loses would write `false` over `false`, which is
        // harmless, but loom does not order that write before the owner's next one.
        self.asleep.load(Ordering::Relaxed)
            && self.asleep.compare_exchange(true, false, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Producer, after publishing: whether the owner sleeps, without taking over its waking.
    #[must_use]
    pub fn is_asleep(&self) -> bool {
        fence(Ordering::SeqCst);
        self.asleep.load(Ordering::Relaxed)
    }

    /// Owner: says that it is about to sleep. It must look at every ring after this, and
    /// call [`Doorbell::wake_up`] instead of sleeping where one is not empty.
    pub fn fall_asleep(&self) {
        self.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Owner: it is awake and will look at every ring.
    pub fn wake_up(&self) {
        self.asleep.store(false, Ordering::Relaxed);
    }
}

impl Default for Doorbell {
    fn default() -> Self {
        Self::new()
    }
}

/// The interleaving hunted: the producer publishes after the consumer's last look and reads
/// "awake" before the consumer says "asleep".
#[cfg(all(test, feature = "loom"))]
mod loom_tests {
    use super::*;
    use loom::sync::Arc;
    use loom::sync::atomic::AtomicUsize;
    use loom::thread;

    #[test]
    fn no_message_is_left_behind_while_the_owner_sleeps() {
        loom::model(|| {
            let bell = Arc::new(Doorbell::new());
            let ring = Arc::new(AtomicUsize::new(0));
            let wakes = Arc::new(AtomicUsize::new(0));
            let producer = {
                let (bell, ring, wakes) = (bell.clone(), ring.clone(), wakes.clone());
                thread::spawn(move || {
                    ring.store(1, Ordering::Relaxed);
                    if bell.must_wake() {
                        wakes.fetch_add(1, Ordering::SeqCst);
                    }
                })
            };
            bell.fall_asleep();
            let sleeps = ring.load(Ordering::Relaxed) == 0;
            if !sleeps {
                bell.wake_up();
            }
            producer.join().unwrap();
            assert!(!sleeps || wakes.load(Ordering::SeqCst) == 1, "asleep with a message on the ring");
        });
    }
}
