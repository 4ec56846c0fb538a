//! `picofaas deploy` with a real builder, into the containerd of the only node.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::xtask;
use crate::stage::Stage;
use crate::support::client_program::{ClientProgram, Said, manifest};

/// An image of the test function, which the builder has, with something of its own.
fn write_dockerfile(folder: &Path, last: &str) {
    let base = concat!("picofaas.invalid/picofaas-test-function:", env!("CARGO_PKG_VERSION"));
    fs::write(folder.join("Dockerfile"), format!("FROM {base}\n{last}\n")).unwrap();
}

#[test]
fn a_folder_is_deployed_to_the_node_by_the_digest_of_its_image_and_served() {
    // It also says whether the node is this machine.
    if xtask().is_none() {
        return;
    }
    let stage = Stage::new("deploy");
    let server = stage.server(&[]);
    let program = ClientProgram::anywhere();
    let function = json!({
        "name": "d", "executionMode": "WARM", "image": "picofaas.invalid/d:0", "replicas": { "min": 1, "max": 1 },
        "env": [{ "name": "HANDLER", "value": "echo" }],
    });
    program.write("p/function.json", manifest(&function).to_string());
    let folder = program.folder().join("p");
    let deploy = || {
        let arguments = ["deploy", "p", "--kube-context", "picofaas", "-n", &stage.namespace];
        let mut command = program.command(&arguments);
        // The cluster that the test is on.
        command.env("KUBECONFIG", std::env::var_os("KUBECONFIG").unwrap());
        Said::of(command.spawn().unwrap())
    };
    let image = || {
        let object: Value =
            serde_json::from_str(&stage.kubectl(&["get", "functions", "d", "--output", "json"])).unwrap();
        object["spec"]["image"].as_str().unwrap().to_owned()
    };
    write_dockerfile(&folder, "LABEL version=1");
    let deployed = deploy();
    deployed.assert_output(&format!("http://picofaas.{}:8080/v1/functions/d:invoke\n", stage.namespace));
    let first = image();
    assert!(first.starts_with("picofaas.invalid/d@sha256:"), "{first}");
    assert_eq!(server.invoke("d", 7).output(), 7);
    let again = deploy();
    assert!(again.stderr.contains("function/d unchanged\n"), "{again:?}");
    write_dockerfile(&folder, "LABEL version=2");
    let changed = deploy();
    assert!(changed.output().ends_with("/d:invoke\n") && changed.stderr.contains("function/d configured\n"));
    assert_ne!(image(), first);
    write_dockerfile(&folder, "ENTRYPOINT [\"/nothing\"]");
    deploy().assert_failed(1, &["d is not ready: ", "/nothing"]);
    assert_eq!(server.invoke("d", 8).output(), 8, "the version before is served");
}
