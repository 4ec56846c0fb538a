//! The Lease: who is at work when the control plane at work is killed, or stuck.

use std::time::Duration;

use rustix::process::Signal;

use crate::namespace::{Namespace, until_ready};
use crate::support::patience::{Stopwatch, eventually};
use crate::support::specification::pool;

/// How long the Lease holds without being renewed.
const LEASE: Duration = Duration::from_secs(15);
/// How much later it may be noticed on a machine that is busy.
const LATE: Duration = Duration::from_secs(30);

const NOWHERE: &str = "http://127.0.0.1:9";

#[test]
fn after_a_control_plane_is_killed_its_pod_has_the_lease_at_once_and_another_when_it_ran_out() {
    let namespace = Namespace::new();
    let first = namespace.start_as("one");
    until_ready(&first);
    first.register(&pool("f", NOWHERE));
    first.signal(Signal::KILL);
    first.end();

    let watch = Stopwatch::start();
    let again = namespace.start_as("one");
    until_ready(&again);
    let at_once = watch.elapsed();
    assert!(at_once < LEASE, "{at_once:?}");
    again.signal(Signal::KILL);
    again.end();

    let watch = Stopwatch::start();
    let other = namespace.start_as("other");
    until_ready(&other);
    let waited = watch.elapsed();
    assert!(waited >= LEASE && waited < LEASE + LATE, "{waited:?}");
    assert_eq!(namespace.stage.objects("leases")[0]["spec"]["holderIdentity"], "other");
    assert_eq!(other.function("f")["name"], "f");
    println!(
        "fault: the control plane is killed | its pod, started again: ready after {:.2} s; another pod: after {:.2} s, when the Lease had run out",
        at_once.as_secs_f64(),
        waited.as_secs_f64(),
    );
}

#[test]
fn a_control_plane_that_was_stuck_until_another_took_over_ends_when_it_goes_on() {
    let namespace = Namespace::new();
    let stuck = namespace.start_as("stuck");
    until_ready(&stuck);
    stuck.signal(Signal::STOP);
    let watch = Stopwatch::start();
    let other = namespace.start_as("other");
    until_ready(&other);
    let taken = watch.elapsed();
    assert!(taken >= LEASE && taken < LEASE + LATE, "{taken:?}");

    let watch = Stopwatch::start();
    stuck.signal(Signal::CONT);
    let end = stuck.end();
    assert_eq!(end.code, 1, "{}", end.stderr);
    assert!(end.stderr.contains("another control plane has taken over"), "{}", end.stderr);
    println!(
        "fault: the control plane is stuck | another: ready after {:.2} s; the stuck one ended {:.2} s after it went on",
        taken.as_secs_f64(),
        watch.elapsed().as_secs_f64(),
    );
    other.register(&pool("f", NOWHERE));
    eventually("the one that took over serves", || (other.function("f")["name"] == "f").then_some(()));
}
