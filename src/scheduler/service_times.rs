//! How long the attempts of a version have taken lately, from the grant to the end that the scheduler was told of.

use crate::clock::Nanos;

/// Time that one slice covers. The window is the slice that is being filled and the one before: 5 s to 10 s.
const SLICE_NS: Nanos = 5_000_000_000;
/// Times below 2 to this power in ns (131 µs) are one bucket.
const FIRST_OCTAVE: u32 = 17;
/// Octaves up to 2⁴⁷ ns (39 h), which no deadline exceeds.
const OCTAVES: u32 = 30;
/// Buckets of equal width in each octave: a bucket is at most a quarter wider than its lower bound.
const PER_OCTAVE: u32 = 4;
/// All buckets: those below and above the octaves are one each.
const BUCKETS: usize = 2 + (OCTAVES * PER_OCTAVE) as usize;

/// A histogram of the last 5 s to 10 s in two slices, about 1 KiB.
#[derive(Clone, Debug)]
pub(crate) struct ServiceTimes {
    slices: [Slice; 2],
    /// The slice that is being filled.
    current: usize,
    /// When it was begun.
    began: Nanos,
}

/// Attempts by the bucket of their time.
#[derive(Clone, Debug)]
struct Slice {
    /// Attempts that were answered after this time.
    answered: [u16; BUCKETS],
    /// Attempts that were stopped after this time: they would have taken longer.
    stopped: [u16; BUCKETS],
    count: u32,
    /// Upper bound of the longest of them; of one that was stopped that of the next bucket.
    longest: Nanos,
}

/// Numbers of attempts in the window, as they matter to an execution that has `budget` in all and `left` of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Chances {
    /// All attempts.
    pub samples: u32,
    /// Answered within the budget.
    pub within_budget: u32,
    /// Answered within the time left.
    pub within_left: u32,
    /// Known to have taken longer than the budget.
    pub beyond_budget: u32,
    /// Stopped within the budget: how long they would have taken is not known.
    pub stopped: u32,
    /// Attempts among these that were stopped so early that they are taken for ended within the time left.
    pub stopped_within_left: u32,
}

impl ServiceTimes {
    /// Without any attempt.
    pub(crate) fn new() -> Self {
        Self { slices: [Slice::EMPTY; 2], current: 0, began: 0 }
    }

    /// Counts an attempt that was answered after `ns`.
    pub(crate) fn count_answered(&mut self, ns: Nanos, now: Nanos) {
        self.age(now);
        let bucket = bucket_of(ns);
        let slice = &mut self.slices[self.current];
        slice.longest = slice.longest.max(upper_bound(bucket));
        slice.count += 1;
        slice.answered[bucket] += 1;
        if slice.answered[bucket] == u16::MAX {
            slice.halve();
        }
    }

    /// Counts an attempt that was stopped after `ns`, when its time was over.
    pub(crate) fn count_stopped(&mut self, ns: Nanos, now: Nanos) {
        self.age(now);
        let bucket = bucket_of(ns);
        let slice = &mut self.slices[self.current];
        slice.longest = slice.longest.max(upper_bound(bucket + 1));
        slice.count += 1;
        slice.stopped[bucket] += 1;
        if slice.stopped[bucket] == u16::MAX {
            slice.halve();
        }
    }

    /// No attempt of the window has taken longer than this (ns); 0 where there is none. Where none was counted for a
    /// while, some of them may be older than the window.
    pub(crate) fn longest(&self) -> Nanos {
        self.slices[0].longest.max(self.slices[1].longest)
    }

    /// The numbers for an execution.
    pub(crate) fn chances(&mut self, budget: Nanos, left: Nanos, now: Nanos) -> Chances {
        self.age(now);
        let (whole, rest) = (bucket_of(budget), bucket_of(left));
        let mut chances = Chances::default();
        for slice in self.slices.iter().filter(|slice| slice.count > 0) {
            chances.samples += slice.count;
            for (bucket, (answered, stopped)) in slice.answered.iter().zip(&slice.stopped).enumerate() {
                let (answered, stopped) = (u32::from(*answered), u32::from(*stopped));
                if bucket <= whole {
                    chances.within_budget += answered;
                } else {
                    chances.beyond_budget += answered;
                }
                if bucket < whole {
                    chances.stopped += stopped;
                } else {
                    chances.beyond_budget += stopped;
                }
                if bucket < rest {
                    chances.within_left += answered;
                }
                if bucket + 1 < rest {
                    chances.stopped_within_left += stopped;
                }
            }
        }
        chances
    }

    /// The time within which `percent` of the attempts that were answered within `budget` were (ns); 0 where there are
    /// none.
    pub(crate) fn quantile(&self, percent: u32, budget: Nanos) -> Nanos {
        let of_bucket = |bucket: usize| -> u32 {
            self.slices.iter().map(|slice| u32::from(slice.answered[bucket])).sum()
        };
        let whole = bucket_of(budget);
        let all: u32 = (0..=whole).map(of_bucket).sum();
        let mut seen: u32 = 0;
        for bucket in 0..=whole {
            seen += of_bucket(bucket);
            if seen > 0 && u64::from(seen) * 100 >= u64::from(all) * u64::from(percent) {
                return upper_bound(bucket);
            }
        }
        0
    }

    /// Begins slices anew that are older than the window.
    fn age(&mut self, now: Nanos) {
        let age = now.saturating_sub(self.began);
        if age < SLICE_NS {
            return;
        }
        if age >= 2 * SLICE_NS {
            self.slices[self.current].clear();
        }
        self.current = 1 - self.current;
        self.slices[self.current].clear();
        self.began = now;
    }
}

