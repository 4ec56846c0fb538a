//! DISPATCHERS: a run that the scheduler has granted becomes an attempt, and its answer an outcome.
//!
//! `gateway::dispatch` starts an attempt and gives it the few parts of the gateway that it needs. An attempt settles
//! nothing: `gateway::complete` applies its result to the execution. That of a `JOB` comes by `gateway::job_calls`,
//! and where its process posts none, by the end of the process.
//!
//! | part | holds |
//! |---|---|
//! | `context` | the parts of a gateway that its attempts need |
//! | `function_error` | errors that functions answer, and what their statuses mean |
//! | `pool` | POOL DISPATCHER: attempts at running instances (`WARM` and `POOL`), over pooled connections |
//! | `job` | JOB DISPATCHER: attempts with a process or a pod of their own (`JOB`) |

pub(crate) mod context;
mod function_error;
pub(crate) mod job;
pub(crate) mod pool;
