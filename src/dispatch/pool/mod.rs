//! POOL DISPATCHER: attempts at running instances (`WARM` and `POOL`).
//!
//! | file | holds |
//! |---|---|
//! | `attempt` | the task of one attempt |
//! | `connection` | one HTTP/1.1 connection to an instance |
//! | `response_head` | the head of an answer on it |
//! | `instance_pools` | the idle connections to the instances of a version |

pub(crate) mod attempt;
pub(crate) mod connection;
pub(crate) mod instance_pools;
pub(crate) mod response_head;
