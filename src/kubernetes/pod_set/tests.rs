use serde_json::json;

use super::*;
use crate::id::Token;
use crate::instance::InstanceReport;
use crate::kubernetes::fake_api;
use crate::metrics::MetricsByGateway;
use crate::queue::function_queue::FunctionQueue;
use crate::spec::parse_function;

const TOKEN: Token = Token { high: 1, low: 2 };

fn open(cluster: &Rc<Cluster>, index: u32, image: &str) -> Rc<PodSet> {
    let spec = json!({ "name": "f", "image": image, "executionMode": "WARM" });
    let version = FunctionVersion {
        tags: Arc::default(),
        index,
        queue: Arc::new(FunctionQueue::new(1)),
        addresses: (0..2).map(|_| arc_swap::ArcSwapOption::empty()).collect(),
        endings: (0..2).map(|_| arc_swap::ArcSwapOption::empty()).collect(),
        metrics: Arc::new(MetricsByGateway::new(1)),
        problem: Arc::default(),
        spec: parse_function(spec.to_string().as_bytes()).unwrap(),
    };
    PodSet::open(cluster, &Arc::new(version))
}

/// The watch shows a pod of this set, which runs.
fn show(pod_set: &PodSet, pod: &str, is_ready: bool) {
    let shown = json!({
        "metadata": { "name": pod, "labels": { "picofaas.dev/revision": pod_set.template_hash } },
        "spec": { "nodeName": "n", "containers": [] },
        "status": {
            "phase": "Running",
            "podIP": "10.1.2.3",
            "conditions": [{ "type": "Ready", "status": if is_ready { "True" } else { "False" } }],
            "containerStatuses": [{
                "name": "function", "image": "i", "imageID": "", "ready": is_ready, "restartCount": 0,
                "state": { "running": { "startedAt": "2026-01-01T00:00:00Z" } },
            }],
        },
    });
    pod_set.workload.pod_changed(&serde_json::from_value(shown).unwrap());
}

/// A pod of this set says that it listens.
fn announce(pod_set: &PodSet, pod: &str, report: InstanceReport) {
    let token = Token { high: TOKEN.high, low: u64::from(pod_set.function.index) };
    pod_set.workload.remember_token(&pod_set.template_hash, token);
    let address = "10.1.2.3:8080".parse().unwrap();
    let announcement = Announcement { token, instance: pod.to_owned(), address, report };
    assert!(matches!(pod_set.announced(&announcement), Some(Ok(()))));
}

#[test]
fn a_pod_that_kubernetes_has_not_found_ready_serves_and_does_not_replace_one_of_the_version_before() {
    fake_api::run(async {
        let (cluster, _calls) = Cluster::fake();
        let before = open(&cluster, 0, "before");
        announce(&before, "fn-f-1", InstanceReport::default());
        assert!(before.can_serve(), "there is nothing to hand over from");
        show(&before, "fn-f-1", true);

        let after = open(&cluster, 1, "after");
        assert!(!after.can_serve());
        announce(&after, "fn-f-2", InstanceReport::default());
        assert!(!after.can_serve(), "the Deployment may still take its only pod away");
        show(&after, "fn-f-2", false);
        assert_eq!((after.assigned(), after.can_serve()), (1, false));
        show(&after, "fn-f-2", true);
        assert!(after.can_serve());
        show(&after, "fn-f-2", false);
        assert!(!after.can_serve(), "its node has found it wanting");
    });
}

#[test]
fn a_pod_that_was_asked_for_has_the_times_of_its_start_and_another_has_none() {
    fake_api::run(async {
        let (cluster, _calls) = Cluster::fake();
        let pod_set = open(&cluster, 0, "i");
        pod_set.start_wanted();
        show(&pod_set, "fn-f-1", false);
        let age = Some(Duration::ZERO);
        let report = InstanceReport { process_age: age, handler_age: age, ..InstanceReport::default() };
        announce(&pod_set, "fn-f-1", report);
        let start = |at: usize| pod_set.function.addresses[at].load_full().expect("it serves").start.clone();
        let InstanceStart { wanted, scheduled, container, runtime, handler, ready, .. } = *start(0);
        assert!(wanted > 0 && wanted <= scheduled, "asked for at {wanted}, bound at {scheduled}");
        assert!(scheduled <= container && container <= ready, "{scheduled}, {container}, {ready}");
        assert_eq!((runtime, handler), (0, container));
        pod_set.fail_pending_starts();
        announce(&pod_set, "fn-f-2", report);
        let unasked = InstanceStart { name: "fn-f-2".into(), ..InstanceStart::default() };
        assert_eq!(*start(1), unasked);
    });
}

#[test]
fn a_pod_takes_over_on_its_own_word_where_none_of_the_version_before_serves() {
    fake_api::run(async {
        let (cluster, _calls) = Cluster::fake();
        let before = open(&cluster, 0, "before");
        show(&before, "fn-f-1", false);
        let after = open(&cluster, 1, "after");
        announce(&after, "fn-f-2", InstanceReport::default());
        assert!(after.can_serve());
    });
}
