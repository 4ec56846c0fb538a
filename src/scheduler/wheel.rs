//! A hierarchical timing wheel whose timers live in a preallocated table.
//!
//! After Varghese and Lauck, "Hashed and Hierarchical Timing Wheels" (1987), scheme 7, with
//! the level chosen by the highest bit in which a time differs from the wheel's own and a
//! bitmap of the slots in use per level. Insert and remove are O(1), finding the next time is
//! O(levels), and expiring moves one timer per step, so that a caller can bound its work.

/// Milliseconds since the clock's origin: the wheel's resolution.
pub(crate) type Millis = u64;

/// Which execution a timer belongs to: its index in the scheduler's table.
pub(crate) type Index = u32;

const NONE: u32 = u32::MAX;
const LEVELS: usize = 6;
const SLOTS: usize = 64;
const SLOT_BITS: u32 = 6;
/// The longest time ahead that fits: all slots of the top level but the current one, over two
/// years. A timer further ahead is put there and spread again.
const AHEAD_MAX: u64 = (SLOTS as u64 - 1) << (SLOT_BITS * (LEVELS as u32 - 1));
/// The list of timers that are due.
const DUE: u16 = (LEVELS * SLOTS) as u16;
/// Not in the wheel.
const NOWHERE: u16 = u16::MAX;

#[derive(Clone, Copy)]
struct Timer {
    when: Millis,
    next: Index,
    prev: Index,
    home: u16,
}

/// One timer per execution at most.
pub(crate) struct Wheel {
    /// Everything at or before this time is in the list of due timers.
    elapsed: Millis,
    occupied: [u64; LEVELS],
    heads: [Index; LEVELS * SLOTS + 1],
    timers: Box<[Timer]>,
}

impl Wheel {
    /// A wheel for the timers of so many `slots`, at time 0.
    #[must_use]
    pub(crate) fn new(slots: usize) -> Self {
        let empty = Timer { when: 0, next: NONE, prev: NONE, home: NOWHERE };
        Self {
            elapsed: 0,
            occupied: [0; LEVELS],
            heads: [NONE; LEVELS * SLOTS + 1],
            timers: vec![empty; slots].into_boxed_slice(),
        }
    }

    /// Sets the timer of `index` to `when`, instead of the one it had.
    pub(crate) fn set(&mut self, index: Index, when: Millis) {
        self.clear(index);
        self.timers[index as usize].when = when;
        self.link(index);
    }

    /// Takes the timer of `index` out; nothing where it has none.
    pub(crate) fn clear(&mut self, index: Index) {
        let Timer { next, prev, home, .. } = self.timers[index as usize];
        if home == NOWHERE {
            return;
        }
        if next != NONE {
            self.timers[next as usize].prev = prev;
        }
        if prev == NONE {
            self.heads[home as usize] = next;
            if next == NONE && home != DUE {
                self.occupied[home as usize / SLOTS] &= !(1 << (home as usize % SLOTS));
            }
        } else {
            self.timers[prev as usize].next = next;
        }
        self.timers[index as usize].home = NOWHERE;
    }

    /// The next execution whose time is at or before `now`, its timer taken out. `steps` counts
    /// down with each timer moved; at 0 the answer is `None` though more may be due.
    pub(crate) fn pop(&mut self, now: Millis, steps: &mut u32) -> Option<Index> {
        while *steps > 0 {
            let due = self.heads[DUE as usize];
            if due != NONE {
                *steps -= 1;
                self.clear(due);
                return Some(due);
            }
            let Some((home, start)) = self.first_slot() else {
                self.elapsed = self.elapsed.max(now);
                return None;
            };
            if start > now {
                self.elapsed = self.elapsed.max(now);
                return None;
            }
            self.elapsed = self.elapsed.max(start);
            *steps -= 1;
            let index = self.heads[home];
            self.clear(index);
            self.link(index);
        }
        None
    }

    /// When `pop` may next have something to do; `None` where there is no timer. It can be
    /// earlier than the earliest timer (a slot that must be spread), never later.
    #[must_use]
    pub(crate) fn next(&self) -> Option<Millis> {
        if self.heads[DUE as usize] != NONE {
            return Some(self.elapsed);
        }
        self.first_slot().map(|(_, start)| start.max(self.elapsed))
    }

    /// Whether the execution has a timer.
    #[cfg(test)]
    pub(super) fn is_set(&self, index: Index) -> bool {
        self.timers[index as usize].home != NOWHERE
    }

