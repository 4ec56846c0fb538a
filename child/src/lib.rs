//! Child processes, made without a copy of the memory of the one that makes them.
//!
//! The control plane starts functions with it, and the watchdog the program behind it.
//!
//! | file | has |
//! |---|---|
//! | `program` | what a child becomes: a file, arguments, an environment, a folder |
//! | `gate` | what a child does to itself before that: cgroups and limits |
//! | `child` | the making, with all unsafe code, and the end |

mod child;
mod gate;
mod program;

pub use child::Child;
pub use gate::{Bound, Gate};
pub use program::Program;
