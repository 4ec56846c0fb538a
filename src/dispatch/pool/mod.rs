//! POOL DISPATCHER: attempts at running instances (`WARM` and `POOL`).
//!
//! | file | holds |
//! |---|---|
//! | `attempt` | the task of one attempt |
//! | `outcome` | what an attempt's answer means, and the lack of one |
//! | `connection` | one HTTP/1.1 connection to an instance |
//! | `instance_stream` | the stream below it |
//! | `frames` | connections that carry many attempts |
//! | `response_head` | the head of an answer on it |
//! | `web` | attempts of functions that answer HTTP requests as they are |
//! | `instance_pools` | the idle connections to the instances of a version |

pub(crate) mod attempt;
pub(crate) mod connection;
pub(crate) mod frames;
pub(crate) mod instance_pools;
mod instance_stream;
pub(crate) mod outcome;
pub(crate) mod response_head;
pub(crate) mod web;
