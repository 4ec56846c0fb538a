//! Rights in a cluster, at an API server that the test plays.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::thread::JoinHandle;

use serde_json::{Value, json};

use super::{doctor, finding, read};
use crate::support::server::command;

/// An API server that grants every right but one, and the reviews that it was asked for.
struct ReviewServer {
    kubeconfig: tempfile::NamedTempFile,
    /// Ends after so many reviews.
    asked: JoinHandle<Vec<Value>>,
}

impl ReviewServer {
    /// Answers `reviews` times.
    fn start(reviews: usize, refused: Value) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let kubeconfig = kubeconfig(&format!("http://{}", listener.local_addr().unwrap()));
        let asked = std::thread::spawn(move || {
            let (mut connection, _) = listener.accept().unwrap();
            let mut asked = Vec::new();
            for _ in 0..reviews {
                let mut review: Value = serde_json::from_slice(&request_body(&mut connection)).unwrap();
                let right = review["spec"]["resourceAttributes"].clone();
                let granted = [&right["verb"], &right["resource"], &right["subresource"]]
                    != [&refused[0], &refused[1], &refused[2]];
                review["status"] = json!({ "allowed": granted });
                let body = review.to_string();
                let head = format!(
                    "HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                    body.len()
                );
                connection.write_all((head + &body).as_bytes()).unwrap();
                asked.push(right);
            }
            asked
        });
        Self { kubeconfig, asked }
    }
}

/// The body of the next request on a connection.
fn request_body(connection: &mut std::net::TcpStream) -> Vec<u8> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        connection.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    assert!(head.starts_with("post /apis/authorization.k8s.io/v1/selfsubjectaccessreviews"), "{head}");
    let length = head.split("content-length: ").nth(1).unwrap().lines().next().unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    connection.read_exact(&mut body).unwrap();
    body
}

/// A file that leads to an API server.
fn kubeconfig(server: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    let content = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "it",
        "clusters": [{ "name": "it", "cluster": { "server": server } }],
        "users": [{ "name": "it", "user": {} }],
        "contexts": [{ "name": "it", "context": { "cluster": "it", "user": "it", "namespace": "of-the-context" } }],
    });
    fs::write(file.path(), content.to_string()).unwrap();
    file
}

#[test]
fn a_right_that_the_cluster_does_not_grant_is_named_and_is_a_problem_where_functions_run_there() {
    // The rights of the Role, each in a rule of its own or among others.
    let role = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("k8s/20-rbac.yaml")).unwrap();
    let verbs = role.lines().filter_map(|line| line.trim().strip_prefix("verbs: ["));
    let rights: usize = verbs.map(|list| list.split(',').count()).sum();
    let look = |backend: &str, more: &[&str]| {
        let server = ReviewServer::start(rights, json!(["patch", "functions", "status"]));
        let file = server.kubeconfig.path().to_str().unwrap();
        let flags = ["-o", "json", "--spin-ms", "0", "--backend", backend, "--kubeconfig", file];
        let (report, code) = read(&doctor(command(), &[&flags, more].concat()));
        let asked = server.asked.join().unwrap();
        assert_eq!(asked.len(), rights);
        (finding(&report, "permissions").clone(), code, asked)
    };
    let (permissions, code, asked) = look("kubernetes", &["--namespace", "fns"]);
    assert_eq!((permissions["verdict"].as_str(), code), (Some("problem"), 1));
    let wanted = json!({ "namespace": "fns", "rights": rights, "missing": ["patch functions/status"], "refusal": null });
    assert_eq!(permissions["data"], wanted);
    assert!(asked.iter().all(|right| right["namespace"] == "fns"), "{asked:?}");
    let watched = |right: &&Value| right["verb"] == "watch" && right["resource"] == "functions";
    assert_eq!(asked.iter().find(watched).unwrap()["group"], "picofaas.dev");

    let (permissions, _, asked) = look("auto", &[]);
    assert_eq!(permissions["verdict"], "warning", "functions would run on this machine");
    assert!(asked.iter().all(|right| right["namespace"] == "of-the-context"), "{asked:?}");
}

#[test]
fn without_a_cluster_the_reason_is_told_and_one_that_is_away_is_a_problem_where_functions_run_there() {
    let home = tempfile::tempdir().unwrap();
    let mut alone = command();
    alone.env("HOME", home.path()).env_remove("KUBECONFIG").env_remove("KUBERNETES_SERVICE_HOST");
    let (report, _) = read(&doctor(alone, &["-o", "json", "--spin-ms", "0"]));
    let permissions = finding(&report, "permissions");
    assert_eq!((permissions["verdict"].as_str(), &permissions["data"]), (Some("unknown"), &Value::Null));
    let seen = permissions["seen"].as_str().unwrap();
    assert!(seen.starts_with("not looked at: no cluster is known: "), "{seen}");

    let file = kubeconfig("http://127.0.0.1:1");
    for (backend, verdict) in [("auto", "unknown"), ("kubernetes", "problem")] {
        let flags = ["-o", "json", "--spin-ms", "0", "--backend", backend, "--kubeconfig"];
        let (report, _) = read(&doctor(command(), &[&flags[..], &[file.path().to_str().unwrap()]].concat()));
        let permissions = finding(&report, "permissions");
        assert_eq!(permissions["verdict"], verdict, "{permissions}");
        let seen = permissions["seen"].as_str().unwrap();
        assert!(seen.starts_with("not known in namespace of-the-context: "), "{seen}");
    }
}
