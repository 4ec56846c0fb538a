//! Pods of a Kubernetes cluster: a Job for each attempt of a `JOB`, a Deployment for a `WARM` function.
//!
//! A watch of pods learns an address half a second late, and a Job's status its end seconds late. So
//! instances announce themselves and attempts end with the post of their result; the watches are the
//! fallback, and the truth about death.
//!
//! | file | holds |
//! |---|---|
//! | `cluster` | the way to the API server, and what is known of where we run |
//! | `calls` | how many calls were made to the API server, and how long they took |
//! | `template` | a function's specification as a template of pods |
//! | `jobs` | the Jobs of one lane, one for each attempt |
//! | `job` | the object of one Job |
//! | `workload` | the pods of a `WARM` function, over its versions: one Deployment, and who is told of its pods |
//! | `crew` | the pods that serve one lane |
//! | `places` | the places of a lane, and how what was lost there ended |
//! | `asking` | pods that are asked whether they serve |
//! | `member` | one pod of a `WARM` function, as far as it is known |
//! | `sighting` | what the watch shows of such a pod |
//! | `writer` | the one task that writes a function's Deployment |
//! | `deployment` | the object of one Deployment, and the revision of its pods |
//! | `watching` | how the API server is watched, and what is done while it is away |
//! | `pods` | one watch of all our pods, and who is told of each |
//! | `refusals` | one watch of the events that say that a pod could not be made |
//! | `logs` | what functions in pods write: who is read, when, and how many at once |
//! | `pod_log` | the log of one pod, and how far it was read |
//! | `turns` | so many at once, and the others in line |
//! | `verdict` | what the state of a pod, or an answer of the API server, means |

mod asking;
pub mod calls;
pub mod cluster;
pub mod crew;
pub mod deployment;
pub mod job;
pub mod jobs;
pub mod logs;
pub mod member;
pub mod places;
pub mod pod_log;
pub mod pods;
pub mod refusals;
pub mod sighting;
pub mod template;
pub mod turns;
pub mod verdict;
pub mod watching;
pub mod workload;
mod writer;
