//! Single-use instances of `JOB` functions that are started ahead of the executions they take.
//!
//! To the scheduler each is an instance that takes one attempt and retires with it; place 0 of a version stands for
//! instances that are started for an attempt, which serve while none can be started ahead.
//!
//! | file | holds |
//! |---|---|
//! | `standby_set` | the instances of one version: started up to the reserve and on demand, given away once |
//! | `standby_life` | one of them, from its start until it is gone |
//! | `context` | the parts of the control thread that they need |
//! | `standby_places`, `standby_slot` | their places, and one of them |
//! | `announced` | announcements, by their tokens |
//! | `start_failures` | starts that failed: the pause before the next, and the reason |
//! | `standby_state` | the state of a reserve, as people are told of it |
//! | `reserve` | how many are to be ready |
//! | `refills` | when reserves may be refilled, over all functions |
//! | `standby_instance` | one of either kind |
//! | `standby_process` | one that is a process of this machine |
//! | `per_attempt` | what starts an instance for one attempt, when none is ready and none can be |

mod announced;
pub(crate) mod context;
pub(crate) mod per_attempt;
pub(crate) mod refills;
mod reserve;
pub(crate) mod standby_instance;
mod standby_life;
mod standby_places;
mod standby_process;
pub(crate) mod standby_set;
mod standby_slot;
pub(crate) mod standby_state;
mod start_failures;
