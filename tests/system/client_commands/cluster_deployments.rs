//! `deploy --kube-context` and `build --image`. The API server and the programs that build are played by the test.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::support::client_program::{ClientProgram, Said};
use crate::support::fake_cluster::FakeCluster;
use crate::support::specification::With;

const FUNCTIONS: &str = "/apis/picofaas.dev/v1/namespaces/team/functions";

/// Plays a program that builds images, or containerd's. It writes down how it was called; the id of an image is
/// made of its Dockerfile, and an image in a registry has another digest.
const PLAYED: &str = r#"#!/bin/sh
PATH=/usr/bin:/bin
name=${0##*/}
echo "$name $*" >> "$HOME/calls"
[ -e "$HOME/broken-$name" ] && { echo "Cannot connect to the daemon of $name" >&2; exit 1; }
id() { sha256sum < "$1" | cut -d' ' -f1; }
in_registry=sha256:1111111111111111111111111111111111111111111111111111111111111111
in_containerd=sha256:2222222222222222222222222222222222222222222222222222222222222222
for word; do
  case $before in
    --iidfile) iidfile=$word ;;
    --file) dockerfile=$word ;;
    --digestfile) echo "$in_registry" > "$word" ;;
  esac
  before=$word
done
case "$1 $2" in
  "buildx inspect") [ -e "$HOME/driver" ] || exit 1; printf 'Name: b\nDriver:        %s\n' "$(cat "$HOME/driver")" ;;
  build*)
    grep -q RUN "$dockerfile" && { echo "STEP 2: RUN"; echo "no such program" >&2; exit 125; }
    echo "sha256:$(id "$dockerfile")" > "$iidfile" ;;
  image*) echo "other.example/f@sha256:0"; echo "registry.example/team/f@$in_registry" ;;
esac
case "$*" in *"images list"*) printf 'REF TYPE DIGEST\n%s x/y %s 1 B\n' "${before#name==}" "$in_containerd" ;; esac
exit 0
"#;

const DOCKERFILE: &str = "FROM scratch\n";

/// A program whose kubeconfig has the cluster, and which finds these programs alone.
struct Workplace {
    program: ClientProgram,
    cluster: Option<FakeCluster>,
}

impl Workplace {
    fn of(cluster: Option<FakeCluster>, programs: &[&str]) -> Self {
        let program = ClientProgram::anywhere();
        if let Some(cluster) = &cluster {
            program.write(".kube/config", cluster.kubeconfig());
        }
        for name in programs {
            let path = program.write(&format!("bin/{name}"), PLAYED);
            fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
        }
        program.write("p/Dockerfile", DOCKERFILE);
        let place = Self { program, cluster };
        place.write_function("ready");
        place
    }

    /// A function of which the control plane says this in the end.
    fn write_function(&self, end: &str) {
        let function = json!({
            "name": "f", "executionMode": "WARM", "image": "picofaas.invalid/f:0.1.0",
            "local": { "build": [["false"]], "command": ["./program"] }, "env": [{ "name": "END", "value": end }],
        });
        self.program.write_manifest("p/function.json", &function);
    }

    fn run(&self, arguments: &[&str]) -> Said {
        // Programs of this machine are not to be found.
        let bin = self.program.folder().join("bin");
        Said::of(self.program.command(arguments).env("PATH", bin).spawn().unwrap())
    }

    fn deploy(&self, arguments: &[&str]) -> Said {
        self.run(&[&["deploy", "p", "--kube-context", "lab"], arguments].concat())
    }

