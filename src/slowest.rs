//! The slowest of the executions of one function that have ended lately, kept for those who ask why.
//!
//! A gateway asks [`Slowest::is_slow`] at each end, which costs two loads and two comparisons, and records only
//! what is slower than what it has. Control reads.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::Nanos;

/// Records of one window. More would hide nothing less: whoever has read the eight slowest of two minutes knows
/// where the time goes, and every record takes memory for each function and gateway.
pub(crate) const WINDOW_RECORDS_MAX: usize = 8;
/// Length of one window (ns). There are two, the one that is filled and the one before it. So what is told is of
/// two minutes at least, and a spike hides what comes after it for two minutes at most: with a single window it
/// would do so for ever, and one that is emptied at once would tell nothing just after that.
pub(crate) const WINDOW_NS: Nanos = 120 * 1_000_000_000;
/// Age beyond which nothing is told any more (ns).
pub(crate) const AGE_NS_MAX: Nanos = 2 * WINDOW_NS;

/// The lock between the gateway that records and control, which reads: the one lock that a gateway touches.
///
/// It is right here, and nothing else would be. A gateway takes it by `try_lock` alone, so it never waits: one
/// compare-and-swap, for the few executions of a window that are slow, and where control holds the lock that
/// execution goes unrecorded and is counted. A message to the gateway, as the list of executions uses, would wait
/// behind the very work that makes it slow, and have it copy the records of all functions meanwhile. A copy
/// that is published by arc-swap would cost the gateway an allocation for each record.
/// `parking_lot`, because its lock is one byte for each function and gateway, and is not poisoned: a panic ends
/// the process in any case.
#[expect(
    clippy::disallowed_types,
    reason = "the gateway only tries it, and control, which reads, may wait for the copy of one record"
)]
type TriedLock<T> = parking_lot::Mutex<T>;

/// The slowest executions of one function on one gateway.
///
/// | field | written by | read by | published by |
/// |---|---|---|---|
/// | `least`, `window_ends` | the gateway | the gateway; control reads `window_ends` to know what is over | relaxed: they guard nothing |
/// | `unrecorded` | the gateway | control | relaxed count |
/// | `windows` | the gateway, where its `try_lock` succeeds; control lets go of what is over | control | the lock |
#[derive(Debug)]
pub struct Slowest<T> {
    /// Duration (ns) that one of the slowest of the window must exceed.
    least: AtomicU64,
    /// The end of the window that is filled; 0: there was none.
    window_ends: AtomicU64,
    /// Slow executions that were not recorded, because control was reading.
    unrecorded: AtomicU64,
    windows: TriedLock<Windows<T>>,
}

/// Records of the window that is filled, and of the one before it. Both take memory as they are needed.
#[derive(Debug)]
struct Windows<T> {
    current: Vec<Timed<T>>,
    before: Vec<Timed<T>>,
}

/// A record with what it is kept by.
#[derive(Debug)]
struct Timed<T> {
    took: Nanos,
    ended: Nanos,
    record: T,
}

impl<T> Default for Windows<T> {
    fn default() -> Self {
        Self { current: Vec::new(), before: Vec::new() }
    }
}

impl<T> Default for Slowest<T> {
    fn default() -> Self {
        Self {
            least: AtomicU64::new(0),
            window_ends: AtomicU64::new(0),
            unrecorded: AtomicU64::new(0),
            windows: TriedLock::default(),
        }
    }
}

impl<T> Slowest<T> {
    /// Whether an execution that ends `now` and took so long is to be recorded. Only the gateway that owns this
    /// asks.
    #[must_use]
    pub fn is_slow(&self, took: Nanos, now: Nanos) -> bool {
        took > self.least.load(Ordering::Relaxed) || now >= self.window_ends.load(Ordering::Relaxed)
    }

    /// Records an execution that ends `now` and took so long. Answers whether it did: it does not where control
    /// is reading. Only the gateway that owns this calls it.
    pub fn record(&self, took: Nanos, now: Nanos, record: impl FnOnce() -> T) -> bool {
        let Some(mut windows) = self.windows.try_lock() else {
            self.unrecorded.fetch_add(1, Ordering::Relaxed);
            return false;
        };
        let ends = self.window_ends.load(Ordering::Relaxed);
        if now >= ends {
            windows.turn(now - ends < WINDOW_NS);
            self.window_ends.store(now + WINDOW_NS, Ordering::Relaxed);
        }
        windows.insert(Timed { took, ended: now, record: record() });
        self.least.store(windows.least(), Ordering::Relaxed);
        true
    }

