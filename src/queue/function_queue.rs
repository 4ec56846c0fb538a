//! The bounded queue of one function: its ring of tickets and its credits.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crossbeam_queue::ArrayQueue;

use super::overload::Overload;
use super::sync;
use super::sync::AtomicBool;
use crate::ticket::Ticket;

/// Whether a queue has been announced since the scheduler last looked at its ring.
#[derive(Debug)]
pub(crate) struct Announced(AtomicBool);

impl Announced {
    /// Not announced.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// After a push: whether the caller must announce.
    ///
    /// Pairs with `clear`: either the scheduler clears after this swap and then sees the
    /// ticket, or this swap sees the cleared flag.
    #[must_use]
    pub(crate) fn set(&self) -> bool {
        !self.0.swap(true, sync::Ordering::SeqCst)
    }

    /// Scheduler, before it looks at the ring.
    pub(crate) fn clear(&self) {
        self.0.store(false, sync::Ordering::SeqCst);
    }
}

impl Default for Announced {
    fn default() -> Self {
        Self::new()
    }
}

/// The queue of one version of a function, shared by the gateways and the scheduler.
///
/// | field | written by | read by | published by |
/// |---|---|---|---|
/// | `ring` | gateways push | scheduler pops | the ring's own stamps |
/// | `announced` | gateways set, scheduler clears | both | `swap` / `store`, `SeqCst` |
/// | `credits` | gateways take, scheduler gives back, and takes for whoever comes from the version before | both | relaxed: it guards a number, not data |
/// | `waiting`, `in_flight`, `ready` | scheduler | scrapes, reads of a function | relaxed gauges |
/// | `pace_ns`, `last_due_ns` | scheduler | gateways at admit | relaxed gauges |
#[derive(Debug)]
pub struct FunctionQueue {
    ring: ArrayQueue<Ticket>,
    announced: Announced,
    credits: AtomicU32,
    /// Executions in the scheduler's wait list (those still on the ring not counted).
    pub waiting: AtomicU32,
    /// Attempts in flight.
    pub in_flight: AtomicU32,
    /// Instances that can be granted.
    pub ready: AtomicU32,
    /// Time from one execution that leaves the line to the next (ns), while the line is not empty and that is known; 0
    /// else.
    pub pace_ns: AtomicU64,
    /// When the last in line is due (ns), where a line by deadline has a pace; 0 else. One that is due sooner comes to
    /// stand before it.
    pub last_due_ns: AtomicU64,
    /// The last calls that were not begun, because more came than can be done. It has a table of its own.
    pub overload: Overload,
}

impl FunctionQueue {
    /// A queue for at most `queue_size` executions that wait for their first dispatch.
    #[must_use]
    pub fn new(queue_size: u32) -> Self {
        Self {
            ring: ArrayQueue::new(queue_size.max(1) as usize),
            announced: Announced::new(),
            credits: AtomicU32::new(queue_size),
            waiting: AtomicU32::new(0),
            in_flight: AtomicU32::new(0),
            ready: AtomicU32::new(0),
            pace_ns: AtomicU64::new(0),
            last_due_ns: AtomicU64::new(0),
            overload: Overload::default(),
        }
    }

    /// Takes a queue credit; false where the queue is full.
    #[must_use]
    pub fn take_credit(&self) -> bool {
        let mut seen = self.credits.load(Ordering::Relaxed);
        while seen > 0 {
            match self.credits.compare_exchange_weak(seen, seen - 1, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
        false
    }

    /// Scheduler: gives a credit back, at the first grant or when the execution ends unqueued.
    pub fn return_credit(&self) {
        self.credits.fetch_add(1, Ordering::Relaxed);
    }

    /// Gateway: puts a ticket on the ring. The caller holds a credit, and the ring has a
    /// place for each credit, so there is room; the ticket comes back if that were broken.
    ///
    /// Answers whether the caller must announce the function on the ready ring: it is the
    /// first to push since the scheduler last looked.
    ///
    /// # Errors
    /// The ticket, where the ring had no room.
    pub fn push(&self, ticket: Ticket) -> Result<bool, Ticket> {
        self.ring.push(ticket)?;
        Ok(self.announced.set())
    }

    /// Scheduler: clears the announcement, before it drains.
    pub fn clear_announced(&self) {
        self.announced.clear();
    }

    /// Scheduler: announces the function again, because it stopped at its bound. Answers whether it
    /// must put the version on the ready ring.
    #[must_use]
    pub fn announce_again(&self) -> bool {
        self.announced.set()
    }

    /// Scheduler: the next ticket.
    #[must_use]
    pub fn pop(&self) -> Option<Ticket> {
        self.ring.pop()
    }

    /// Executions that wait: on the ring and in the scheduler's list.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.ring.len() + self.waiting.load(Ordering::Relaxed) as usize
    }

    /// How long an execution that came now would wait (ns), where its line is known to take longer than `time` (ns) and
    /// it would be the last, as it is due at `deadline` (ns).
    #[must_use]
    pub fn wait_beyond(&self, time: u64, deadline: u64) -> Option<u64> {
        let pace = self.pace_ns.load(Ordering::Relaxed);
        if pace == 0 || deadline < self.last_due_ns.load(Ordering::Relaxed) {
            return None;
        }
        let wait = pace.saturating_mul(self.depth() as u64);
        (wait > time).then_some(wait)
    }

    /// How long the executions that wait will take to leave the line (ns); 0 where that is not known.
    #[must_use]
    pub(crate) fn wait(&self) -> u64 {
        self.pace_ns.load(Ordering::Relaxed).saturating_mul(self.depth() as u64)
    }

    /// Whether executions wait and no instance can be granted.
    #[must_use]
    pub(crate) fn waits_for_an_instance(&self) -> bool {
        self.depth() > 0 && self.ready.load(Ordering::Relaxed) == 0
    }

    /// Tickets on the ring.
    #[must_use]
    pub fn on_ring(&self) -> usize {
        self.ring.len()
    }

    /// Credits left.
    #[cfg(test)]
    pub(crate) fn credits(&self) -> u32 {
        self.credits.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_refuses_and_a_returned_credit_admits_again() {
        let queue = FunctionQueue::new(2);
        assert!(queue.take_credit());
        assert!(queue.take_credit());
        assert!(!queue.take_credit());
        queue.return_credit();
        assert!(queue.take_credit());
    }

    #[test]
    fn only_the_first_push_since_the_scheduler_looked_announces() {
        let queue = FunctionQueue::new(3);
        assert_eq!(queue.push(Ticket::new(0, 1, 1)), Ok(true));
        assert_eq!(queue.push(Ticket::new(0, 2, 1)), Ok(false));
        queue.clear_announced();
        assert_eq!(queue.push(Ticket::new(0, 3, 1)), Ok(true));
        assert_eq!(queue.push(Ticket::new(0, 4, 1)), Err(Ticket::new(0, 4, 1)), "the ring never grows");
    }
}
