//! Attempts by their sequence.

use crate::frame::Sequence;

/// Places at first, a power of two.
const PLACES_LEAST: usize = 16;

/// A table with open addressing. Sequences come one after the other, so the lowest bits of each are its place
/// unless one that has been out for long is there; then it is in the next free one.
///
/// A ring from the oldest attempt to the newest would grow without bound behind one that takes minutes. This has
/// twice as many places as there were attempts at once, or the next power of two.
#[derive(Debug)]
pub(crate) struct AttemptTable<T> {
    places: Vec<Option<(Sequence, T)>>,
    len: usize,
}

impl<T> AttemptTable<T> {
    pub(crate) const fn new() -> Self {
        Self { places: Vec::new(), len: 0 }
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn places(&self) -> usize {
        self.places.len()
    }

    pub(crate) fn get(&mut self, sequence: Sequence) -> Option<&mut T> {
        let place = self.find(sequence)?;
        self.at(place).map(|(_, attempt)| attempt)
    }

    /// The attempt in a place.
    pub(crate) fn at(&mut self, place: usize) -> Option<(Sequence, &mut T)> {
        self.places.get_mut(place)?.as_mut().map(|(sequence, attempt)| (*sequence, attempt))
    }

    /// Adds an attempt, which is not in it.
    pub(crate) fn insert(&mut self, sequence: Sequence, attempt: T) {
        if self.places.len() < 2 * (self.len + 1) {
            self.grow();
        }
        self.place(sequence, attempt);
        self.len += 1;
    }

    pub(crate) fn remove(&mut self, sequence: Sequence) -> Option<T> {
        let mut hole = self.find(sequence)?;
        let (_, attempt) = self.places.get_mut(hole)?.take()?;
        self.len -= 1;
        // Attempts behind the hole come forward, unless they would come before their own place.
        let mut from = self.next(hole);
        while let Some(Some((sequence, _))) = self.places.get(from) {
            let home = self.home(*sequence);
            if self.distance(home, from) >= self.distance(hole, from) {
                self.places.swap(hole, from);
                hole = from;
            }
            from = self.next(from);
        }
        Some(attempt)
    }

    fn find(&self, sequence: Sequence) -> Option<usize> {
        let mut place = self.home(sequence);
        while let Some((found, _)) = self.places.get(place)? {
            if *found == sequence {
                return Some(place);
            }
            place = self.next(place);
        }
        None
    }

    fn grow(&mut self) {
        let places = (2 * self.places.len()).max(PLACES_LEAST);
        let mut larger = Vec::new();
        larger.resize_with(places, || None);
        for (sequence, attempt) in std::mem::replace(&mut self.places, larger).into_iter().flatten() {
            self.place(sequence, attempt);
        }
    }

    /// Puts an attempt into the first free place. There is one: half of the places are free.
    fn place(&mut self, sequence: Sequence, attempt: T) {
        let mut place = self.home(sequence);
        while let Some(Some(_)) = self.places.get(place) {
            place = self.next(place);
        }
        if let Some(free) = self.places.get_mut(place) {
            *free = Some((sequence, attempt));
        }
    }

    fn mask(&self) -> usize {
        self.places.len().wrapping_sub(1)
    }

    fn home(&self, sequence: Sequence) -> usize {
        sequence.0 as usize & self.mask()
    }

    fn next(&self, place: usize) -> usize {
        (place + 1) & self.mask()
    }

    /// Places from one to another, onwards and round.
    fn distance(&self, from: usize, to: usize) -> usize {
        to.wrapping_sub(from) & self.mask()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::simulation::dice::Dice;

    #[test]
    fn it_agrees_with_a_sorted_map_and_has_places_for_those_at_once_only() {
        for seed in 0..200 {
            let mut dice = Dice::new(seed);
            let (mut table, mut model) = (AttemptTable::new(), BTreeMap::new());
            let mut newest = u32::MAX - 700;
            for _ in 0..3000 {
                if model.len() < 60 && dice.one_in(2) && newest < u32::MAX {
                    newest += 1;
                    table.insert(Sequence(newest), newest);
                    model.insert(newest, newest);
                } else if !model.is_empty() {
                    let removed = *model.keys().nth(dice.index(model.len())).unwrap();
                    assert_eq!(table.remove(Sequence(removed)), model.remove(&removed));
                    assert_eq!(table.remove(Sequence(removed)), None);
                }
                assert_eq!((table.len(), table.is_empty()), (model.len(), model.is_empty()));
                let some = newest - u32::try_from(dice.below(100)).unwrap();
                assert_eq!(table.get(Sequence(some)).copied(), model.get(&some).copied());
            }
            assert!(table.places() <= 128, "{} places", table.places());
            for sequence in model.keys() {
                assert_eq!(table.get(Sequence(*sequence)), Some(&mut { *sequence }), "seed {seed}");
            }
        }
    }
}
