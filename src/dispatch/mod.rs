//! An attempt: a grant becomes a request to an instance, and its answer an outcome.
//!
//! | file | holds |
//! |---|---|
//! | `pool` | idle connections by instance, and what a gateway keeps of a function |
//! | `connection` | one HTTP/1.1 connection |
//! | `attempt` | the task of one attempt at an instance |
//! | `job` | an attempt with a process of its own |

pub mod attempt;
pub mod connection;
pub mod job;
pub mod pool;

pub use pool::{FunctionEntry, IdleConnections};
