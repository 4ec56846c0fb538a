//! One promise of the contract, looked at from outside.

use super::subject::Subject;

/// A case; it panics where the promise is broken.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&Subject),
}

/// The mode of a runtime.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Warm,
    Job,
}

impl Mode {
    pub(crate) const ALL: [Self; 2] = [Self::Warm, Self::Job];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Warm => "WARM",
            Self::Job => "JOB",
        }
    }

    pub(crate) fn cases(self) -> &'static [Case] {
        match self {
            Self::Warm => super::warm::CASES,
            Self::Job => super::job::CASES,
        }
    }
}
