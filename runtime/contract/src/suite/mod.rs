//! The suite: runtimes, cases, and runs of the ones on the others.
//!
//! | file | has |
//! |---|---|
//! | `subject`, `subjects` | a runtime under test; those of this repository |
//! | `case` | one promise of the contract |
//! | `warm`, `web`, `job` | the cases |
//! | `run` | every case on every runtime, some at a time |
//! | `traces` | trace contexts that requests have |
//! | `table` | the results as tables |

pub(crate) mod case;
mod job;
pub(crate) mod run;
pub(crate) mod subject;
pub(crate) mod subjects;
pub(crate) mod table;
mod traces;
mod warm;
mod web;
