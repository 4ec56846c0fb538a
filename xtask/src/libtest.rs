//! The counts in what `cargo test` prints.

use std::ops::AddAssign;

/// How many checks or tests ended which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub passed: u64,
    pub failed: u64,
    /// Not run, for a reason that was printed; libtest calls this `ignored`.
    pub skipped: u64,
}

impl Tally {
    pub(crate) const PASSED: Self = Self { passed: 1, failed: 0, skipped: 0 };
    pub(crate) const FAILED: Self = Self { passed: 0, failed: 1, skipped: 0 };
    pub(crate) const SKIPPED: Self = Self { passed: 0, failed: 0, skipped: 1 };

    /// Reads a line like `test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; …`,
    /// which every test binary and every crate's doc tests end with. `None` for any other line.
    pub(crate) fn from_libtest(line: &str) -> Option<Self> {
        let (verdict, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
        if verdict != "ok" && verdict != "FAILED" {
            return None;
        }
        let mut fields = counts.split("; ");
        let passed = counted(fields.next()?, "passed")?;
        let failed = counted(fields.next()?, "failed")?;
        let skipped = counted(fields.next()?, "ignored")?;
        Some(Self { passed, failed, skipped })
    }
}

fn counted(field: &str, word: &str) -> Option<u64> {
    let (count, rest) = field.split_once(' ')?;
    if rest == word { count.parse().ok() } else { None }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_line_gives_its_three_counts() {
        let line =
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.01s";
        assert_eq!(Tally::from_libtest(line), Some(Tally { passed: 12, failed: 0, skipped: 1 }));
        let line = "test result: FAILED. 0 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.50s";
        assert_eq!(Tally::from_libtest(line), Some(Tally { passed: 0, failed: 2, skipped: 0 }));
    }

    #[test]
    fn lines_that_only_look_like_results_are_not_counted() {
        for line in [
            "",
            "running 3 tests",
            "test result: ok",
            "  test result: ok. 1 passed; 0 failed; 0 ignored",
            "test result: fine. 1 passed; 0 failed; 0 ignored",
            "test result: ok. many passed; 0 failed; 0 ignored",
            "test result: ok. 1 failed; 0 passed; 0 ignored",
        ] {
            assert_eq!(Tally::from_libtest(line), None, "{line:?}");
        }
    }

    #[test]
    fn tallies_add_up_field_by_field() {
        let mut sum = Tally { passed: 1, failed: 2, skipped: 3 };
        sum += Tally { passed: 10, failed: 20, skipped: 30 };
        assert_eq!(sum, Tally { passed: 11, failed: 22, skipped: 33 });
    }
}
