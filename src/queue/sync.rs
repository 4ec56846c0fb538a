//! The atomics that our own protocols use: loom's under the feature `loom`, else std's.

#[cfg(feature = "loom")]
pub(crate) use loom::sync::atomic::{AtomicBool, Ordering, fence};
#[cfg(not(feature = "loom"))]
pub(crate) use std::sync::atomic::{AtomicBool, Ordering, fence};