    /// How programs were called, with names in place of folders that are others each time.
    fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.program.folder().join("calls")).unwrap_or_default();
        let folder = self.program.folder().to_str().unwrap();
        let shorten = |word: &str| match word.rsplit_once('/') {
            Some((_, name)) if word.contains("/picofaas-") => {
                let (prefix, _) = word.split_once('/').unwrap();
                let tail = name.split_once(':').map_or(name, |(file, _)| file);
                format!("{prefix}SCRATCH/{tail}")
            }
            _ => word.replace(folder, "HOME"),
        };
        calls.lines().map(|line| line.split(' ').map(shorten).collect::<Vec<_>>().join(" ")).collect()
    }

    /// The object of the function in the cluster.
    fn object(&self) -> Value {
        let got = self.run(&["get", "fn", "f", "-o", "json", "--kube-context", "lab"]);
        serde_json::from_str(got.output()).unwrap()
    }
}

/// The tag that the played programs make of [`DOCKERFILE`].
const TAG: &str = "bb57c7da220a8753";

#[test]
fn an_image_is_built_by_what_is_there_and_works_pushed_and_applied_by_its_digest() {
    let place = Workplace::of(Some(FakeCluster::start(None)), &["docker", "buildah"]);
    place.program.write("broken-docker", "");
    let deployed =
        place.deploy(&["--registry", "registry.example/team", "--build-arg", "A=1", "--", "--pull-never"]);
    deployed.assert_output("http://picofaas.team:8080/v1/functions/f:invoke\n");
    let image = format!("registry.example/team/f:{}", TAG);
    let calls = [
        "docker version".to_owned(),
        "buildah info".to_owned(),
        "buildah build --layers --iidfile SCRATCH/id --file HOME/p/Dockerfile --build-arg A=1 --pull-never HOME/p".to_owned(),
        format!("buildah tag ID {image}"),
        format!("buildah push --digestfile SCRATCH/digest {image}"),
    ];
    let seen: Vec<String> = place.calls().iter().map(|call| without_id(call)).collect();
    assert_eq!(seen, calls);
    let digest = format!("registry.example/team/f@sha256:{}", "1".repeat(64));
    for part in [
        "deploying to cluster lab, namespace team (--kube-context)\n",
        "building the image of f: buildah build ",
        &format!("\nimage {digest}\nfunction/f created\n"),
        "waiting for f: the control plane has not taken it up yet\n",
        "waiting for f: fn-x-1: ImagePullBackOff: not found (Reason)\n",
        "f is ready; call it:\n    ",
        "invoke f -d '{}' --kube-context lab -n team\n",
    ] {
        assert!(deployed.stderr.contains(part), "no {part:?} in {}", deployed.stderr);
    }
    let spec = &place.object()["spec"];
    assert_eq!((&spec["image"], &spec["local"]), (&json!(digest), &Value::Null));
}

