//! How long each test binary took, out of what `cargo test` prints.

use std::fmt;

use crate::libtest::Tally;

/// Suites that are listed by name; the others are summed up.
const LISTED_MAX: usize = 10;

/// In the order in which they ran.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Suites(Vec<Suite>);

#[derive(Clone, Debug, PartialEq)]
struct Suite {
    name: String,
    /// Of all its results together, as doc tests of a crate may have two; `None` where it has none (yet).
    seconds: Option<f64>,
}

impl Suites {
    /// Takes in the next line. cargo names a suite on its standard error before it runs it, and the suite's
    /// results come on standard output: both must be in one pipe, or it is not known which came first.
    pub(crate) fn read(&mut self, line: &str) {
        if let Some(name) = named(line) {
            self.0.push(Suite { name, seconds: None });
        } else if let (Some(seconds), Some(suite)) = (seconds(line), self.0.last_mut()) {
            *suite.seconds.get_or_insert_default() += seconds;
        }
    }
}

/// The name in a line like `     Running tests/system/main.rs (target/debug/deps/system-0123456789abcdef)`,
/// with the binary's own, as several crates have a `src/lib.rs`; or in `   Doc-tests picofaas`.
fn named(line: &str) -> Option<String> {
    let line = line.trim_start();
    if line.starts_with("Doc-tests ") {
        return Some(line.to_owned());
    }
    let (source, binary) = line.strip_prefix("Running ")?.strip_suffix(')')?.rsplit_once(" (")?;
    let (_, file) = binary.rsplit_once('/')?;
    let (binary, _hash) = file.rsplit_once('-')?;
    Some(format!("{binary}: {source}"))
}

/// Seconds that the result of a suite ends with.
fn seconds(line: &str) -> Option<f64> {
    Tally::from_libtest(line)?;
    let (_, time) = line.rsplit_once("; finished in ")?;
    time.strip_suffix('s')?.parse().ok()
}

/// A line for each of the slowest, and one for all others; nothing where there was none.
impl fmt::Display for Suites {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut timed: Vec<(f64, &str)> =
            self.0.iter().filter_map(|suite| Some((suite.seconds?, &*suite.name))).collect();
        // The sort is stable: equals stay in the order in which they ran.
        timed.sort_by(|(one, _), (other, _)| other.total_cmp(one));
        let (listed, others) = timed.split_at(timed.len().min(LISTED_MAX));
        for (seconds, name) in listed {
            write!(out, "\n{seconds:>20.2} s  {name}")?;
        }
        if !others.is_empty() {
            let sum: f64 = others.iter().map(|(seconds, _)| seconds).sum();
            write!(out, "\n{sum:>20.2} s  the {} others together", others.len())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "   Compiling picofaas v0.1.0 (/tree)
    Finished `test` profile [unoptimized + debuginfo] target(s) in 61.07s
     Running unittests src/lib.rs (target/debug/deps/picofaas-0123456789abcdef)

running 2 tests
test clock::tests::it_goes_on ... ok
test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.31s

     Running tests/system/main.rs (target/debug/deps/system-fedcba9876543210)
test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 92.40s

error: test failed, to rerun pass `-p picofaas --test system`
     Running tests/dies.rs (target/debug/deps/dies-00000000000000ff)
   Doc-tests picofaas_child
test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.25s
test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.50s
";

    fn read(output: &str) -> Suites {
        let mut suites = Suites::default();
        output.lines().for_each(|line| suites.read(line));
        suites
    }

    #[test]
    fn each_suite_has_its_own_time_and_the_slowest_comes_first() {
        let lines = [
            "               92.40 s  system: tests/system/main.rs",
            "                0.75 s  Doc-tests picofaas_child",
            "                0.31 s  picofaas: unittests src/lib.rs",
        ];
        assert_eq!(read(OUTPUT).to_string(), format!("\n{}", lines.join("\n")));
    }

    #[test]
    fn at_most_ten_are_listed_and_the_others_are_summed_up() {
        let result =
            "test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in";
        let suite = |at| format!("Running tests/t{at}.rs (target/debug/deps/t{at}-0f)\n{result} {at}.00s\n");
        let text = read(&(1..=12).map(suite).collect::<String>()).to_string();
        let lines: Vec<&str> = text.lines().skip(1).map(str::trim).collect();
        assert_eq!(lines.len(), 11, "{text}");
        assert_eq!(lines[0], "12.00 s  t12: tests/t12.rs");
        assert_eq!(lines[9..], ["3.00 s  t3: tests/t3.rs", "3.00 s  the 2 others together"]);
    }

    #[test]
    fn what_is_neither_a_suite_nor_a_result_changes_nothing() {
        for line in [
            "",
            "Running",
            "     Running tests/a.rs",
            "     Running `target/debug/xtask tidy`",
            "test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s",
            "test result: ok. 1 passed; 0 failed; 0 ignored",
        ] {
            assert_eq!(read(line), Suites::default(), "{line:?}");
        }
        assert_eq!(Suites::default().to_string(), "");
    }
}
