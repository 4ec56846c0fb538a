//! The ages of the program, as it tells them.

use std::sync::OnceLock;
use std::time::Duration;

use crate::fault::Fault;
use crate::program::Program;

/// Ages in milliseconds, and the time at which the handler was loaded.
#[derive(Default)]
pub(crate) struct Ages {
    ready: OnceLock<Duration>,
    /// The headers that were told first.
    told: OnceLock<Vec<(&'static str, String)>>,
}

impl Ages {
    /// Takes note that the function can be called from now on.
    pub(crate) fn is_ready(&self, now: Duration) {
        assert!(self.ready.set(now).is_ok(), "it is loaded once");
    }

    /// The headers that tell of the program. Its process is as old as its `main`, for want of anything before.
    pub(crate) fn headers(&self, program: &Program) -> Vec<(&'static str, String)> {
        if program.has(Fault::NoAges) {
            return Vec::new();
        }
        let runtime = program.now();
        let of_handler = runtime - self.ready.get().copied().unwrap_or_default();
        let handler = if program.has(Fault::AgesOfTheRuntime) { runtime } else { of_handler };
        let process = if program.has(Fault::YoungProcess) { of_handler } else { runtime };
        let text = |age: Duration| {
            let ages = if program.has(Fault::AgesInSeconds) { age.as_secs().into() } else { age.as_millis() };
            ages.to_string()
        };
        let mut headers = vec![
            ("x-process-age-ms", text(process)),
            ("x-runtime-age-ms", text(runtime)),
            ("x-handler-age-ms", text(handler)),
        ];
        if !program.has(Fault::NoAcknowledgement) {
            headers.push(("x-acknowledges", "100-continue".to_owned()));
        }
        if program.has(Fault::StaleAges) {
            return self.told.get_or_init(|| headers).clone();
        }
        headers
    }
}
