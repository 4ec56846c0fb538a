//! Manifests that say where Kubernetes finds their values.

use std::fs;

use crate::support::{Folder, SERVER, shell, until};

/// A server that answers with what its environment and its secrets hold.
fn showing(folder: &Folder, name: &str, fields: &str) {
    let call = "root = os.environ.get('PICOFAAS_SECRETS', ''); \
                given['input'] = {f: open(os.path.join(root, f)).read() for f in given['input']}";
    let text = SERVER.replace("\"word\": word", "\"word\": dict(os.environ)").replace("# AT CALL", call);
    folder.write(&format!("{name}/server"), &text);
    shell(&format!("chmod +x {}/{name}/server", folder.path().display()));
    folder.write(
        &format!("{name}/function.yaml"),
        &format!(
            "apiVersion: picofaas.dev/v1\nkind: Function\nmetadata: {{name: {name}}}\nspec:\n  executionMode: WARM\n  \
             image: registry.example/{name}:1\n  local: {{command: [./server]}}\n{fields}"
        ),
    );
}

const CLUSTERED: &str = "  env:
    - {name: PASSWORD, valueFrom: {secretKeyRef: {name: login, key: password}}}
    - {name: LEVEL, valueFrom: {configMapKeyRef: {name: settings, key: level}}}
    - {name: ABSENT, valueFrom: {secretKeyRef: {name: none, key: k, optional: true}}}
    - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
    - {name: PLAIN, value: text}
  envFrom: [{prefix: APP_, secretRef: {name: app}}]
  secrets: [tls]
  podTemplate: {serviceAccountName: other}
";

#[test]
fn one_manifest_serves_the_cluster_and_dev_with_values_of_dotenv() {
    let folder = Folder::new();
    showing(&folder, "greet", CLUSTERED);
    folder.write(
        "greet/.env",
        "# kept out of git\nPASSWORD='a $b'\nsettings.level=debug\nAPP_COLOUR=\"red\\nblue\"\ntls.tls.crt=CERT\nOTHER=1\n",
    );
    let mut dev = folder.dev();
    dev.line("greet is ready");
    let answer = dev.ask("v1/functions/greet:invoke", "-d '{\"input\":[\"tls/tls.crt\"]}'").1;
    let environment = &answer["output"]["word"];
    for (name, value) in
        [("PASSWORD", "a $b"), ("LEVEL", "debug"), ("APP_COLOUR", "red\nblue"), ("PLAIN", "text")]
    {
        assert_eq!(environment[name], value, "{answer}");
    }
    assert!(environment["NODE"].is_string(), "{answer}");
    for absent in ["ABSENT", "OTHER"] {
        assert!(environment[absent].is_null(), "{answer}");
    }
    assert_eq!(answer["output"]["given"]["tls/tls.crt"], "CERT");
    // The function is as it was written: no value is shown.
    let shown = dev.ask("v1/functions/greet", "").1.to_string();
    assert!(shown.contains("secretKeyRef") && !shown.contains("a $b"), "{shown}");
}

#[test]
fn a_value_that_is_not_there_is_named_with_its_field_and_remedy_and_served_when_it_comes() {
    let folder = Folder::new();
    showing(&folder, "greet", CLUSTERED);
    let mut dev = folder.dev();
    dev.line("envFrom[0].secretRef: ");
    let line = dev.line("env[0].valueFrom: ");
    assert!(line.contains("PASSWORD") && line.contains("greet/.env"), "{line}");
    assert!(line.contains("login.password") && line.contains("--env-file"), "{line}");
    dev.line("secrets[0]: ");
    assert!(!dev.all().contains("podTemplate"), "{}", dev.all());
    folder.write("greet/.env", "login.password=one\nsettings.level=two\nAPP_COLOUR=three\ntls.key=four\n");
    dev.line("greet is ready");
    // Another value is served without a build, and without an edit of the manifest.
    folder.write("greet/.env", "login.password=other\nsettings.level=two\nAPP_COLOUR=three\ntls.key=four\n");
    dev.line("greet: the new version is served");
    until("the other value", || (dev.call("greet").1["output"]["word"]["PASSWORD"] == "other").then_some(()));
}

