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
//! | `workload` | the pods of a `WARM` function, over its versions: one Deployment, and the pod sets of its lanes |
//! | `pod_set` | the pods that serve one lane |
//! | `places` | the places of a lane, and how what was lost there ended |
//! | `asking` | pods that are asked whether they serve |
//! | `tracked_pod` | one pod of a `WARM` function, as far as it is known: a state machine |
//! | `observed_pod` | such a pod as the watch shows it |
//! | `reconcile` | the reconcile loop of a function's Deployment |
//! | `deployment` | the object of one Deployment, and the template of its pods |
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
pub mod deployment;
pub mod job;
pub mod jobs;
pub mod logs;
pub mod observed_pod;
pub mod places;
pub mod pod_log;
pub mod pod_set;
pub mod pods;
mod reconcile;
pub mod refusals;
pub mod template;
pub mod tracked_pod;
pub mod turns;
pub mod verdict;
pub mod watching;
pub mod workload;
