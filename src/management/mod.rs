//! What operators and Prometheus see.
//!
//! | file | holds |
//! |---|---|
//! | `metrics` | `/metrics`: the gateways' counts, merged |
//! | `inside` | the page, and `/debug/state` |
//! | `server` | the management listener |

pub mod inside;
pub mod metrics;
pub mod server;
