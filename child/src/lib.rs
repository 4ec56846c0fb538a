//! Child processes, made without a copy of their parent's memory.
//!
//! The control plane starts functions with it, and the watchdog the program behind it.
//!
//! | file | has |
//! |---|---|
//! | `program` | the program of a child: a file, arguments, an environment, a folder |
//! | `environment` | its variables, and their changes for one child |
//! | `stream` | its standard streams |
//! | `confinement` | the cgroups and limits that a child enters before that |
//! | `cgroup` | the groups that a process is in, and their kills for want of memory |
//! | `child` | the start, with all unsafe code but a line, and the end |
//! | `process_end` | the end of any process, told by the kernel |
//! | `line` | the execution that a line of its log is of, by the head of a text or the members of an object |
//! | `locale` | the character set that it works in |

pub mod cgroup;
mod child;
mod confinement;
mod environment;
pub mod line;
pub mod locale;
mod process_end;
mod program;
mod stream;

pub use child::Child;
pub use confinement::{Confinement, ResourceLimit};
pub use environment::EnvironmentChanges;
pub use process_end::ProcessEnd;
pub use program::Program;
pub use stream::{Stream, Streams};
