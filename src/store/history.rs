//! The order in which a gateway's executions were admitted, for those who list them.

use crate::clock::Nanos;

/// No slot.
const NONE: u32 = u32::MAX;

/// The position of an execution in a [`History`], also after it has gone from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryPosition {
    /// The execution's slot.
    pub slot: u32,
    /// Number of executions that its gateway had admitted with it; no two have the same.
    pub sequence: u64,
}

/// Too much has gone since: what was next to a position cannot be found with bounded work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost;

/// An execution's neighbours.
#[derive(Clone, Copy, Debug)]
struct Link {
    /// See [`HistoryPosition::sequence`]; 0: the slot is free.
    sequence: u64,
    /// The time at which it was admitted, or a newer one before it; never less than an older one's.
    at: Nanos,
    newer: u32,
    older: u32,
}

/// A list of executions from the newest to the oldest, linked through a table by slot that is
/// allocated at start: admitting and removing cost two or three links each, whatever there is.
#[derive(Debug)]
pub(crate) struct History {
    links: Box<[Link]>,
    newest: u32,
    oldest: u32,
    /// The sequence of the last one that was admitted.
    last: u64,
}

impl History {
    /// Empty, for executions in so many slots.
    #[must_use]
    pub(crate) fn new(slots: usize) -> Self {
        let free = Link { sequence: 0, at: 0, newer: NONE, older: NONE };
        Self { links: vec![free; slots].into_boxed_slice(), newest: NONE, oldest: NONE, last: 0 }
    }

    /// The execution in a free slot is the newest from now on.
    pub(crate) fn admit(&mut self, slot: usize, admitted: Nanos) {
        debug_assert!(self.links[slot].sequence == 0, "slot {slot} was in the list already");
        let own = u32::try_from(slot).unwrap_or(NONE);
        self.last += 1;
        let older = self.newest;
        let at = self.link(older).map_or(admitted, |link| link.at.max(admitted));
        self.links[slot] = Link { sequence: self.last, at, newer: NONE, older };
        match self.links.get_mut(older as usize) {
            Some(link) => link.newer = own,
            None => self.oldest = own,
        }
        self.newest = own;
    }

    /// Takes out the execution in a slot.
    pub(crate) fn remove(&mut self, slot: usize) {
        let Link { sequence, newer, older, .. } = self.links[slot];
        debug_assert!(sequence != 0, "slot {slot} was not in the list");
        match self.links.get_mut(newer as usize) {
            Some(link) => link.older = older,
            None => self.newest = older,
        }
        match self.links.get_mut(older as usize) {
            Some(link) => link.newer = newer,
            None => self.oldest = newer,
        }
        self.links[slot].sequence = 0;
    }

    /// The newest execution.
    #[must_use]
    pub(crate) fn newest(&self) -> Option<HistoryPosition> {
        self.position(self.newest)
    }

    /// The next older execution than one that is there.
    #[must_use]
    pub(crate) fn older(&self, than: HistoryPosition) -> Option<HistoryPosition> {
        self.position(self.link(than.slot)?.older)
    }

    /// The time at which an execution that is there was admitted, or a newer one before it.
    #[must_use]
    pub(crate) fn admitted(&self, position: HistoryPosition) -> Nanos {
        self.link(position.slot).map_or(0, |link| link.at)
    }

    /// The execution at a position, or the newest of those that are older; `None` where none is left.
    ///
    /// The oldest mostly go first, so it is looked for from the oldest on.
    ///
    /// # Errors
    /// [`Lost`], where it is not among the `looks` oldest.
    pub(crate) fn at_or_older(
        &self,
        position: HistoryPosition,
        looks: usize,
    ) -> Result<Option<HistoryPosition>, Lost> {
        if self.link(position.slot).is_some_and(|link| link.sequence == position.sequence) {
            return Ok(Some(position));
        }
        let (mut found, mut next) = (None, self.position(self.oldest));
        for _ in 0..looks {
            match next {
                Some(newer) if newer.sequence < position.sequence => found = next,
                Some(_) | None => return Ok(found),
            }
            next = next.and_then(|newer| self.position(self.link(newer.slot)?.newer));
        }
        if next.is_none() { Ok(found) } else { Err(Lost) }
    }

