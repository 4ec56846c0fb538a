//! An API server of Kubernetes, as far as the client commands call it: nodes, objects of functions, one pod, and a
//! port of it that leads to a real control plane.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_queue::ArrayQueue;
use hyper::header::HeaderValue;
use serde_json::{Value, json};
use tungstenite::handshake::server::{Request, Response};
use tungstenite::{Error, Message};

/// How long a read of either end waits before the other is looked at.
const TURN: Duration = Duration::from_millis(2);

/// Protocol of forwarded ports.
const PROTOCOL: &str = "v4.channel.k8s.io";

const FUNCTIONS: &str = "/apis/picofaas.dev/v1/namespaces/team/functions";
const NODES: &str = "/api/v1/nodes";
const PODS: &str = "/api/v1/namespaces/team/pods";

/// The server. It ends with the process.
pub(crate) struct FakeCluster {
    address: SocketAddr,
    requests: Arc<ArrayQueue<String>>,
}

/// Everything that it answers from.
struct State {
    control_plane: Option<SocketAddr>,
    nodes: Value,
    objects: BTreeMap<String, Value>,
}

/// A request that was read whole.
struct Head {
    line: String,
    body: Vec<u8>,
}

impl FakeCluster {
    /// Starts one whose control plane is at `control_plane`, or has none.
    pub(crate) fn start(control_plane: Option<SocketAddr>) -> Self {
        Self::start_with(control_plane, json!([]))
    }

    /// Starts one without a control plane, of these nodes. Each is of a boot id and a machine id.
    pub(crate) fn start_of_nodes(ids: &[(&str, &str)]) -> Self {
        let node = |(boot_id, machine_id): &(&str, &str)| {
            json!({
                "metadata": { "name": "n" },
                "status": { "nodeInfo": {
                    "architecture": "amd64", "bootID": boot_id, "containerRuntimeVersion": "containerd://1.7.0",
                    "kernelVersion": "6", "kubeProxyVersion": "", "kubeletVersion": "v1.34.0", "machineID": machine_id,
                    "operatingSystem": "linux", "osImage": "", "systemUUID": "",
                } },
            })
        };
        Self::start_with(None, ids.iter().map(node).collect())
    }

    fn start_with(control_plane: Option<SocketAddr>, nodes: Value) -> Self {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(ArrayQueue::new(256));
        let seen = requests.clone();
        std::thread::spawn(move || {
            let mut state = State { control_plane, nodes, objects: BTreeMap::new() };
            for stream in listener.incoming() {
                serve(stream.unwrap(), &mut state, &seen);
            }
        });
        Self { address, requests }
    }

    /// A kubeconfig whose context `lab` is this cluster, with a namespace of its own; another is in force.
    pub(crate) fn kubeconfig(&self) -> String {
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "elsewhere",
            "clusters": [
                { "name": "c", "cluster": { "server": format!("http://{}", self.address) } },
                { "name": "e", "cluster": { "server": "http://127.0.0.1:1" } },
            ],
            "users": [{ "name": "u", "user": { "token": "my-own-rights" } }],
            "contexts": [
                { "name": "lab", "context": { "cluster": "c", "user": "u", "namespace": "team" } },
                { "name": "elsewhere", "context": { "cluster": "e", "user": "u" } },
            ],
        })
        .to_string()
    }

    /// First lines of the requests that came since the last look.
    pub(crate) fn requests(&self) -> Vec<String> {
        std::iter::from_fn(|| self.requests.pop()).collect()
    }
}

/// Answers one request, and closes; or bridges, on a thread of its own.
fn serve(mut stream: TcpStream, state: &mut State, seen: &ArrayQueue<String>) {
    let mut first = [0; 1024];
    let line = loop {
        let peeked = stream.peek(&mut first).unwrap();
        let text = String::from_utf8_lossy(&first[..peeked]);
        match text.split_once("\r\n") {
            Some((line, _)) => break line.to_owned(),
            None if peeked == 0 => return,
            None => {}
        }
    };
    seen.force_push(line.clone());
    if line.starts_with(&format!("GET {PODS}/control-plane-0/portforward?&ports=8081 ")) {
        let upstream = TcpStream::connect(state.control_plane.unwrap()).unwrap();
        std::thread::spawn(move || bridge(stream, upstream));
        return;
    }
    let head = read(&mut stream);
    let (status, body) = answer(&head, state);
    let body = body.to_string();
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status} -\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
    .unwrap();
}

