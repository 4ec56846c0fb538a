//! DISPATCHERS: a run that the scheduler has granted becomes an attempt, and its answer an outcome.
//!
//! | folder | holds |
//! |---|---|
//! | `pool` | POOL DISPATCHER: attempts at instances that run, over pooled connections |
//! | `job` | JOB DISPATCHER: attempts with a process or a pod of their own |

pub mod job;
pub mod pool;
