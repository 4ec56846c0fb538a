//! An attempt: a grant becomes a request to an instance, and its answer an outcome.
//!
//! | file | holds |
//! |---|---|
//! | `pool` | idle connections by instance, and what a gateway keeps of a function |
//! | `connection` | one HTTP/1.1 connection |
//! | `attempt` | the task of one attempt |

pub mod attempt;
pub mod connection;
pub mod pool;

pub use pool::Served;
