//! The atomics that our own protocols use: loom's under the feature `loom`, else std's.

#[cfg(feature = "loom")]
pub use loom::sync::atomic::{AtomicBool, Ordering, fence};
#[cfg(not(feature = "loom"))]
pub use std::sync::atomic::{AtomicBool, Ordering, fence};
