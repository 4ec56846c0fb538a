//! JOB DISPATCHER: the life of an attempt that has a process or a pod of its own, started for it or ahead of it.
//!
//! The gateway begins the attempt and hands on what the process asks for and posts; control starts, watches and
//! kills the process ([`JobStart`](crate::messages::control_message::JobStart)).
//!
//! | file | holds |
//! |---|---|
//! | `job_attempt` | the beginning and the end of one attempt |
//! | `standby_attempt` | the beginning and the end of an attempt at an instance that was started ahead |
//! | `job_token` | the token of a process, which is good for one attempt |
//! | `job_input` | the input, as its process fetches it |
//! | `posted_result` | the result, as its process posts it |

pub(crate) mod job_attempt;
pub(crate) mod job_input;
pub(crate) mod job_token;
pub(crate) mod posted_result;
pub(crate) mod standby_attempt;