    /// Changes the newest record that `is_it`, where it is still there and control is not reading. Only the
    /// gateway that owns this calls it.
    pub fn amend(&self, is_it: impl Fn(&T) -> bool, change: impl FnOnce(&mut T)) {
        let Some(mut windows) = self.windows.try_lock() else { return };
        if let Some(timed) = windows.current.iter_mut().rev().find(|timed| is_it(&timed.record)) {
            change(&mut timed.record);
        }
    }

    /// Shows each record that is not too old, with how long it took, in no order. `look` is called with the lock
    /// held, so it copies what it wants and does nothing else.
    pub fn read(&self, now: Nanos, mut look: impl FnMut(Nanos, &T)) {
        let windows = self.windows.lock();
        let all = windows.current.iter().chain(&windows.before);
        for timed in all.filter(|timed| now.saturating_sub(timed.ended) <= AGE_NS_MAX) {
            look(timed.took, &timed.record);
        }
    }

    /// Slow executions that were not recorded, because control was reading.
    #[must_use]
    pub fn unrecorded(&self) -> u64 {
        self.unrecorded.load(Ordering::Relaxed)
    }

    /// Lets go of the memory of windows that are over, where nothing has ended since: the gateway does it only
    /// when something does.
    pub fn let_go(&self, now: Nanos) {
        if now.saturating_sub(self.window_ends.load(Ordering::Relaxed)) <= AGE_NS_MAX {
            return;
        }
        if let Some(mut windows) = self.windows.try_lock() {
            *windows = Windows::default();
        }
    }
}

impl<T> Windows<T> {
    /// Begins a window. The one that was filled is the one before it, unless that `is_recent` no more.
    fn turn(&mut self, is_recent: bool) {
        std::mem::swap(&mut self.current, &mut self.before);
        self.current.clear();
        if !is_recent {
            self.before.clear();
        }
    }

    /// Adds a record, in the place of the fastest where the window is full.
    fn insert(&mut self, timed: Timed<T>) {
        if self.current.len() < WINDOW_RECORDS_MAX {
            if self.current.len() == self.current.capacity() {
                // Of many functions few have more than one: twice as many each time, and from one on.
                self.current.reserve_exact(self.current.len().max(1));
            }
            self.current.push(timed);
            return;
        }
        let fastest = self.current.iter_mut().min_by_key(|known| known.took);
        if let Some(fastest) = fastest.filter(|fastest| fastest.took < timed.took) {
            *fastest = timed;
        }
    }