impl Slice {
    const EMPTY: Self = Self { answered: [0; BUCKETS], stopped: [0; BUCKETS], count: 0, longest: 0 };

    fn clear(&mut self) {
        if self.count > 0 {
            *self = Self::EMPTY;
        }
    }

    /// Halves all numbers, when one is full: their ratios stay.
    #[cold]
    fn halve(&mut self) {
        self.count = 0;
        for number in self.answered.iter_mut().chain(&mut self.stopped) {
            *number /= 2;
            self.count += u32::from(*number);
        }
    }
}

/// The bucket of a time.
fn bucket_of(ns: Nanos) -> usize {
    let octave = (ns | 1).ilog2();
    if octave < FIRST_OCTAVE {
        return 0;
    }
    if octave >= FIRST_OCTAVE + OCTAVES {
        return BUCKETS - 1;
    }
    let within = (ns >> (octave - PER_OCTAVE.ilog2())) as usize % PER_OCTAVE as usize;
    1 + ((octave - FIRST_OCTAVE) * PER_OCTAVE) as usize + within
}

/// No time of the bucket is longer than this (ns), and none of the next is shorter.
fn upper_bound(bucket: usize) -> Nanos {
    if bucket == 0 {
        return 1 << FIRST_OCTAVE;
    }
    if bucket >= BUCKETS - 1 {
        return Nanos::MAX;
    }
    let (octave, within) = ((bucket - 1) / PER_OCTAVE as usize, (bucket - 1) % PER_OCTAVE as usize);
    let width = 1 << (FIRST_OCTAVE as usize + octave - PER_OCTAVE.ilog2() as usize);
    (Nanos::from(PER_OCTAVE) + within as Nanos + 1) * width
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::NANOS_PER_MS as MS;

    const DAY: Nanos = 24 * 3600 * 1000 * MS;

    #[test]
    fn a_time_is_below_the_upper_bound_of_its_bucket_and_at_most_a_quarter_below_it() {
        let mut before = 0;
        for ns in
            (0..47).flat_map(|octave| (0..16).map(move |part| (1 << octave) + ((1 << octave) >> 4) * part))
        {
            let bucket = bucket_of(ns);
            assert!(bucket >= before, "the bucket of {ns}");
            before = bucket;
            assert!(ns < upper_bound(bucket), "{ns} in bucket {bucket}");
            assert!(bucket == 0 || upper_bound(bucket - 1) <= ns, "{ns} in bucket {bucket}");
            assert!(bucket == 0 || upper_bound(bucket) * 4 <= upper_bound(bucket - 1) * 5, "bucket {bucket}");
        }
        assert!(bucket_of(DAY) < BUCKETS - 1, "a day is beyond the buckets");
        assert_eq!((bucket_of(Nanos::MAX), upper_bound(BUCKETS - 1)), (BUCKETS - 1, Nanos::MAX));
    }

    #[test]
    fn attempts_are_told_by_the_budget_and_by_the_time_left_of_it() {
        let mut times = ServiceTimes::new();
        (0..90).for_each(|_| times.count_answered(5 * MS, 0));
        (0..6).for_each(|_| times.count_answered(1000 * MS, 0));
        times.count_stopped(20 * MS, 0);
        (0..3).for_each(|_| times.count_stopped(100 * MS, 0));
        let told = Chances {
            samples: 100,
            within_budget: 90,
            within_left: 90,
            beyond_budget: 9,
            stopped: 1,
            stopped_within_left: 1,
        };
        assert_eq!(times.chances(100 * MS, 50 * MS, 0), told);
        let late = Chances { within_left: 0, stopped_within_left: 0, ..told };
        assert_eq!(
            times.chances(100 * MS, 5 * MS, 0),
            late,
            "a time in the bucket of the time left is not within it"
        );
        let long = times.chances(10_000 * MS, 10_000 * MS, 0);
        assert_eq!((long.within_budget, long.beyond_budget, long.stopped), (96, 0, 4));
        let p99 = times.quantile(99, 100 * MS);
        assert!((5 * MS..7 * MS).contains(&p99), "{p99}");
        assert!(times.quantile(99, DAY) > 1000 * MS);
        assert!(times.longest() > 1000 * MS && times.longest() < 1300 * MS);
    }

    #[test]
    fn attempts_are_forgotten_after_the_window() {
        let mut times = ServiceTimes::new();
        times.count_answered(5 * MS, SLICE_NS - 1);
        assert_eq!(times.chances(DAY, DAY, 2 * SLICE_NS - 1).samples, 1);
        times.count_answered(7 * MS, 2 * SLICE_NS);
        assert_eq!(times.chances(DAY, DAY, 2 * SLICE_NS).samples, 2);
        assert_eq!(times.chances(DAY, DAY, 4 * SLICE_NS).samples, 0);
        assert_eq!(times.longest(), 0);
    }

    #[test]
    fn a_number_that_is_full_is_halved_with_all_others() {
        let mut times = ServiceTimes::new();
        (0..1000).for_each(|_| times.count_answered(500 * MS, 0));
        (0..100_000).for_each(|_| times.count_answered(5 * MS, 0));
        let chances = times.chances(100 * MS, 100 * MS, 0);
        assert!(chances.samples > 30_000, "{chances:?}");
        let share = f64::from(chances.beyond_budget) / f64::from(chances.samples);
        assert!((0.004..0.012).contains(&share), "{share}");
    }
}
