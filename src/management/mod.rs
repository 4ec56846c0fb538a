//! The listener of operators, its page, health and metrics. It renders what it is given, and asks nobody.
//!
//! | file | holds |
//! |---|---|
//! | `server` | the management listener |
//! | `health` | `/healthz` and `/readyz` |
//! | `metrics` | `/metrics` |
//! | `page` | the page |
//! | `debug_state` | `/debug/state` |

pub(crate) mod debug_state;
pub(crate) mod health;
pub(crate) mod metrics;
pub(crate) mod page;
pub(crate) mod server;
