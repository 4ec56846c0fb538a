//! The highest number of a while.

use crate::clock::Nanos;

/// Parts of the while; what is older than all of it and one part more is forgotten.
const PARTS: usize = 8;

/// The highest of the numbers that were noted within a time, or an eighth more of it.
#[derive(Debug)]
pub(super) struct Peak {
    part_ns: Nanos,
    /// The highest of each part, the newest at `newest % PARTS`, and of the one that is being left.
    highest: [u32; PARTS + 1],
    newest: u64,
}

impl Peak {
    /// The peak over `span_ns`, of nothing yet.
    #[must_use]
    pub(super) fn over(span_ns: Nanos) -> Self {
        Self { part_ns: (span_ns / PARTS as u64).max(1), highest: [0; PARTS + 1], newest: 0 }
    }

    /// Takes note of a number at a time that is not before the last one; the highest since then.
    pub(super) fn note(&mut self, number: u32, now: Nanos) -> u32 {
        let part = now / self.part_ns;
        let cells = self.highest.len();
        for passed in 1..=part.saturating_sub(self.newest).min(cells as u64) {
            self.highest[Self::cell(self.newest + passed, cells)] = 0;
        }
        // More parts may have passed than there are cells: all of them are empty then.
        self.newest = self.newest.max(part);
        let cell = &mut self.highest[Self::cell(self.newest, cells)];
        *cell = number.max(*cell);
        self.highest.iter().copied().max().unwrap_or(number)
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.highest.fill(0);
    }

    fn cell(part: u64, cells: usize) -> usize {
        (part % cells as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_number_counts_for_its_time_and_an_eighth_more_at_most() {
        let mut peak = Peak::over(800);
        assert_eq!(peak.note(3, 10_050), 3);
        assert_eq!(peak.note(7, 10_150), 7);
        assert_eq!(peak.note(1, 10_950), 7, "it was 800 ago");
        assert_eq!(peak.note(2, 11_000), 2, "it was 850 ago, and the 1 before is forgotten or lower");
        assert_eq!(peak.note(0, 90_000), 0, "more time has passed than it knows of");
        peak.note(5, 90_001);
        peak.clear();
        assert_eq!(peak.note(1, 90_002), 1);
    }
}
