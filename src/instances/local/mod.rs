//! Processes on this machine.
//!
//! | file | holds |
//! |---|---|
//! | `process_set` | the instances of one version: started, watched, replaced, stopped |
//! | `job_processes` | the processes of one version that take one attempt each |
//! | `process` | one local process, from its start until nothing of it is left |
//! | `children` | the processes that are our children, and those left to us |
//! | `limits` | limits of local processes, and their means |
//! | `cgroup` | the control groups of the kernel |
//! | `rlimit` | the limits that a process inherits |

pub mod cgroup;
pub mod children;

pub mod job_processes;
pub mod limits;
pub mod process;
pub mod process_set;
pub mod rlimit;
