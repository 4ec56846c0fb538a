use arc_swap::ArcSwapOption;
use serde_json::json;

use super::*;
use crate::channel::{AnswerSender, MessageReceiver, oneshot};
use crate::kubernetes::{failure, fake_api};
use crate::metrics::MetricsByGateway;
use crate::queue::function_queue::FunctionQueue;
use crate::spec::parse_function;

const JOB: &str = "fn-f-1";

/// A version of a `JOB` in an image, with room for one execution in its queue.
pub(in crate::kubernetes) fn version() -> FunctionVersion {
    let spec = parse_function(br#"{"name":"f","image":"i"}"#).unwrap();
    FunctionVersion {
        tags: Arc::default(),
        index: 0,
        queue: Arc::new(FunctionQueue::new(1)),
        addresses: Box::default(),
        endings: Box::default(),
        metrics: Arc::new(MetricsByGateway::new(1)),
        problem: Arc::new(ArcSwapOption::empty()),
        spec,
    }
}

/// An attempt whose Job was made.
struct Attempt {
    cluster: Rc<Cluster>,
    calls: MessageReceiver<String>,
    kill: Option<AnswerSender<Kill>>,
    life: JoinHandle<AttemptLife>,
}

impl Attempt {
    async fn begin() -> Self {
        let (cluster, mut calls) = Cluster::fake();
        let jobs = KubeJobs::new(cluster.clone(), Arc::new(version()));
        let (kill, killed) = oneshot::channel();
        let life = tokio::task::spawn_local(async move {
            let mut object = Job::default();
            object.metadata.name = Some(JOB.to_owned());
            jobs.live(JOB, &object, Duration::from_secs(600), killed).await
        });
        assert_eq!(calls.recv().await.as_deref(), Some("POST jobs"));
        Self { cluster, calls, kill: Some(kill), life }
    }

    /// Tells that the Job's pod could not be made.
    fn not_created(&self) {
        self.cluster.pods.job_without_pod(
            JOB,
            Some("made"),
            failure::of_failed_create("exceeded quota: few"),
        );
    }

    fn kill(&mut self, why: Kill) {
        channel::answer(self.kill.take().unwrap(), why);
    }

    fn pod(&self, phase: &str) {
        let pod = fake_api::pod_of_job(JOB, "made", &json!({ "phase": phase }));
        self.cluster.pods.changed(&pod, 1);
    }
}

fn block_on(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build_local(tokio::runtime::LocalOptions::default())
        .unwrap()
        .block_on(test);
}

/// Lets the other tasks go on until a condition holds.
async fn until(holds: impl Fn() -> bool) {
    while !holds() {
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_quota_that_is_told_after_the_result_was_posted_ends_nothing_and_deletes_no_job() {
    block_on(async {
        let mut attempt = Attempt::begin().await;
        until(|| attempt.cluster.finished_jobs.unfinished() == 1).await;
        attempt.kill(Kill::Posted);
        until(|| attempt.cluster.pods.has_pod(JOB)).await;
        attempt.not_created();
        attempt.pod("Succeeded");
        let life = attempt.life.await.unwrap();
        assert!(life.end.exited_with_0 && life.kept == Some(FinishedPod::Over), "{}", life.end.reason);
        assert!(attempt.calls.try_recv().is_err(), "its Job was deleted, or made again");
    });
}

#[test]
fn a_quota_that_is_told_while_the_pod_runs_does_not_take_its_job_away() {
    block_on(async {
        let mut attempt = Attempt::begin().await;
        until(|| attempt.cluster.finished_jobs.unfinished() == 1).await;
        attempt.pod("Running");
        attempt.not_created();
        attempt.pod("Succeeded");
        let life = attempt.life.await.unwrap();
        assert!(life.end.exited_with_0, "{}", life.end.reason);
        assert!(attempt.calls.try_recv().is_err(), "its Job was deleted, or made again");
    });
}

#[test]
fn a_kill_that_comes_while_room_is_waited_for_ends_the_attempt() {
    block_on(async {
        let mut attempt = Attempt::begin().await;
        until(|| attempt.cluster.finished_jobs.unfinished() == 1).await;
        // Another attempt runs, whose end is waited for.
        attempt.cluster.finished_jobs.began();
        attempt.not_created();
        assert_eq!(attempt.calls.recv().await.as_deref(), Some("DELETE fn-f-1"));
        attempt.kill(Kill::Unwanted);
        assert_eq!(attempt.life.await.unwrap().end.code, ErrorCode::Cancelled);
    });
}
