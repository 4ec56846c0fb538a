//! `picofaas dev`: functions that are being written. Everything here runs on the control thread,
//! what reads many files on tokio's blocking threads.
//!
//! | file | holds |
//! |---|---|
//! | `content` | what a function's source files hold, so that only a change of it counts as one |
//! | `survey` | one look at the folder: its manifests, their contents, what to watch |
//! | `watch` | which paths changed, told when it has been quiet for a moment |
//! | `stamp` | what was built before, remembered over restarts |
//! | `build` | one run of `local.build` |
//! | `queue` | which builds run, which wait, and which a newer edit ends |
//! | `project` | one function: what is known of it, and what to do next |
//! | `workshop` | all of them: survey, build, serve, report |
//! | `trial` | the curl lines that call a function |
//! | `terminal` | lines for the person in front of it |

pub mod build;
pub mod content;
pub mod project;
pub mod queue;
pub mod stamp;
pub mod survey;
pub mod terminal;
pub mod trial;
pub mod watch;
pub mod workshop;
