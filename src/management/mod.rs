//! What operators and Prometheus see.
//!
//! | file | holds |
//! |---|---|
//! | `metrics` | `/metrics`: the gateways' counts, merged |
//! | `server` | the management listener |

pub mod metrics;
pub mod server;
