//! EXECUTION STORE: the executions of one gateway, from admission until their retention is over.
//!
//! | file | holds |
//! |---|---|
//! | `execution` | one execution: stage, payload, output, waiters, running attempt |
//! | `execution_store` | all of them: slots, bytes, retention, eviction |
//! | `waiters` | the clients that wait for the end of one |
//! | `idempotency` | the executions that `Idempotency-Key`s stand for |
//! | `history` | the executions in the order of their admission |
//! | `listing` | some of them, newest first |
//! | `summary` | an execution as it is read |

pub mod execution;
pub mod execution_store;
pub mod history;
pub mod idempotency;
pub mod listing;
pub mod summary;
pub mod waiters;