fn without_id(call: &str) -> String {
    let is_id = |word: &str| word.len() == 64 && word.chars().all(|c| c.is_ascii_hexdigit());
    call.split(' ').map(|word| if is_id(word) { "ID" } else { word }).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_command_that_is_told_names_the_namespace_that_a_flag_took_in_place_of_the_contexts() {
    let place = Workplace::of(Some(FakeCluster::start(None)), &["docker"]);
    place.run(&["config", "set-context", "mine", "--kube-context", "lab", "--namespace", "other"]).output();
    let push = ["--registry", "registry.example/team"];
    let deployed = place.run(&[&["deploy", "p", "--context", "mine", "-n", "team"], &push[..]].concat());
    deployed.assert_output("http://picofaas.team:8080/v1/functions/f:invoke\n");
    assert!(deployed.stderr.contains("invoke f -d '{}' --context mine -n team\n"), "{deployed:?}");
}

#[test]
fn docker_and_podman_push_as_each_of_them_does_it() {
    let digest = format!("registry.example/team/f@sha256:{}", "1".repeat(64));
    let image = format!("registry.example/team/f:{}", TAG);
    for (builder, push) in [
        (
            "docker",
            vec![
                format!("docker push {image}"),
                format!(
                    "docker image inspect --format {{{{range .RepoDigests}}}}{{{{println .}}}}{{{{end}}}} {image}"
                ),
            ],
        ),
        ("podman", vec![format!("podman push --digestfile SCRATCH/digest {image}")]),
    ] {
        let place = Workplace::of(Some(FakeCluster::start(None)), &["docker", "podman", "buildah"]);
        place.deploy(&["--registry", "registry.example/team", "--builder", builder, "--no-wait"]).output();
        let calls = place.calls();
        assert!(calls.ends_with(&push), "{calls:?}");
        assert!(calls.iter().all(|call| call.starts_with(builder)), "{calls:?}");
        assert_eq!(place.object()["spec"]["image"], digest);
    }
}

#[test]
fn docker_is_told_to_keep_the_image_where_its_builder_would_not() {
    let load = |driver: Option<&str>, further: &[&str]| {
        let place = Workplace::of(None, &["docker"]);
        if let Some(driver) = driver {
            place.program.write("driver", driver);
        }
        place.run(&[&["build", "p", "--image"], further].concat()).output();
        let calls = place.calls();
        let build = calls.iter().find(|call| call.starts_with("docker build --")).unwrap();
        build.contains(" --load ")
    };
    assert!(load(Some("docker-container"), &[]));
    assert!(!load(Some("docker"), &[]));
    assert!(!load(None, &[]), "a docker without buildx does not know the flag");
    assert!(!load(Some("docker-container"), &["--", "--output=type=docker"]), "somebody else has said it");
}

/// The ids that a node tells which is this machine: of its run, and of itself.
fn ids_of_here() -> [String; 2] {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    [read("/proc/sys/kernel/random/boot_id"), read("/etc/machine-id")]
}

#[test]
fn a_single_node_on_this_machine_gets_the_image_without_a_registry() {
    let [boot_id, machine_id] = ids_of_here();
    let place =
        Workplace::of(Some(FakeCluster::start_of_nodes(&[(&boot_id, &machine_id)])), &["podman", "ctr"]);
    let deployed = place.deploy(&[]);
    deployed.output();
    let image = format!("picofaas.invalid/f:{}", TAG);
    let digest = format!("picofaas.invalid/f@sha256:{}", "2".repeat(64));
    let calls = [
        format!("podman save --format docker-archive --output SCRATCH/image.tar {image}"),
        "ctr --namespace k8s.io images import SCRATCH/image.tar".to_owned(),
        format!("ctr --namespace k8s.io images list name=={image}"),
        format!("ctr --namespace k8s.io images tag --force {image} {digest}"),
    ];
    assert!(place.calls().ends_with(&calls), "{:?}", place.calls());
    assert_eq!(place.object()["spec"]["image"], digest);
}

#[test]
fn a_cluster_elsewhere_needs_a_registry_and_that_is_told_before_anything_is_built() {
    let [boot_id, machine_id] = ids_of_here();
    for (nodes, why) in [
        (&[("another", machine_id.as_str())][..], "its node n is another machine"),
        // A container on this machine, as kind and k3d have them: the kernel is the same, its containerd is not.
        (&[(boot_id.as_str(), "another")], "its node n is another machine"),
        (&[("a", ""), ("b", "")], "it has 2 nodes"),
    ] {
        let place = Workplace::of(Some(FakeCluster::start_of_nodes(nodes)), &["docker"]);
        place.deploy(&[]).assert_failed(2, &["--registry HOST/PATH is required", why]);
        assert_eq!(place.calls(), [""; 0]);
    }
}

#[test]
fn what_keeps_a_function_from_being_ready_is_told_with_its_exit_code() {
    let place = Workplace::of(Some(FakeCluster::start(None)), &["docker"]);
    let push = ["--registry", "registry.example/team", "--timeout", "700ms"];
    place.write_function("stuck");
    place.deploy(&push).assert_failed(
        124,
        &[
            "f is not ready within 700 ms: fn-x-1: ImagePullBackOff: not found (Reason)",
            "describe function f --kube-context lab -n team` its state",
        ],
    );
    place.write_function("invalid");
    place.deploy(&push).assert_failed(1, &["f is not ready: endpointUrl: no (Reason)"]);
    place.program.write("p/Dockerfile", "FROM scratch\nRUN no-such-program\n");
    place
        .deploy(&push)
        .assert_failed(1, &["docker build --iidfile ", "exit status: 125", "\n    no such program\n"]);
    fs::remove_file(place.program.folder().join("p/Dockerfile")).unwrap();
    place.write_function("ready");
    // The image of the manifest, where there is nothing to build.
    place.deploy(&[]).output();
    assert_eq!(place.object()["spec"]["image"], "picofaas.invalid/f:0.1.0");
    let bare = json!({ "name": "f", "executionMode": "WARM", "local": { "command": ["./program"] } });
    place.program.write_manifest("p/function.json", &bare);
    place.deploy(&[]).assert_failed(2, &["p/function.json: f: it has neither an image nor a Dockerfile"]);
}

#[test]
fn a_dry_run_in_a_cluster_is_checked_by_its_api_server_and_builds_nothing() {
    let cluster = FakeCluster::start(None);
    let place = Workplace::of(Some(cluster), &["docker"]);
    let dry = place.deploy(&["--registry", "registry.example/team", "--dry-run"]);
    dry.assert_output("");
    let folder = place.program.folder().display().to_string();
    for part in [
        &format!("would build: {folder}/p/Dockerfile, by docker, pushed to registry.example/team\n"),
        "function/f created (server dry run)\n",
    ] {
        assert!(dry.stderr.contains(part), "no {part:?} in {}", dry.stderr);
    }
    assert_eq!(place.calls(), ["docker version"]);
    let requests = place.cluster.as_ref().unwrap().requests();
    assert!(
        requests[1].starts_with(&format!("PATCH {FUNCTIONS}/f?&dryRun=All&fieldManager=picofaas ")),
        "{requests:?}"
    );
}

#[test]
fn build_writes_the_name_of_the_image_and_every_reason_where_none_can_be_built() {
    let place = Workplace::of(None, &["podman"]);
    let built = place.run(&["build", "p", "--image"]);
    built.assert_output(&format!("picofaas.invalid/f:{}\n", TAG));
    let built = place.run(&["build", "p", "--image", "--registry", "localhost:5000/x"]);
    built.assert_output(&format!("localhost:5000/x/f:{}\n", TAG));
    place.program.write("p/Dockerfile", "FROM scratch\nCOPY . .\n");
    let other = place.run(&["build", "p", "--image"]);
    assert!(!other.output().contains(TAG), "another content is another tag");
    place.program.write("broken-podman", "");
    let none = place.run(&["build", "p", "--image"]);
    none.assert_failed(3, &["no program builds images here; install one of them, or start docker\n"]);
    none.assert_failed(3, &["\n  podman: Cannot connect to the daemon of podman"]);
    let place = Workplace::of(None, &[]);
    let none = place.run(&["build", "p", "--image", "--builder", "buildah"]);
    none.assert_failed(
        3,
        &["repair it, or leave --builder out", "\n  buildah: could not be started: there is no such"],
    );
    let place = Workplace::of(None, &["podman"]);
    place
        .program
        .write_manifest("q/function.json", &json!({ "name": "q", "image": "i" }).with("timeoutMs", 5));
    place
        .run(&["build", "q", "--image"])
        .assert_failed(2, &["q/function.json: q: there is no Dockerfile beside its manifest"]);
    place.program.write_manifest("q/a/function.json", &json!({ "name": "a", "image": "i" }));
    place.program.write("q/a/Dockerfile", DOCKERFILE);
    let one = place.run(&["build", "q", "--image"]);
    assert_eq!((one.code, one.text()), (2, format!("picofaas.invalid/a:{TAG}\n").as_str()), "{one:?}");
    assert!(one.stderr.ends_with("picofaas: 1 of 2 failed\n"), "{one:?}");
}
