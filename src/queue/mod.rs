//! QUEUE MANAGER: the bounded queue of each function, and the words and doorbells beside it.
//!
//! | file | holds |
//! |---|---|
//! | `function_queue` | the queue of one version of a function: ring, credits, announced flag |
//! | `overload` | what was lately refused or dropped, and why |
//! | `execution_signals` | the atomic words that gateway and scheduler share of an execution |
//! | `doorbell` | waking a thread that sleeps, and only that one |
//! | `eventfd` | the write that ends another thread's poll |
//! | `sync` | the atomics of std, or those of loom |
//!
//! The page of [`scheduler`](crate::scheduler) says who may touch which field, and which store pairs with which
//! load.

pub(crate) mod doorbell;
pub(crate) mod eventfd;
pub(crate) mod execution_signals;
pub(crate) mod function_queue;
pub(crate) mod overload;
pub(crate) mod sync;
