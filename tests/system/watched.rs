//! `serve --functions DIR --watch`: manifests that come, change and go.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::start::manifest;
use crate::support::patience::{eventually, let_pass};
use crate::support::server::{Server, run};

fn watch(folder: &Path) -> Server {
    Server::start_bare(&["--functions", folder.to_str().unwrap(), "--watch"])
}

/// Puts a file there at once, as editors and `kubectl` do.
fn save(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, path).unwrap();
}

fn until_timeout(server: &Server, name: &str, timeout_ms: u64) {
    let mut client = server.client();
    eventually(&format!("timeoutMs of {name} is {timeout_ms}"), || {
        let answer = client.get(&format!("/v1/functions/{name}"));
        (answer.status == 200 && answer.json()["timeoutMs"] == timeout_ms).then_some(())
    });
}

fn until_gone(server: &Server, name: &str) {
    let mut client = server.client();
    eventually(&format!("{name} is gone"), || {
        (client.get(&format!("/v1/functions/{name}")).status == 404).then_some(())
    });
}

#[test]
fn functions_come_change_and_go_with_their_manifests_and_others_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    save(&root.join("a.yaml"), &manifest("a", "identity"));
    let server = watch(root);
    let pid = server.invoke("a", 0).output()["pid"].clone();
    save(&root.join("b.yaml"), &(manifest("b", "echo") + "  timeoutMs: 4000\n"));
    until_timeout(&server, "b", 4000);
    assert_eq!(server.invoke("b", 7).output(), 7);
    fs::write(root.join("b.yaml"), manifest("b", "echo") + "  timeoutMs: 5000\n").unwrap();
    until_timeout(&server, "b", 5000);
    // In a folder that was not there.
    fs::create_dir_all(root.join("deep/er")).unwrap();
    save(&root.join("deep/er/c.yaml"), &(manifest("c", "echo") + "  timeoutMs: 6000\n"));
    until_timeout(&server, "c", 6000);
    fs::remove_file(root.join("b.yaml")).unwrap();
    until_gone(&server, "b");
    fs::rename(root.join("deep"), root.join("target")).unwrap();
    until_gone(&server, "c");
    assert_eq!(server.invoke("a", 0).output()["pid"], pid, "a was never another");
    assert_eq!(server.stop().code, 0);
}

#[test]
fn a_manifest_that_is_wrong_keeps_what_is_served_and_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let good = manifest("a", "echo") + "  timeoutMs: 4000\n";
    save(&root.join("a.yaml"), &good);
    // One that is wrong from the start stops nothing.
    save(&root.join("never.yaml"), &(manifest("never", "echo") + "  timeoutMs: never\n"));
    let server = watch(root);
    assert_eq!(server.client().get("/v1/functions/never").status, 404);
    save(&root.join("a.yaml"), &good.replace("4000", "soon"));
    // Files that come after it were seen after it.
    for (name, timeout_ms) in [("b", 5000), ("c", 6000)] {
        let text = manifest(name, "echo") + &format!("  timeoutMs: {timeout_ms}\n");
        save(&root.join(format!("{name}.yaml")), &text);
        until_timeout(&server, name, timeout_ms);
    }
    assert_eq!(server.function("a")["timeoutMs"], 4000);
    assert_eq!(server.invoke("a", 1).output(), 1);
    save(&root.join("a.yaml"), &good.replace("4000", "7000"));
    until_timeout(&server, "a", 7000);
    save(&root.join("a.yaml"), &good.replace("4000", "soon"));
    save(&root.join("c.yaml"), &(manifest("c", "echo") + "  timeoutMs: 8000\n"));
    until_timeout(&server, "c", 8000);
    let said = server.stop().stderr;
    let lines = |file: &str| said.lines().filter(|line| line.contains(file)).collect::<Vec<_>>();
    assert_eq!(lines("never.yaml:8: spec.timeoutMs: ").len(), 1, "{said}");
    assert!(lines("never.yaml:8: ")[0].ends_with("; it is not served"), "{said}");
    // Again after it was repaired.
    assert_eq!(lines("a.yaml:8: spec.timeoutMs: ").len(), 2, "{said}");
    assert!(
        lines("a.yaml:8: ")[0].ends_with("; what it said before is served until it is repaired"),
        "{said}"
    );
}

#[test]
fn a_mounted_config_map_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let link = |to: &str, from: &str| std::os::unix::fs::symlink(to, root.join(from)).unwrap();
    // As a kubelet does it: a hidden folder for each state, and a link to it that is put in place of the one before.
    let mount = |state: &str, timeout_ms: u64| {
        let text = manifest("a", "echo") + &format!("  timeoutMs: {timeout_ms}\n");
        fs::create_dir(root.join(state)).unwrap();
        fs::write(root.join(state).join("a.yaml"), text).unwrap();
        link(state, "..data_tmp");
        fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
    };
    mount("..2026_1", 4000);
    link("..data/a.yaml", "a.yaml");
    let server = watch(root);
    assert_eq!(server.function("a")["timeoutMs"], 4000);
    mount("..2026_2", 5000);
    fs::remove_dir_all(root.join("..2026_1")).unwrap();
    until_timeout(&server, "a", 5000);
}

#[test]
fn a_folder_that_is_moved_away_takes_nothing_with_it_and_is_followed_when_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("functions");
    fs::create_dir(&root).unwrap();
    save(&root.join("a.yaml"), &(manifest("a", "echo") + "  timeoutMs: 4000\n"));
    save(&root.join("b.yaml"), &manifest("b", "identity"));
    let server = watch(&root);
    let pid = server.invoke("b", 0).output()["pid"].clone();
    fs::rename(&root, folder.path().join("away")).unwrap();
    fs::write(folder.path().join("away/a.yaml"), manifest("a", "echo") + "  timeoutMs: 5000\n").unwrap();
    // sleep: nothing tells from outside that the folder was looked for; 500 ms later at most it was.
    let_pass(Duration::from_secs(1));
    assert_eq!(server.invoke("a", 1).output(), 1);
    fs::rename(folder.path().join("away"), &root).unwrap();
    until_timeout(&server, "a", 5000);
    save(&root.join("a.yaml"), &(manifest("a", "echo") + "  timeoutMs: 6000\n"));
    until_timeout(&server, "a", 6000);
    assert_eq!(server.invoke("b", 0).output()["pid"], pid, "b was never another");
}

#[test]
fn a_folder_that_is_not_there_and_no_folder_at_all_stop_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let listen = ["serve", "--listen", "127.0.0.1:0", "--management-listen", "127.0.0.1:0"];
    let with = |flags: &[&str]| {
        let rest = ["--runtime-listen", "127.0.0.1:0", "--watch"];
        run(&[&listen as &[&str], &rest, flags].concat(), folder.path())
    };
    let end = with(&["--functions", "nowhere"]);
    assert!(end.code == 1 && end.stderr.contains("--functions nowhere: cannot be read"), "{end:?}");
    let end = with(&[]);
    assert!(end.code == 2 && end.stderr.contains("--functions <DIR>"), "{end:?}");
}
