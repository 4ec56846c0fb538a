//! What operators and Prometheus see.
//!
//! | file | holds |
//! |---|---|
//! | `server` | the management listener |
//! | `page` | the page, and `/debug/state` |

pub mod page;
pub mod server;
