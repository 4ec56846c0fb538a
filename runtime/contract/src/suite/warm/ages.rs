//! The ages of an instance, as it tells them.

use std::time::Duration;

use picofaas_contract::patience::{Stopwatch, let_pass};

use super::warm_instance::{ListenerKind, WarmInstance};
use crate::suite::subject::{Loads, Subject};

const LOAD: Duration = Duration::from_millis(500);
/// Time between two looks.
const LATER: Duration = Duration::from_millis(60);
/// The kernel counts the start of a process in steps of 10 ms, and so the time since boot.
const ROUNDING_MS: u64 = 20;

/// The ages of process, runtime and handler, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ToldAges([u64; 3]);

impl ToldAges {
    /// Reads them among headers, which must say that a `100` comes, too.
    #[track_caller]
    pub(crate) fn of<'a>(header: impl Fn(&str) -> Option<&'a str>) -> Self {
        assert_eq!(header("x-acknowledges"), Some("100-continue"));
        let ages = ["x-process-age-ms", "x-runtime-age-ms", "x-handler-age-ms"].map(|name| {
            let text = header(name).unwrap_or_else(|| panic!("no {name}"));
            text.parse().unwrap_or_else(|fault| panic!("{name} is `{text}`: {fault}"))
        });
        let [process, runtime, handler] = ages;
        assert!(process >= runtime && runtime >= handler, "process, runtime, handler: {ages:?} ms");
        Self(ages)
    }

    /// Checks that each has grown by at least `least` since `earlier`, and by no more than `most`.
    #[track_caller]
    pub(crate) fn assert_grown(self, earlier: Self, least: Duration, most: Duration) {
        for (now, before) in self.0.into_iter().zip(earlier.0) {
            // Both are rounded down.
            let (least, most) = (least.as_millis() as u64, most.as_millis() as u64);
            let is_grown = now + 1 >= before + least && now <= before + most + 1;
            assert!(is_grown, "from {earlier:?} to {self:?} in {least} to {most} ms");
        }
    }
}

pub(crate) fn of_a_healthy_instance(subject: &Subject) {
    let load_ms = LOAD.as_millis().to_string();
    let since_start = Stopwatch::start();
    let instance =
        WarmInstance::with(subject, "echo", ListenerKind::Socket, &[("CONTRACT_LOAD_MS", &load_ms)]);
    let mut connection = instance.connect();
    let mut look = || {
        let answer = connection.get("/health");
        assert_eq!(answer.status, 200);
        ToldAges::of(|name| answer.header(name))
    };
    let most = Stopwatch::start();
    let first = look();
    let least = Stopwatch::start();
    let [process, _, handler] = first.0;
    let real_ms = since_start.elapsed().as_millis() as u64;
    assert!(process <= real_ms + ROUNDING_MS, "{first:?} of a process that is {real_ms} ms old");
    if matches!(subject.behaviour.loads, Loads::AtStart) {
        let least = LOAD.as_millis() as u64 - ROUNDING_MS;
        assert!(process >= handler + least, "the handler was loaded for {LOAD:?}: {first:?}");
    }
    let_pass(LATER);
    let least = least.elapsed();
    look().assert_grown(first, least, most.elapsed());
}