fn read(stream: &mut TcpStream) -> Head {
    let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        if let Some(end) = bytes.windows(4).position(|end| end == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let lower = head.to_lowercase();
            assert!(lower.contains("\r\nauthorization: bearer my-own-rights"), "{head}");
            let length =
                lower.split("content-length: ").nth(1).and_then(|rest| rest.split_whitespace().next());
            let length: usize = length.map_or(0, |length| length.parse().unwrap());
            if bytes.len() >= end + 4 + length {
                let line = head.lines().next().unwrap().to_owned();
                return Head { line, body: bytes[end + 4..].to_vec() };
            }
        }
        let taken = stream.read(&mut piece).unwrap();
        assert!(taken > 0, "the request broke off");
        bytes.extend_from_slice(&piece[..taken]);
    }
}

fn answer(head: &Head, state: &mut State) -> (u16, Value) {
    let State { control_plane, nodes, objects } = state;
    let words: Vec<&str> = head.line.split(' ').collect();
    let (path, query) = words[1].split_once('?').unwrap_or((words[1], ""));
    if path == NODES {
        return (200, json!({ "apiVersion": "v1", "kind": "NodeList", "metadata": {}, "items": nodes }));
    }
    if path == PODS {
        let pod = |name: &str, ready: &str, deleted: Value| {
            json!({
                "metadata": { "name": name, "deletionTimestamp": deleted },
                "spec": { "containers": [{ "name": "picofaas", "ports": [{ "name": "management", "containerPort": 8081 }] }] },
                "status": { "conditions": [{ "type": "Ready", "status": ready }] },
            })
        };
        // Two that nobody should be led to: one goes, one has just begun.
        let mut pods = vec![
            pod("control-plane-old", "True", json!("2026-03-01T12:00:00Z")),
            pod("control-plane-new", "False", Value::Null),
        ];
        pods.extend(control_plane.is_some().then(|| pod("control-plane-0", "True", Value::Null)));
        return (200, json!({ "apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": pods }));
    }
    if path == FUNCTIONS {
        let items: Vec<&Value> = objects.values().collect();
        let list = json!({ "apiVersion": "picofaas.dev/v1", "kind": "FunctionList", "metadata": {}, "items": items });
        return (200, list);
    }
    let Some(rest) = path.strip_prefix(&format!("{FUNCTIONS}/")) else {
        return status(404, "NotFound", "the server could not find the requested resource");
    };
    let (name, is_scale) = rest.strip_suffix("/scale").map_or((rest, false), |name| (name, true));
    let missing = || status(404, "NotFound", &format!("functions.picofaas.dev \"{name}\" not found"));
    match words[0] {
        "GET" => objects.get_mut(name).map_or_else(missing, |object| {
            take_up(object);
            (200, object.clone())
        }),
        "DELETE" => objects.remove(name).map_or_else(missing, |object| (200, object)),
        "PATCH" if is_scale => {
            let Some(object) = objects.get_mut(name) else { return missing() };
            let change: Value = serde_json::from_slice(&head.body).unwrap();
            object["spec"]["replicas"]["min"] = change["spec"]["replicas"].clone();
            object["managers"] = json!({ ".spec.replicas.min": "\"picofaas\" with subresource \"scale\"" });
            (200, json!({ "apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": { "name": name } }))
        }
        "PATCH" => apply(name, query, &head.body, objects),
        other => status(405, "MethodNotAllowed", other),
    }
}

