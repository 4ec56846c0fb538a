//! JOB DISPATCHER: attempts that have a process or a pod of their own.
//!
//! | file | holds |
//! |---|---|
//! | `job_attempt` | the beginning and the end of one attempt |

pub mod job_attempt;