    /// The duration that the next one must exceed (ns).
    fn least(&self) -> Nanos {
        if self.current.len() < WINDOW_RECORDS_MAX {
            return 0;
        }
        self.current.iter().map(|timed| timed.took).min().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Offers an execution as a gateway does. Answers whether it was recorded.
    fn offer(slowest: &Slowest<u64>, took: Nanos, now: Nanos) -> bool {
        slowest.is_slow(took, now) && slowest.record(took, now, || took)
    }

    /// The durations that are told, longest first.
    fn told(slowest: &Slowest<u64>, now: Nanos) -> Vec<Nanos> {
        let mut all = Vec::new();
        slowest.read(now, |took, record| {
            assert_eq!(took, *record);
            all.push(took);
        });
        all.sort_unstable_by(|a, b| b.cmp(a));
        all
    }

    /// A seeded generator (xorshift64*, after Vigna, "An experimental exploration of Marsaglia's
    /// xorshift generators, scrambled").
    fn random(state: &mut u64) -> u64 {
        *state ^= *state >> 12;
        *state ^= *state << 25;
        *state ^= *state >> 27;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33
    }

    #[test]
    fn one_window_tells_the_slowest_of_all_that_ended_in_it_and_takes_no_more() {
        for seed in 1..=100 {
            let (slowest, mut state, mut all) = (Slowest::default(), seed, Vec::new());
            let mut recorded = 0;
            for nth in 0..2000 {
                let took = random(&mut state) % 1_000_000 + 1;
                recorded += usize::from(offer(&slowest, took, 1 + nth));
                all.push(took);
            }
            all.sort_unstable_by(|a, b| b.cmp(a));
            all.truncate(WINDOW_RECORDS_MAX);
            assert_eq!(told(&slowest, 2001), all, "seed {seed}");
            // About 8 · (1 + ln(2000 / 8)) of 2000 at random.
            assert!((WINDOW_RECORDS_MAX..150).contains(&recorded), "seed {seed}: {recorded} were recorded");
        }
    }

    #[test]
    fn what_is_no_slower_than_the_fastest_record_of_a_full_window_is_not_recorded() {
        let slowest = Slowest::default();
        for took in 1..=WINDOW_RECORDS_MAX as u64 {
            assert!(offer(&slowest, 100 + took, 1));
        }
        assert!(!offer(&slowest, 101, 2), "as fast as the fastest");
        assert!(offer(&slowest, 102, 2));
        assert!(!offer(&slowest, 102, 2), "the fastest has gone, and this is no slower than the next");
        assert_eq!(told(&slowest, 2), [108, 107, 106, 105, 104, 103, 102, 102]);
    }

    #[test]
    fn an_old_spike_hides_nothing_for_longer_than_a_window_and_is_told_for_one_more() {
        let slowest = Slowest::default();
        let spike = 1_000_000;
        for nth in 0..WINDOW_RECORDS_MAX as u64 {
            assert!(offer(&slowest, spike + nth, 1));
        }
        let end = 1 + WINDOW_NS;
        assert!(!offer(&slowest, 500, end - 1), "the spike is of this window");
        assert!(offer(&slowest, 500, end), "the next window is filled anew");
        assert!(offer(&slowest, 3, end + 1), "and is not full");
        let both = told(&slowest, end + 1);
        assert_eq!((both.len(), &both[WINDOW_RECORDS_MAX..]), (WINDOW_RECORDS_MAX + 2, &[500, 3][..]));
        assert!(offer(&slowest, 7, end + WINDOW_NS));
        assert_eq!(told(&slowest, end + WINDOW_NS), [500, 7, 3]);
    }

    #[test]
    fn nothing_is_told_that_is_older_than_two_windows_and_its_memory_goes() {
        let slowest = Slowest::default();
        assert!(offer(&slowest, 9, 5));
        assert_eq!(told(&slowest, 5 + AGE_NS_MAX), [9]);
        assert_eq!(told(&slowest, 6 + AGE_NS_MAX), [0; 0]);
        // After a pause of more than a window, the window before is none.
        assert!(offer(&slowest, 4, 5 + 2 * WINDOW_NS));
        assert_eq!(told(&slowest, 5 + 2 * WINDOW_NS), [4]);

        let over = 5 + 3 * WINDOW_NS + AGE_NS_MAX;
        slowest.let_go(over);
        assert_eq!(slowest.windows.lock().current.len(), 1, "it is not over yet");
        slowest.let_go(over + 1);
        assert_eq!(slowest.windows.lock().current.capacity(), 0);
        assert!(offer(&slowest, 2, over + 2), "it records again");
        assert_eq!(told(&slowest, over + 2), [2]);
    }

    #[test]
    fn a_gateway_does_not_wait_for_a_reader_and_what_it_could_not_record_is_counted() {
        let slowest = Slowest::default();
        assert!(offer(&slowest, 1, 1));
        slowest.read(1, |_, _| {
            // On this thread, where waiting for the lock would never end.
            assert!(!slowest.record(2, 2, || panic!("a reader has the lock")));
            slowest.amend(|_| true, |_| panic!("a reader has the lock"));
        });
        assert_eq!((slowest.unrecorded(), told(&slowest, 2)), (1, vec![1]));
        assert!(offer(&slowest, 2, 2));
        assert_eq!((slowest.unrecorded(), told(&slowest, 2)), (1, vec![2, 1]));
    }

    #[test]
    fn a_function_that_was_called_once_takes_the_memory_of_one_record() {
        let slowest = Slowest::default();
        for (took, capacity) in [(1, 1), (2, 2), (3, 4), (4, 4), (5, 8), (6, 8), (7, 8), (8, 8), (9, 8)] {
            assert!(offer(&slowest, took, 1));
            assert_eq!(slowest.windows.lock().current.capacity(), capacity, "after {took}");
        }
    }

    #[test]
    fn a_record_is_amended_while_it_is_there() {
        let slowest = Slowest::<(Nanos, u64)>::default();
        for took in [1, 2] {
            assert!(slowest.record(took, 1, || (took, 0)));
        }
        slowest.amend(|record| record.0 == 2, |record| record.1 = 5);
        slowest.amend(|record| record.0 == 3, |_| panic!("there is none"));
        let mut all = Vec::new();
        slowest.read(1, |_, record| all.push(*record));
        assert_eq!(all, [(1, 0), (2, 5)]);
    }
}
