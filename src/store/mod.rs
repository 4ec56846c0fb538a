//! EXECUTION STORE: the executions of one gateway, from admission until their retention is over or, where nothing was
//! promised, their room is needed.
//!
//! | file | holds |
//! |---|---|
//! | `execution` | one execution: stage, payload, output, waiters, running attempt |
//! | `execution_error` | the error of an execution that failed |
//! | `timestamps` | the times at which an execution was admitted, enqueued, granted, written, answered, ended, replied to |
//! | `time_limit` | the limits of an execution's time, and the errors of one that met them |
//! | `attempt_result` | the result of an attempt: output, refusal, failure, or nothing sent |
//! | `running_attempt` | the attempt of a running execution, and how it is stopped |
//! | `function_entry` | the version of a function, with the bytes that the executions of all its versions hold on this gateway |
//! | `drain_rate` | the rate at which executions of a version end on this gateway |
//! | `execution_store` | all executions: slots, bytes, retention, eviction, the last step of an end |
//! | `transitions` | changes of state: `queued → running`, `running → queued`, `queued \| running → ended` |
//! | `web` | the steps of an execution whose function answers an HTTP request as it is |
//! | `web_connections` | connections whose protocol was changed, of one version |
//! | `executions` | the handle of the store, which the tasks of a gateway share |
//! | `waiters` | clients, and readers of logs, that wait for the end of an execution |
//! | `idempotency` | the executions that `Idempotency-Key`s stand for |
//! | `history` | the executions in the order of their admission |
//! | `listing` | a page of executions, newest first |
//! | `slow_execution` | an execution that was slow, with its stages, for those who ask why |
//! | `summary` | an execution without payload and output, for lists and other threads |

pub(crate) mod attempt_result;
pub(crate) mod drain_rate;
pub(crate) mod execution;
pub(crate) mod execution_error;
pub(crate) mod execution_store;
pub(crate) mod executions;
pub(crate) mod function_entry;
pub(crate) mod history;
pub(crate) mod idempotency;
pub(crate) mod listing;
pub(crate) mod running_attempt;
pub(crate) mod slow_execution;
pub(crate) mod summary;
pub(crate) mod time_limit;
pub(crate) mod timestamps;
pub(crate) mod transitions;
pub(crate) mod waiters;
pub(crate) mod web;
pub(crate) mod web_connections;
