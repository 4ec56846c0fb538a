//! `picofaas dev`: functions that are being written. Everything here runs on the control thread,
//! what reads many files on tokio's blocking threads.
//!
//! | file | holds |
//! |---|---|
//! | `content` | content of a function's source files, so that only a change of it counts as one |
//! | `process_writes` | evidence that a function's own processes wrote a file |
//! | `own_writes` | the files that a function writes itself, which are no edits |
//! | `scan` | one look at the folder: its manifests, their contents, what to watch |
//! | `watch` | changed paths, told when it has been quiet for a moment |
//! | `build_cache` | digests of what was built, kept over restarts |
//! | `build` | one run of `local.build` |
//! | `build_queue` | builds that run, that wait, and that a newer edit ends |
//! | `project` | one function: its state, and its next step |
//! | `summary` | the line that says how many functions are served |
//! | `dev_server` | all functions: scan, build, serve, report |
//! | `followed_folder` | manifests that `serve --watch` follows, without building |
//! | `example_call` | the curl lines that call a function |
//! | `terminal` | lines for the person in front of it |

pub(crate) mod build;
pub(crate) mod build_cache;
pub(crate) mod build_queue;
pub(crate) mod content;
pub(crate) mod dev_server;
pub(crate) mod example_call;
pub(crate) mod followed_folder;
mod own_writes;
mod process_writes;
pub(crate) mod project;
pub(crate) mod scan;
mod summary;
pub(crate) mod terminal;
pub(crate) mod watch;
