//! Pods of a Kubernetes cluster: a Job for each attempt of a `JOB`, a Deployment for a `WARM` function.
//!
//! A watch of pods learns an address half a second late, and a Job's status its end seconds late. So
//! instances announce themselves and attempts end with the post of their result; the watches are the
//! fallback, and the truth about death.
//!
//! | file | holds |
//! |---|---|
//! | `cluster` | the way to the API server, and what is known of where we run |
//! | `context` | the parts of the control thread that pods are served with |
//! | `calls` | metrics of the calls to the API server |
//! | `template` | a function's specification as a template of pods |
//! | `kube_jobs` | the Jobs of one version, one for each attempt |
//! | `job` | the object of one Job |
//! | `workload` | the pods of a `WARM` function, over its versions: one Deployment, and the pod sets of its versions |
//! | `pod_set` | the pods that serve one version |
//! | `instance_index` | the slots of a version's instances, and how lost ones ended |
//! | `health` | health checks of pods |
//! | `tracked_pod` | one pod of a `WARM` function, as far as it is known: a state machine |
//! | `observed_pod` | such a pod as the watch shows it |
//! | `reconcile` | the reconcile loop of a function's Deployment |
//! | `deployment` | the object of one Deployment, and the template of its pods |
//! | `watch` | settings of the watches of the API server, their back-off and their log |
//! | `pods` | one watch of all our pods, which tells Jobs and workloads |
//! | `failed_create` | one watch of `FailedCreate` events: a pod could not be created |
//! | `logs` | logs of functions in pods: which are read, when, and how many at once |
//! | `log_source` | the same, as a source of lines that are read for who asks |
//! | `pod_log` | the log of one pod, and how far it was read |
//! | `failure` | classes of failures, of pods and of calls to the API server |
//! | `function_object` | a Function object, as the API server keeps it |
//! | `object_error` | errors of the API server about an object, as clients are told them |

pub mod calls;
pub mod cluster;
pub mod context;
pub mod deployment;
pub mod failed_create;
pub mod failure;
pub mod function_object;
mod health;
pub mod instance_index;
pub mod job;
pub mod kube_jobs;
mod log_source;
pub mod logs;
pub mod object_error;
pub mod observed_pod;
pub mod pod_log;
pub mod pod_set;
pub mod pods;
mod reconcile;
pub mod template;
pub mod tracked_pod;
pub mod watch;
pub mod workload;

#[expect(
    clippy::disallowed_types,
    reason = "bounds calls to the API server, on the control thread; no invocation waits for it"
)]
type Semaphore = tokio::sync::Semaphore;