#[test]
fn a_file_of_values_may_be_named() {
    let folder = Folder::new();
    showing(&folder, "greet", "  env: [{name: HOME_OF_DEV, valueFrom: {secretKeyRef: {name: a, key: b}}}]\n");
    let file = folder.path().join("../values");
    fs::write(&file, "export HOME_OF_DEV=named\n").unwrap();
    let mut dev = folder.dev_with(&["--env-file", file.to_str().unwrap()]);
    dev.line("greet is ready");
    assert_eq!(dev.call("greet").1["output"]["word"]["HOME_OF_DEV"], "named");
}

#[test]
fn a_value_that_is_added_to_a_named_file_is_served_and_so_is_another_one() {
    let folder = Folder::new();
    showing(&folder, "greet", "  env: [{name: ADDED, valueFrom: {secretKeyRef: {name: a, key: b}}}]\n");
    showing(&folder, "other", "  env: [{name: KEPT, valueFrom: {secretKeyRef: {name: a, key: c}}}]\n");
    let file = folder.path().join("../values");
    fs::write(&file, "a.c=kept\n").unwrap();
    let mut dev = folder.dev_with(&["--env-file", file.to_str().unwrap()]);
    dev.line("env[0].valueFrom: ");
    dev.line("other is ready");
    let pid = dev.call("other").1["output"]["pid"].clone();
    fs::write(&file, "a.b=one\na.c=kept\n").unwrap();
    dev.line("greet is ready");
    assert_eq!(dev.call("greet").1["output"]["word"]["ADDED"], "one");
    // As an editor saves it: another file of the name.
    let whole = file.with_file_name("values.new");
    fs::write(&whole, "a.b=two\na.c=kept\n").unwrap();
    fs::rename(whole, &file).unwrap();
    dev.line("greet: the new version is served");
    until("the other value", || (dev.call("greet").1["output"]["word"]["ADDED"] == "two").then_some(()));
    // A function whose values are as they were goes on.
    assert_eq!(dev.call("other").1["output"]["pid"], pid);
}

#[test]
fn a_named_pipe_has_the_same_values_each_time_and_one_beside_a_manifest_is_refused() {
    let folder = Folder::new();
    showing(&folder, "greet", "  env: [{name: PIPED, valueFrom: {secretKeyRef: {name: a, key: b}}}]\n");
    showing(&folder, "other", "  env: [{name: PIPED, valueFrom: {secretKeyRef: {name: a, key: b}}}]\n");
    shell(&format!("mkfifo {}/other/.env", folder.path().display()));
    let pipe = folder.path().join("../pipe");
    shell(&format!("mkfifo {}", pipe.display()));
    let writer = std::thread::spawn({
        let pipe = pipe.clone();
        move || fs::write(pipe, "a.b=once\n").unwrap()
    });
    let mut dev = folder.dev_with(&["--env-file", pipe.to_str().unwrap()]);
    writer.join().unwrap();
    dev.line("other/.env: cannot be read: it is no regular file");
    dev.line("greet is ready");
    assert_eq!(dev.call("greet").1["output"]["word"]["PIPED"], "once");
    folder.write("greet/more", "another version");
    dev.line("greet: the new version is served");
    until("the same value", || (dev.call("greet").1["output"]["word"]["PIPED"] == "once").then_some(()));
}

#[test]
fn an_object_without_a_prefix_gets_its_own_keys_and_no_other_name() {
    let folder = Folder::new();
    showing(&folder, "greet", "  envFrom: [{configMapRef: {name: settings}}]\n");
    folder.write("greet/.env", "PASSWORD=secret\nsettings.LEVEL=debug\n");
    showing(&folder, "other", "  envFrom: [{configMapRef: {name: absent}}]\n");
    let file = folder.path().join("../values");
    fs::write(&file, "TOKEN=secret\n").unwrap();
    let mut dev = folder.dev_with(&["--env-file", file.to_str().unwrap()]);
    let line = dev.line("envFrom[0].configMapRef: ");
    assert!(line.contains("add lines absent.KEY=VALUE to ") && !line.contains("NAME"), "{line}");
    dev.line("greet is ready");
    let environment = dev.call("greet").1["output"]["word"].clone();
    assert_eq!(environment["LEVEL"], "debug", "{environment}");
    for other in ["PASSWORD", "TOKEN"] {
        assert!(environment[other].is_null(), "{environment}");
    }
}
