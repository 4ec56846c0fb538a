//! The picofaas control plane. `ARCHITECTURE.md` has the picture; in short, and in the order of
//! an invocation's life:
//!
//! | part | holds |
//! |---|---|
//! | `gateway` | HTTP in and out, the executions and their store |
//! | `hot` | the scheduler's world: rings, versions, scheduled executions, timers |
//! | `dispatch` | pooled connections to instances, one attempt |
//! | `backend` | what gives instances: local processes, endpoints |
//! | `control` | everything slow: registry changes, instances, the management listener |
//! | `registry` | function specifications |
//! | `management` | metrics, health |
//! | `openapi` | the description of the API |
//! | `startup`, `shutdown` | the threads put together, and taken apart in order |
//! | `cli` | the commands |
//! | `dev` | what `picofaas dev` does: watch, build, reload |
//! | `scaffold` | what `picofaas new` makes |

pub mod backend;
pub mod backoff;
pub mod channel;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod control_message;
pub mod dev;
pub mod dispatch;
pub mod error;
pub mod fnv;
pub mod function_version;
pub mod gateway;
pub mod gateway_message;
pub mod hot;
pub mod id;
pub mod management;
pub mod metrics;
pub mod openapi;
pub mod query;
pub mod registry;
pub mod scaffold;
pub mod shutdown;
pub mod startup;
