//! What the tests on a cluster share.
//!
//! | file | holds |
//! |---|---|
//! | `namespace` | a namespace of one test, and what is in it |
//! | `plane` | the control plane as a process of this machine |
//! | `load` | callers that invoke without a pause |
//! | `client`, `patience` | those of `tests/system` |

#[path = "../../system/support/client.rs"]
#[allow(dead_code, reason = "tests/system uses the rest")]
pub mod client;
pub mod load;
pub mod namespace;
#[path = "../../system/support/patience.rs"]
#[allow(dead_code, reason = "tests/system uses the rest")]
pub mod patience;
pub mod plane;
