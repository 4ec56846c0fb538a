//! Debian's Prometheus, with the configuration of `k8s/observability/`, and a control plane that was installed.

use std::fs;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::stage::{Stage, in_pods};
use crate::support::client::Client;
use crate::support::patience::{Stopwatch, eventually};

const OBSERVABILITY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/k8s/observability");
/// The manifests of the control plane itself; what they need is on every stage.
const INSTALL: [&str; 3] = [
    include_str!("../../k8s/30-services.yaml"),
    include_str!("../../k8s/40-networkpolicies.yaml"),
    include_str!("../../k8s/50-deployment.yaml"),
];

/// A running Prometheus; killed on drop, and its data with it.
struct Prometheus {
    child: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Prometheus {
    /// Scrapes what `targets.sh` finds on a stage.
    fn start(stage: &Stage) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let script = Command::new(format!("{OBSERVABILITY}/targets.sh"))
            .arg(folder.path().join("picofaas-targets.json"))
            .env("NAMESPACE", &stage.namespace)
            .output()
            .unwrap();
        assert!(script.status.success(), "{}", String::from_utf8_lossy(&script.stderr));
        let configuration = folder.path().join("prometheus-files.yml");
        fs::copy(format!("{OBSERVABILITY}/prometheus-files.yml"), &configuration).unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", configuration.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.path().join("log")).unwrap())
            .spawn()
            .expect("Debian's package prometheus is installed");
        let mut prometheus = Self { child, address, _folder: folder };
        eventually("Prometheus listens", || {
            let ended = prometheus.child.try_wait().unwrap();
            assert!(ended.is_none(), "{}", prometheus.log());
            TcpStream::connect(address).ok()
        });
        prometheus
    }

    fn log(&self) -> String {
        fs::read_to_string(self._folder.path().join("log")).unwrap()
    }

    /// Result of a query: the labels of each series, and its value.
    fn query(&self, query: &str) -> Vec<(Value, String)> {
        let mut client = Client::connect(self.address);
        client.ask(&format!("GET /api/v1/query?query={query}"), "", "");
        let answer = client.receive_streamed();
        if answer.status != 200 {
            // It says 503 until it has read its data.
            return Vec::new();
        }
        let series = answer.json()["data"]["result"].as_array().unwrap().clone();
        series
            .iter()
            .map(|one| (one["metric"].clone(), one["value"][1].as_str().unwrap().to_owned()))
            .collect()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // Fails only if it has ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Applies an object or manifests.
fn apply(stage: &Stage, manifests: &str) {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), manifests).unwrap();
    stage.kubectl(&["apply", "-f", file.path().to_str().unwrap()]);
}

/// Waits until the one pod of a selector is ready, and gives its name and its address.
fn ready_pod(stage: &Stage, selector: &str) -> (String, IpAddr) {
    eventually(&format!("a pod of {selector} is ready"), || {
        let text = stage.kubectl(&["get", "pods", "--selector", selector, "--output", "json"]);
        let pods: Value = serde_json::from_str(&text).unwrap();
        let pod = &pods["items"][0];
        let mut conditions = pod["status"]["conditions"].as_array()?.iter();
        conditions.find(|one| one["type"] == "Ready" && one["status"] == "True")?;
        let name = pod["metadata"]["name"].as_str()?.to_owned();
        Some((name, pod["status"]["podIP"].as_str()?.parse().ok()?))
    })
}

/// Asserts that promtool finds nothing to say about a pod's metrics.
fn assert_clean(metrics: SocketAddr) {
    let mut client = Client::connect(metrics);
    client.ask("GET /metrics", "", "");
    let scrape = client.receive_streamed();
    assert_eq!(scrape.status, 200, "{scrape:?}");
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("Debian's package prometheus is installed");
    promtool.stdin.take().unwrap().write_all(&scrape.body).unwrap();
    let said = promtool.wait_with_output().unwrap();
    let text = [said.stdout, said.stderr].concat();
    assert!(said.status.success() && text.is_empty(), "{metrics}: {}", String::from_utf8_lossy(&text));
}

#[test]
fn prometheus_scrapes_an_installed_control_plane_and_a_warm_pod_and_promtool_finds_no_fault() {
    let stage = Stage::new("prometheus");
    let there = stage.kubectl(&["get", "nodes", "--output", "jsonpath={.items[*].status.images[*].names}"]);
    let image = concat!("picofaas.invalid/picofaas:", env!("CARGO_PKG_VERSION"));
    assert!(
        there.contains(&format!("\"{image}\"")),
        "no node has {image}: `cargo xtask verify cluster` brings it"
    );
    let manifests = INSTALL
        .join("\n---\n")
        .replace("namespace: picofaas\n", &format!("namespace: {}\n", stage.namespace));
    // Where a whole CPU may not be free, beside other tests.
    apply(&stage, &manifests.replace("cpu: \"1\"", "cpu: 100m"));
    let mut spec = in_pods("f", "WARM", "echo");
    spec.as_object_mut().unwrap().remove("name");
    spec["replicas"] = json!({ "min": 1, "max": 1 });
    spec["resources"] = json!({ "requests": { "cpu": "10m", "memory": "16Mi" } });
    let function = json!({ "apiVersion": "picofaas.dev/v1", "kind": "Function", "metadata": { "name": "f" }, "spec": spec });
    apply(&stage, &function.to_string());
    let (plane, plane_ip) = ready_pod(&stage, "app.kubernetes.io/component=control-plane");
    let (pod, pod_ip) = ready_pod(&stage, "picofaas.dev/function=f");

    let watch = Stopwatch::start();
    let prometheus = Prometheus::start(&stage);
    let mut last = Vec::new();
    eventually("both are up", || {
        last = prometheus.query("up");
        (last.len() == 2 && last.iter().all(|(_, value)| value == "1")).then_some(())
    });
    let took = watch.elapsed();
    let labels = |job: &str| {
        let found = last.iter().find(|(labels, _)| labels["job"] == job);
        found.unwrap_or_else(|| panic!("no {job} in {last:?}")).0.clone()
    };
    assert_eq!(labels("picofaas")["pod"], plane.as_str());
    let of_function = labels("picofaas-functions");
    assert_eq!((&of_function["pod"], &of_function["function"]), (&json!(pod), &json!("f")));
    println!("both were up {took:?} after Prometheus was started");

    // With something to tell.
    let mut client = Client::connect((plane_ip, 8080).into());
    eventually("the function answers", || (client.invoke("f", 1).status == 200).then_some(()));
    assert_clean((plane_ip, 8081).into());
    assert_clean((pod_ip, 8080).into());
}
