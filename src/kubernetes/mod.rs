//! Work at the API server: a Job for each attempt of a `JOB`, a Deployment for a `WARM` function, the pods and logs of
//! both, and Function objects.
//!
//! All tasks here share the control thread, so nothing that a task has read can change before its next await; clippy
//! refuses a borrow over an await.
//!
//! A watch of pods reports an address about half a second late, and a Job's status reports its end seconds late. So pods
//! announce themselves, and a client is answered when the result of its Job is posted. The watches are the fallback, and
//! they alone say that a pod has ended.
//!
//! # Ownership
//!
//! | state | writer | readers |
//! |---|---|---|
//! | `Cluster::owners`: the Function object of each name | registry | reconcile loops |
//! | `Pods::attempts`: Jobs whose pod has not ended, each with its waiting task | the task of a Job adds and forgets; the watches of pods and of events take out | the same |
//! | `Pods::workloads`: the workload of each function | a pod set that is opened adds; the reconcile loop that deletes the Deployment removes | the watches, pod sets that are opened, registry |
//! | `Cluster::finished_jobs`: Jobs that have finished and are kept (`FinishedJobs`) | the tasks of Jobs | the same; attempts that meet a quota (`JobRoom`) take out |
//! | `Workload::{desired, desired_replicas}`: the Deployment that is wanted | pod sets; the reconcile loop takes over the number of a Deployment that it finds | the reconcile loop, pod sets |
//! | `Workload::deleting` | registry, and a version that is no `WARM` one, set it; a pod set that is opened clears it | the reconcile loop, pod sets |
//! | `Workload::{applied_template, applied_replicas, adopted}`: the Deployment that is known to be there | the reconcile loop | the same |
//! | `Workload::pods`: a state machine for each pod (`TrackedPod`) | the watch, announcements, health checks; pod sets name candidates for a scale-down; the reconcile loop adopts pods, and notes which are annotated | pod sets, the reconcile loop, health checks |
//! | `Workload::tokens`: proofs of pods, by template | the reconcile loop, the watch | announcements |
//! | `Workload::problem`: why there are no more pods | the reconcile loop, the watches of events and of pods | pod sets |
//! | `Workload::room`: room that was made where a quota is met (`WarmRoom`) | the watches of events and of pods | the same |
//! | `PodSet::index`: pods in slots (`InstanceIndex`) | its pod set | the same |
//! | `PodSet::pending_starts`: starts that the scheduler counts on | its pod set | the same |
//! | `FunctionVersion::{addresses, endings, problem}` | the version's pod set; for a `JOB`, `problem` alone, by its Jobs | gateways; `problem` also reads of the function |
//! | `KubeContext::populated` | pod sets add, the autoscaler removes | the autoscaler |
//! | `PodLogs::{warm, attempts, ended, readers}`: logs that are read or may be | the watch of pods; tasks of Jobs; readers of lines | the same |
//! | how far a pod's log has been read | the holder of its one permit `PodLog::reader` | the same |
//!
//! # Events
//! The reconcile loop of a function decides its next step by the state alone (`ReconcileState`): delete,
//! apply the template, annotate pods, write the number. An event that changes the desired state wakes it.
//!
//! States are those of `PodState`. `Ready`, `Down`, `StartFailed` and `SchedulerCommand::Starting` are commands to the
//! scheduler. A slot is an instance's place in the scheduler's table of the version; a pending start is one that the
//! scheduler counts on. After each change of a pod, serving pods get free slots, and pending starts that cannot succeed fail
//! (`PodSet`).
//!
//! | event | effect |
//! |---|---|
//! | a version is opened | its pod set joins the workload; the scheduler is told once how many pods come (`SchedulerCommand::Starting`); the Deployment is reconciled |
//! | the scheduler wants an instance | one more pending start; one more replica, unless a pod that starts anyway will do |
//! | a pod announces itself | Starting or Unknown → Serving, `Ready`, and health checks until its node finds it ready; Serving: another container, `Down` and `Ready` |
//! | the watch shows that a container runs which has not announced itself | Starting → Unknown: health checks until one succeeds |
//! | the watch shows that a pod is ready, or a health check of one in Unknown succeeds | Starting or Unknown → Serving, `Ready`. Where another container keeps the pod from being ready: from Starting only, and health checks go on |
//! | the watch shows a restart, an end, or that a pod is not ready any more | Serving → Unknown, `Down`, address withdrawn at once; health checks until one succeeds. Ready again with another container: `Down` and `Ready` |
//! | two health checks fail while the node does not find the pod ready | Serving → Unknown, as above; it counts as stuck |
//! | the watch shows that a pod is being deleted or has ended for good | any → Terminating, `Down` if it served; it takes what was granted before |
//! | the watch does not show a pod any more | the same, and it is forgotten |
//! | a connection to an instance failed | health checks until one succeeds, then `Ready` again |
//! | the scheduler retires an idle instance | its slot is free, `Down`, and it takes what was granted before; unless `replicas.min` would not be left, one replica less (of the latest version only), and the pod is annotated as the one to go |
//! | for a long time no execution has needed the pending starts | `StartFailed` for each; replicas fall to those that are needed |
//! | a quota is met by a pod of a `WARM` function | the oldest Job that is kept is deleted, and the function is told of the quota where none is, or where the quota is met 2 s later |
//! | a pod of a `WARM` function, or of a Job for another reason than a quota, could not be created | the workload has a permanent problem: pending starts fail where no pod serves or may come to; the attempt of a Job ends |
//! | a call of the reconcile loop fails | the workload has the problem, and the step is made again after 100 ms … 2 s; the next answer clears it where it may pass |
//! | a version is closed, and nothing of it is left | its pod set leaves; with the last one of a function that is deleted, the Deployment is deleted |
//! | an attempt of a `JOB` is granted | its Job is made |
//! | the watch shows that a container has started | `WARM`: its log is followed; `JOB`: it is followed while a reader follows its lines |
//! | the function's container in the pod of a Job ends, or its Job is gone | the attempt ends, and its log is read; then the Job is one of those that are kept. Where other containers of its pod go on for 10 s more, it is deleted |
//! | a quota is met by a Job, or by its pod | the oldest Job that is kept is deleted, and the attempt is begun again; where none is kept, an end of another attempt is waited for, and the attempt ends where none runs. Attempts that wait are let go in turn, one for each place that comes free |
//! | no node has room for a pod that a call waits for | the reserves of other functions give up the pods that wait for room, too; one pod goes that waits for an execution, of the function that was not called for the longest time; every 4 s, while there is no room |
//! | more Jobs are kept than `--finished-jobs-max` | the oldest are deleted |
//! | an attempt has posted its result | its pod may end by itself: after `--stop-timeout-ms` for 10 s more where its node says that the container runs, else for 120 s more; then its Job is deleted |
//! | an attempt is not wanted any more | its Job is deleted; the attempt ends with its pod, or after 5 s |
//!
//! # Files
//!
//! | file | holds |
//! |---|---|
//! | `without_cluster` | this folder in a program that was built without clusters |
//! | `cluster` | the client of the API server, namespace and URLs, and the state that all functions share |
//! | `context` | what the control thread lends to this folder: commands to the scheduler, clock, limits |
//! | `api_server_return` | refusals by an API server that has just come back, which are none |
//! | `calls` | a call to the API server: its time-out, its errors and its metrics |
//! | `permissions`, `access` | rights of the control plane, and which of them it lacks |
//! | `template` | a function's specification as a template of pods |
//! | `kube_jobs` | the Jobs of one version, one for each attempt |
//! | `standby_job` | a single-use instance: the pod of a Job that is made ahead of its execution |
//! | `execution_mark` | the execution that it was given, as it is written to the Job and to its pod |
//! | `idle_pods` | such instances of an earlier control plane, to be taken over |
//! | `job` | the object of one Job |
//! | `finished_jobs` | Jobs that have finished and are kept, and how the oldest go |
//! | `job_room` | room for the Job of one attempt where a quota is met |
//! | `late_end` | the end of a pod whose result was posted, and whether its container goes on |
//! | `place_line` | places that come free below a quota, and who waits for one, in turn |
//! | `workload` | the pods of a `WARM` function, over its versions: one Deployment, and the pod sets of its versions |
//! | `warm_room` | room for its pods where a quota is met |
//! | `pod_set` | the pods that serve one version |
//! | `pod_connections` | connections that belong to a client and one of its pods alone |
//! | `pod_start` | the start of such a pod, as far as it is known |
//! | `instance_index` | the slots of a version's instances, and how lost ones ended |
//! | `health` | health checks of pods of `WARM` functions |
//! | `tracked_pod` | one pod of a `WARM` function, as far as it is known: a state machine |
//! | `observed_pod` | such a pod as the watch shows it |
//! | `reconcile` | the reconcile loop of a function's Deployment |
//! | `deployment` | the object of one Deployment, and the template of its pods |
//! | `watch` | settings of the watches of the API server, their back-off and their log |
//! | `pods` | one watch of all our pods, which tells Jobs and workloads |
//! | `no_room` | pods for which no node has room |
//! | `failed_create` | one watch of `FailedCreate` events: a pod could not be created |
//! | `logs` | logs of functions in pods: which are read, when, and how many at once |
//! | `log_source` | logs of pods as a source of lines, read when a client asks |
//! | `pod_log` | the log of one pod, and how far it was read |
//! | `function_container` | the function's container of a pod, among others that were put beside it |
//! | `failure` | classes of failures, of pods and of calls to the API server |
//! | `fake_api` | an API server for tests of parts |
//! | `function_object` | a Function object, as the API server keeps it |
//! | `object_error` | errors of the API server about an object, as clients are told them |

pub(crate) mod access;
mod api_server_return;
mod calls;
pub(crate) mod cluster;
pub(crate) mod context;
mod deployment;
mod execution_mark;
mod failed_create;
mod failure;
#[cfg(test)]
mod fake_api;
mod finished_jobs;
mod function_container;
pub(crate) mod function_object;
mod health;
pub(crate) mod idle_pods;
mod instance_index;
mod job;
mod job_room;
pub(crate) mod kube_jobs;
mod late_end;
mod log_source;
mod logs;
#[cfg(test)]
mod manifests;
mod no_room;
pub(crate) mod object_error;
mod observed_pod;
pub(crate) mod permissions;
mod place_line;
mod pod_connections;
mod pod_log;
pub(crate) mod pod_set;
mod pod_start;
mod pods;
mod reconcile;
pub(crate) mod standby_job;
pub(crate) mod template;
mod tracked_pod;
mod warm_room;
pub(crate) mod watch;
mod workload;

#[expect(
    clippy::disallowed_types,
    reason = "bounds calls to the API server, on the control thread; no invocation waits for it"
)]
type Semaphore = tokio::sync::Semaphore;
