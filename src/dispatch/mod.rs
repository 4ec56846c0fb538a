//! DISPATCHERS: a run that the scheduler has granted becomes an attempt, and its answer an outcome.
//!
//! An attempt is given the few parts of its gateway that it needs, and returns its result: the gateway makes it
//! the execution's.
//!
//! | part | holds |
//! |---|---|
//! | `context` | the parts of a gateway that its attempts need |
//! | `function_error` | errors that functions answer, and what their statuses mean |
//! | `pool` | POOL DISPATCHER: attempts at instances that run, over pooled connections |
//! | `job` | JOB DISPATCHER: attempts with a process or a pod of their own |

pub mod context;
mod function_error;
pub mod job;
pub mod pool;
