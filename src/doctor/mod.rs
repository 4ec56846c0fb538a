//! Findings about this machine, or this pod: whether it is fit for low latency, and what to do where it is not.
//!
//! Each file of findings reads texts below a root, which a test replaces by a folder, and judges them. Nothing here
//! decides how `serve` behaves: the policy, the limits of local functions and the rights are asked of the parts
//! that `serve` asks.
//!
//! | file | holds |
//! |---|---|
//! | `finding` | one finding: its name, what was seen, the verdict, why it matters, what to do |
//! | `report` | all findings, as a table for people and as JSON |
//! | `kernel_files` | texts of `/proc`, `/sys` and cgroups |
//! | `cpu_list` | lists of CPUs, as the kernel writes them |
//! | `cores` | cores that this process may use, and whether others use them |
//! | `cpu_quota` | quotas of CPU time, and throttling |
//! | `policy` | the scheduler policy that `serve` would choose |
//! | `clock_source` | the clock source, and the cost of reading the clock |
//! | `idle_states` | idle states and frequencies of CPUs |
//! | `interruptions` | interruptions of a spinning thread |
//! | `wakes` | the time until a thread that sleeps runs again |
//! | `open_files`, `processes` | limits of open files, and of processes |
//! | `enforcement` | the means by which local functions are held to their limits |
//! | `sockets` | settings of the kernel for many connections |
//! | `memory` | huge pages and swap |
//! | `permissions` | rights in the cluster |

mod clock_source;
mod cores;
mod cpu_list;
mod cpu_quota;
mod enforcement;
pub(crate) mod finding;
mod idle_states;
mod interruptions;
mod kernel_files;
mod memory;
mod open_files;
mod permissions;
mod policy;
mod processes;
pub(crate) mod report;
mod sockets;
mod wakes;

use std::time::Duration;

use crate::clock::Clock;
use crate::config::{ServeArgs, Settings};
use crate::cpu::usable_cores;
use finding::Finding;
use kernel_files::KernelFiles;
use report::Report;

/// Looks at everything. Spins for `spin` on the CPU of the scheduler's thread; not at all for zero.
pub(crate) async fn examine(flags: &ServeArgs, spin: Duration) -> Report {
    let files = KernelFiles::here();
    let clock = Clock::start();
    let (allowed, usable) = usable_cores();
    let settings = Settings::new(flags.clone());
    // Without a policy that pins, the CPU that one would pin to.
    let pinned = settings.as_ref().ok().and_then(|settings| settings.scheduler_core);
    let core = pinned.or_else(|| allowed.last().copied());
    let mut findings: Vec<Finding> = vec![
        cores::examine(&files, &allowed, usable),
        cpu_quota::examine(&files, allowed.len()),
        policy::examine(settings.as_ref(), &allowed, usable),
        clock_source::examine(&files, clock),
        idle_states::examine(&files, core.unwrap_or(0)),
        interruptions::examine(clock, spin, core),
        wakes::examine(clock, spin),
        open_files::examine(flags.max_connections),
        processes::examine(&files, flags),
        enforcement::examine(flags),
    ];
    findings.extend(sockets::examine(&files));
    findings.extend(memory::examine(&files));
    findings.push(permissions::examine(flags).await);
    Report { findings }
}
