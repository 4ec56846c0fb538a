//! EXECUTION STORE: the executions of one gateway, from admission until their retention is over.
//!
//! | file | holds |
//! |---|---|
//! | `execution` | one execution: stage, payload, output, waiters, running attempt |
//! | `execution_error` | the error of one that failed |
//! | `timestamps` | the times at which one passed from one verb to the next |
//! | `attempt_result` | the result of an attempt, which ends one or lets it wait for the next attempt |
//! | `running_attempt` | the attempt of one that runs, and how it is stopped |
//! | `function_entry` | the version of a function that one refers to, with what its executions hold |
//! | `drain_rate` | the rate at which the executions of a function end |
//! | `execution_store` | all of them: slots, bytes, retention, eviction |
//! | `transitions` | the way of one: `queued → running → queued \| ended` |
//! | `executions` | the handle that the tasks of a gateway share |
//! | `waiters` | the clients that wait for the end of one |
//! | `idempotency` | the executions that `Idempotency-Key`s stand for |
//! | `history` | the executions in the order of their admission |
//! | `listing` | some of them, newest first |
//! | `summary` | an execution as it is read |

pub mod attempt_result;
pub mod drain_rate;
pub mod execution;
pub mod execution_error;
pub mod execution_store;
pub mod executions;
pub mod function_entry;
pub mod history;
pub mod idempotency;
pub mod listing;
pub mod running_attempt;
pub mod summary;
pub mod timestamps;
pub mod transitions;
pub mod waiters;