/// The part of the control plane: with each look at a function that says so, its status goes on, from none over a
/// pod that does not start to the end that the function names.
fn take_up(object: &mut Value) {
    let Some(end) = object["spec"]["env"][0]["value"].as_str().map(str::to_owned) else { return };
    let condition = |kind: &str, status: &str, message: &str| json!({ "type": kind, "status": status, "reason": "Reason", "message": message });
    let failed = condition("Degraded", "True", "fn-x-1: ImagePullBackOff: not found");
    let conditions = match (object["looks"].as_u64().unwrap_or(0), end.as_str()) {
        (0, _) => None,
        (1, _) | (_, "stuck") => Some(json!([condition("Ready", "False", ""), failed])),
        (_, "invalid") => Some(json!([condition("Valid", "False", "endpointUrl: no")])),
        (_, _) => Some(json!([condition("Ready", "True", ""), condition("Degraded", "False", "")])),
    };
    let generation = object["metadata"]["generation"].clone();
    if let Some(conditions) = conditions {
        object["status"] = json!({ "observedGeneration": generation, "ready": 1, "conditions": conditions });
    }
    object["looks"] = json!(object["looks"].as_u64().unwrap_or(0) + 1);
}

/// As the API server does it by the definition of functions, as far as a test looks.
fn apply(name: &str, query: &str, body: &[u8], objects: &mut BTreeMap<String, Value>) -> (u16, Value) {
    let mut object: Value = serde_json::from_slice(body).unwrap();
    if object["spec"]["timeoutMs"] == 0 {
        let mut refused = status(422, "Invalid", &format!("Function.picofaas.dev \"{name}\" is invalid")).1;
        let message = "Invalid value: 0: should be greater than or equal to 1";
        refused["details"] = json!({ "causes": [{ "field": "spec.timeoutMs", "message": message }] });
        return (422, refused);
    }
    let managers = objects.get(name).and_then(|before| before["managers"].as_object());
    if let Some(managers) = managers.filter(|_| !query.contains("force=true")) {
        let cause = |(field, manager): (&String, &Value)| json!({ "field": field, "message": format!("conflict with {}", manager.as_str().unwrap()) });
        let mut refused = status(409, "Conflict", "Apply failed with a conflict").1;
        refused["details"] = json!({ "causes": managers.iter().map(cause).collect::<Vec<_>>() });
        return (409, refused);
    }
    for (field, value) in [("timeoutMs", 30_000), ("concurrency", 4), ("queueSize", 100), ("maxRetries", 3)] {
        let fields = object["spec"].as_object_mut().unwrap();
        fields.entry(field).or_insert(json!(value));
    }
    // Somebody else comes at once and takes a field.
    if object["spec"]["image"] == "contested" {
        object["managers"] = json!({ ".spec.image": "\"kubectl\"" });
    }
    let before = objects.get(name).map_or(0, |before| before["metadata"]["generation"].as_i64().unwrap());
    object["metadata"]["generation"] = json!(before + 1);
    if !query.contains("dryRun=All") {
        objects.insert(name.to_owned(), object.clone());
    }
    (200, object)
}

fn status(code: u16, reason: &str, message: &str) -> (u16, Value) {
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message,
    });
    (code, status)
}

/// Passes bytes on between a forwarded port and the control plane.
#[expect(clippy::result_large_err, reason = "the type is that of the callback")]
fn bridge(stream: TcpStream, mut upstream: TcpStream) {
    let take_protocol = |request: &Request, mut response: Response| {
        let offered = request.headers()["sec-websocket-protocol"].to_str().unwrap();
        assert!(offered.contains(PROTOCOL), "{offered}");
        response.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(PROTOCOL));
        Ok(response)
    };
    let mut socket = tungstenite::accept_hdr(stream, take_protocol).unwrap();
    socket.get_ref().set_read_timeout(Some(TURN)).unwrap();
    upstream.set_read_timeout(Some(TURN)).unwrap();
    // Each channel begins with the number of its port: data, then errors.
    for channel in [0, 1] {
        let [low, high] = 8081_u16.to_le_bytes();
        socket.send(Message::binary(vec![channel, low, high])).unwrap();
    }
    let mut piece = [0; 16_384];
    loop {
        match socket.read() {
            Ok(Message::Binary(bytes)) if bytes.first() == Some(&0) => {
                upstream.write_all(&bytes[1..]).unwrap()
            }
            Ok(_) => {}
            Err(Error::Io(error)) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            // The command has ended.
            Err(_) => return,
        }
        match upstream.read(&mut piece) {
            Ok(0) => return,
            Ok(read) => {
                let bytes = [&[0], &piece[..read]].concat();
                if socket.send(Message::binary(bytes)).is_err() {
                    return;
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => return,
        }
    }
}
