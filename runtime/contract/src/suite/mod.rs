//! The suite: runtimes, cases, and how the ones are held to the others.
//!
//! | file | has |
//! |---|---|
//! | `subject`, `subjects` | a runtime under test; those of this repository |
//! | `case` | one promise of the contract |
//! | `warm`, `job` | the cases |
//! | `run` | every case on every runtime, some at a time |
//! | `table` | what came of it |

pub mod case;
mod job;
pub mod run;
pub mod subject;
pub mod subjects;
pub mod table;
mod warm;