    /// The link of a slot that is in use.
    fn link(&self, slot: u32) -> Option<&Link> {
        self.links.get(slot as usize).filter(|link| link.sequence != 0)
    }

    fn position(&self, slot: u32) -> Option<HistoryPosition> {
        self.link(slot).map(|link| HistoryPosition { slot, sequence: link.sequence })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOTS: usize = 24;

    /// A seeded generator (xorshift64*, after Vigna, "An experimental exploration of Marsaglia's
    /// xorshift generators, scrambled").
    struct Random(u64);

    impl Random {
        fn below(&mut self, bound: usize) -> usize {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
        }
    }

    fn listed(history: &History) -> Vec<HistoryPosition> {
        std::iter::successors(history.newest(), |position| history.older(*position)).collect()
    }

    #[test]
    fn it_agrees_with_a_vector_over_random_admissions_and_removals() {
        for seed in 1..=200 {
            let mut random = Random(seed);
            let mut history = History::new(SLOTS);
            // Oldest first, with the time each was admitted at.
            let mut model: Vec<(HistoryPosition, Nanos)> = Vec::new();
            let mut known: Vec<HistoryPosition> = Vec::new();
            let mut free: Vec<usize> = (0..SLOTS).collect();
            for step in 0..400_u64 {
                if !free.is_empty() && (model.is_empty() || random.below(100) < 55) {
                    let slot = free.swap_remove(random.below(free.len()));
                    // Some come with a head that is older than what was admitted meanwhile.
                    history.admit(slot, (step * 10).saturating_sub(random.below(40) as u64));
                    let position = history.newest().expect("it was admitted");
                    assert_eq!(position.slot as usize, slot, "seed {seed}");
                    model.push((position, history.admitted(position)));
                    known.push(position);
                } else {
                    let (position, _) = model.remove(random.below(model.len()));
                    history.remove(position.slot as usize);
                    free.push(position.slot as usize);
                }
                let newest_first: Vec<HistoryPosition> =
                    model.iter().rev().map(|(position, _)| *position).collect();
                assert_eq!(listed(&history), newest_first, "seed {seed}");
                let times: Vec<Nanos> =
                    model.iter().map(|(position, _)| history.admitted(*position)).collect();
                assert!(times.is_sorted(), "seed {seed}: {times:?}");
                assert_eq!(times, model.iter().map(|(_, at)| *at).collect::<Vec<_>>(), "seed {seed}");

                let position = known[random.below(known.len())];
                let looks = random.below(SLOTS);
                let older = model.iter().take_while(|(other, _)| other.sequence < position.sequence).count();
                let wanted = if model.iter().any(|(other, _)| *other == position) {
                    Ok(Some(position))
                } else if older > looks || (older == looks && older < model.len()) {
                    Err(Lost)
                } else {
                    Ok(older.checked_sub(1).map(|at| model[at].0))
                };
                assert_eq!(history.at_or_older(position, looks), wanted, "seed {seed}, {looks} looks");
            }
        }
    }

    #[test]
    fn a_position_that_never_was_is_not_found_beyond_the_table() {
        let mut history = History::new(2);
        let nowhere = HistoryPosition { slot: 7, sequence: 1 };
        assert_eq!((history.newest(), history.at_or_older(nowhere, 1)), (None, Ok(None)));
        history.admit(1, 5);
        assert_eq!(history.at_or_older(nowhere, 1), Ok(None));
        let newer = HistoryPosition { slot: NONE, sequence: 9 };
        assert_eq!(history.at_or_older(newer, 2), Ok(history.newest()));
    }
}
