//! POOL DISPATCHER: attempts at instances that run already.
//!
//! | file | holds |
//! |---|---|
//! | `attempt` | the task of one attempt |
//! | `connection` | one HTTP/1.1 connection to an instance |
//! | `function_entry` | a function as a gateway knows it, with its idle connections by instance |

pub mod attempt;
pub mod connection;
pub mod function_entry;
