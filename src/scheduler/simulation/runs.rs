//! Runs of the simulation, from small to large.

use super::{Scale, Simulation};

/// Says which run failed.
struct Reporter(u64);

impl Drop for Reporter {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("repeat it with PICOFAAS_SEED={}", self.0);
        }
    }
}

fn simulate(default_seed: u64, scale: Scale) -> Simulation {
    let seed = std::env::var("PICOFAAS_SEED").map_or(default_seed, |seed| seed.parse().unwrap());
    let reporter = Reporter(seed);
    let mut simulation = Simulation::new(seed, scale);
    simulation.run();
    drop(reporter);
    simulation
}

#[test]
fn a_hundred_thousand_random_steps_keep_every_invariant() {
    let scale = Scale {
        steps: 100_000,
        slots: 60,
        versions: 8,
        size_max: 24,
        burst: 12,
        is_calm: false,
        audit_every: 1,
    };
    let seen = simulate(1, scale).seen;
    println!("{seen:?}");
    for what in [
        "run",
        "retried",
        "abort",
        "timeout",
        "exhausted",
        "no instance",
        "function removed",
        "start",
        "suspect",
        "retired",
        "single use",
        "closed",
        "queue full",
        "cancelled on the ring",
        "cancelled in line",
        "cancelled in flight",
        "cancel raced a run",
        "slot reused",
        "version reused",
        "replaced",
        "late end",
        "left undone",
    ] {
        assert!(seen.get(what).is_some_and(|n| *n >= 20), "the simulation hardly ever saw: {what}");
    }
}

#[test]
fn further_seeds_keep_every_invariant() {
    let scale = Scale {
        steps: 4000,
        slots: 60,
        versions: 6,
        size_max: 16,
        burst: 12,
        is_calm: false,
        audit_every: 1,
    };
    for seed in 2..12 {
        simulate(seed, scale);
    }
}

#[test]
fn bursts_beyond_every_bound_of_a_tick_keep_every_invariant() {
    let scale = Scale {
        steps: 3000,
        slots: 900,
        versions: 4,
        size_max: 800,
        burst: 700,
        is_calm: false,
        audit_every: 16,
    };
    for seed in 100..104 {
        simulate(seed, scale);
    }
}

#[test]
fn long_chains_of_versions_keep_every_invariant() {
    let scale = Scale {
        steps: 8000,
        slots: 30,
        versions: 40,
        size_max: 12,
        burst: 6,
        is_calm: false,
        audit_every: 1,
    };
    for seed in 200..204 {
        simulate(seed, scale);
    }
}

#[test]
fn functions_that_stay_drop_only_what_may_be_dropped() {
    let scale = Scale {
        steps: 20_000,
        slots: 120,
        versions: 2,
        size_max: 40,
        burst: 12,
        is_calm: true,
        audit_every: 1,
    };
    let mut dropped = 0;
    for seed in 308..318 {
        dropped += simulate(seed, scale).seen.get("unreachable").copied().unwrap_or(0);
    }
    println!("{dropped} were dropped");
    assert!(dropped >= 10, "the simulation hardly ever dropped anything: {dropped}");
}
