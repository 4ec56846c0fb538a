//! Child processes, made without a copy of the memory of the one that makes them.
//!
//! The control plane starts functions with it, and the watchdog the program behind it.
//!
//! | file | has |
//! |---|---|
//! | `program` | what a child becomes: a file, arguments, an environment, a folder |
//! | `environment` | its variables, and those that one child has besides |
//! | `stream` | where its standard streams lead |
//! | `gate` | what a child does to itself before that: cgroups and limits |
//! | `child` | the making, with all unsafe code, and the end |
//! | `line` | whose execution a line that it writes says it is of |

mod child;
mod environment;
mod gate;
pub mod line;
mod program;
mod stream;

pub use child::Child;
pub use environment::Changes;
pub use gate::{Bound, Gate};
pub use program::Program;
pub use stream::{Stream, Streams};