    fn link(&mut self, index: Index) {
        let when = self.timers[index as usize].when;
        let home = self.home(when);
        let head = self.heads[home as usize];
        if head != NONE {
            self.timers[head as usize].prev = index;
        }
        let timer = &mut self.timers[index as usize];
        timer.next = head;
        timer.prev = NONE;
        timer.home = home;
        self.heads[home as usize] = index;
        if home != DUE {
            self.occupied[home as usize / SLOTS] |= 1 << (home as usize % SLOTS);
        }
    }

    /// The list a time belongs to, seen from `elapsed`.
    fn home(&self, when: Millis) -> u16 {
        if when <= self.elapsed {
            return DUE;
        }
        let when = when.min(self.elapsed + AHEAD_MAX);
        let differs = 63 - (self.elapsed ^ when).leading_zeros();
        let level = (differs / SLOT_BITS).min(LEVELS as u32 - 1);
        let slot = (when >> (level * SLOT_BITS)) % SLOTS as u64;
        u16::try_from(u64::from(level) * SLOTS as u64 + slot).unwrap_or(DUE)
    }

    /// The first list in use and the time at which its slot starts. A lower level always
    /// starts before a higher one, because it lies within the higher one's current slot. But a
    /// slot that time has reached is spread first, one timer a step, before anything else.
    fn first_slot(&self) -> Option<(usize, Millis)> {
        for level in 1..LEVELS {
            let here = (self.elapsed >> (level as u32 * SLOT_BITS)) % SLOTS as u64;
            if self.occupied[level] & 1 << here != 0 {
                return Some((level * SLOTS + here as usize, self.elapsed));
            }
        }
        let level = self.occupied.iter().position(|bits| *bits != 0)?;
        let shift = level as u32 * SLOT_BITS;
        let here = (self.elapsed >> shift) % SLOTS as u64;
        let ahead = u64::from(self.occupied[level].rotate_right(here as u32).trailing_zeros());
        let slot = (here + ahead) % SLOTS as u64;
        let round = SLOTS as u64;
        let mut start = ((self.elapsed >> shift) / round * round + slot) << shift;
        if slot < here {
            start += round << shift;
        }
        Some((level * SLOTS + slot as usize, start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn drain(wheel: &mut Wheel, now: Millis) -> Vec<Index> {
        let mut steps = u32::MAX;
        let mut out = Vec::new();
        while let Some(index) = wheel.pop(now, &mut steps) {
            out.push(index);
        }
        out.sort_unstable();
        out
    }

    #[test]
    fn a_timer_fires_at_its_time_and_not_before() {
        let mut wheel = Wheel::new(8);
        for (index, when) in [(0, 1), (1, 63), (2, 64), (3, 5000), (4, 300_000), (5, 86_400_000)] {
            wheel.set(index, when);
            assert_eq!(drain(&mut wheel, when - 1), Vec::<Index>::new(), "{when} fired early");
            assert!(wheel.next().is_some_and(|next| next <= when));
            assert_eq!(drain(&mut wheel, when), [index], "{when} did not fire");
            assert_eq!(wheel.next(), None);
        }
    }

    #[test]
    fn a_bounded_pop_leaves_the_rest_for_the_next() {
        let mut wheel = Wheel::new(100);
        for index in 0..100 {
            wheel.set(index, 5000);
        }
        let mut fired = 0;
        let mut calls = 0;
        while fired < 100 {
            let mut steps = 7;
            while wheel.pop(5000, &mut steps).is_some() {
                fired += 1;
            }
            calls += 1;
            assert!(calls < 100, "the wheel stands still");
        }
        assert!(calls > 10, "a call did more than its bound");
    }

    #[test]
    fn it_agrees_with_a_sorted_map_over_random_sets_clears_and_leaps() {
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = move |below: u64| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed % below
        };
        let mut wheel = Wheel::new(64);
        let mut model: BTreeMap<Index, Millis> = BTreeMap::new();
        let mut now = 0;
        for _ in 0..50_000 {
            let index = random(64) as Index;
            match random(4) {
                0 => {
                    wheel.clear(index);
                    model.remove(&index);
                }
                1 => {
                    now += random(10_000) * random(3) / 2;
                    let due: Vec<_> = model.iter().filter(|(_, at)| **at <= now).map(|(i, _)| *i).collect();
                    assert_eq!(drain(&mut wheel, now), due);
                    model.retain(|_, at| *at > now);
                }
                _ => {
                    let span = [3, 70, 5000, 400_000, 90_000_000][random(5) as usize];
                    let when = now + random(span);
                    wheel.set(index, when);
                    model.insert(index, when);
                }
            }
            let first = model.values().min().copied();
            assert_eq!(wheel.next().is_some(), first.is_some());
            if let (Some(next), Some(first)) = (wheel.next(), first) {
                assert!(next <= first.max(now), "asleep until {next}, but {first} is due");
            }
        }
    }
}
