//! A seeded simulation of both ends, with a pipe each way that hands on pieces of any length.
//!
//! One thread plays everybody: the gateway begins and cancels, the instance answers in any order, lets go, is slow to
//! consume or goes away; bytes are written and read in pieces; time passes; the connection breaks at any byte, or
//! garbage comes over it. Every last event and every body is compared with what the models know, and an observer
//! reads what goes over the pipes by the rules of `docs/frames.md` alone.
//!
//! `PICOFAAS_SEED` repeats one run; the seed of a failure is printed with it. `PICOFAAS_SEEDS` says how many are run.
//!
//! | file | has |
//! |---|---|
//! | `run` | a run: its steps, its end |
//! | `gateway_model`, `instance_model` | the callers of the two ends, and what they know |
//! | `observer` | windows and lengths, as seen on a pipe |
//! | `wire` | frames by hand, for tests with one end |
//! | `dice` | repeatable chance |

pub(crate) mod dice;
mod gateway_model;
mod instance_model;
mod observer;
mod run;
pub(crate) mod wire;

use std::collections::BTreeMap;

use run::{Faults, Run};

/// Runs of each kind, unless it is said otherwise.
const SEEDS: u64 = 200;

/// Prints the seed where the run of it fails.
struct SeedOnPanic(u64);

impl Drop for SeedOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the run of PICOFAAS_SEED={} failed", self.0);
        }
    }
}

/// Runs all seeds, or the one that is asked for, and gives how often each thing happened.
fn simulate(faults: Faults) -> BTreeMap<&'static str, u64> {
    let number = |name| std::env::var(name).ok().map(|number| number.parse::<u64>().unwrap());
    let seeds = number("PICOFAAS_SEEDS").unwrap_or(SEEDS);
    let seeds = number("PICOFAAS_SEED").map_or(0..seeds, |seed| seed..seed + 1);
    let mut seen = BTreeMap::new();
    for seed in seeds {
        let _seed = SeedOnPanic(seed);
        for (name, times) in Run::new(seed, faults).run() {
            *seen.entry(name).or_insert(0) += times;
        }
    }
    println!("{seen:?}");
    seen
}

/// Fails where something that a kind of run is about did not happen in any. A single run need not have all.
fn assert_seen(seen: &BTreeMap<&'static str, u64>, names: &[&'static str]) {
    if std::env::var_os("PICOFAAS_SEED").is_none() {
        for name in names {
            assert!(seen.contains_key(name), "{name} never happened: {seen:?}");
        }
    }
}

const USUAL: [&str; 8] = [
    "answered",
    "answered in pieces",
    "streamed",
    "broken off",
    "invoked",
    "invoked in pieces",
    "failed",
    "full",
];

#[test]
fn without_faults_every_attempt_is_answered_with_its_own_body() {
    let seen = simulate(Faults::default());
    assert_seen(&seen, &USUAL);
    assert!(["lost", "unsent", "released"].iter().all(|name| !seen.contains_key(name)), "{seen:?}");
}

#[test]
fn cancelled_attempts_are_released_once_wherever_the_cancellation_meets_the_answer() {
    let seen = simulate(Faults { cancels: true, ..Faults::default() });
    assert_seen(&seen, &USUAL);
    assert_seen(&seen, &["released", "cancelled", "not answered", "late"]);
}

#[test]
fn an_instance_that_goes_away_runs_no_attempt_that_is_told_to_be_unsent() {
    let seen = simulate(Faults { cancels: true, drain: true, ..Faults::default() });
    assert_seen(&seen, &["unsent", "going away", "answered", "drained", "released", "late"]);
}

#[test]
fn a_connection_that_breaks_at_any_byte_loses_each_attempt_once_and_runs_none_that_is_unsent() {
    let seen = simulate(Faults { cancels: true, loss: true, ..Faults::default() });
    assert_seen(&seen, &["unsent", "lost", "released", "answered", "lost at the instance"]);
}

#[test]
fn leaps_of_time_end_connections_and_no_attempt_twice() {
    let seen = simulate(Faults { cancels: true, leaps: true, drain: true, ..Faults::default() });
    assert_seen(&seen, &["stuck", "lost", "silent", "half a frame", "answered", "unsent"]);
}

#[test]
fn garbage_ends_the_connection_with_one_outcome_for_each_attempt() {
    let seen = simulate(Faults { cancels: true, garbage: true, drain: true, ..Faults::default() });
    assert_seen(&seen, &["violation", "lost", "unsent", "answered", "lost at the instance"]);
}
