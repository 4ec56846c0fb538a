//! One promise of the contract, looked at from outside.

use super::subject::Subject;

/// A case; it panics where the promise is broken.
#[derive(Clone, Copy)]
pub struct Case {
    pub name: &'static str,
    pub run: fn(&Subject),
}

/// How a runtime is used.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Warm,
    Job,
}

impl Mode {
    pub const ALL: [Self; 2] = [Self::Warm, Self::Job];

    pub fn name(self) -> &'static str {
        match self {
            Self::Warm => "WARM",
            Self::Job => "JOB",
        }
    }

    pub fn cases(self) -> &'static [Case] {
        match self {
            Self::Warm => super::warm::CASES,
            Self::Job => super::job::CASES,
        }
    }
}
