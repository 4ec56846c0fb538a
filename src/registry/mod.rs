//! FUNCTION REGISTRY: the functions that are registered, the sources they come from, and their roll-out.
//!
//! | file | holds |
//! |---|---|
//! | `rollout` | creating, replacing and deleting functions, step by step over all threads |
//! | `handlers` | the API handlers of functions, and of the other calls that control answers |
//! | `supports` | fields of a function that this control plane cannot support |
//! | `cluster` | the Function objects of a cluster, which keeps the registry there |

pub mod cluster;
pub mod handlers;
pub mod rollout;
pub mod supports;
