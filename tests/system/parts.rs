//! A program that was built without clusters and TLS: `cargo test --no-default-features --test system parts::`.

use std::process::Stdio;

use serde_json::Value;

use crate::support::client_program::ClientProgram;
use crate::support::server::{Server, command, run};

const REMEDY: &str = "build it with them: cargo build --release";

#[test]
fn a_flag_that_asks_for_a_cluster_is_refused_with_how_to_have_them() {
    let folder = tempfile::tempdir().unwrap();
    for command in ["serve", "dev"] {
        for flag in ["--backend=kubernetes", "--namespace=x", "--kubeconfig=x", "--runtime-url=http://a:1"] {
            let end = run(&[command, flag, "--listen", "127.0.0.1:0"], folder.path());
            assert_eq!(end.code, 1, "{end:?}");
            let name = flag.split('=').next().unwrap();
            for part in [name, "was built without clusters", REMEDY] {
                assert!(end.stderr.contains(part), "no {part:?} in {}", end.stderr);
            }
        }
    }
}

#[test]
fn a_client_command_for_a_cluster_or_over_tls_is_refused_with_how_to_have_it() {
    let program = ClientProgram::anywhere();
    for arguments in [
        &["get", "fn", "--kube-context", "x"] as &[&str],
        &["get", "fn", "--namespace", "x"],
        &["config", "set-context", "x", "--kube-context", "y"],
        &["apply", "-f", ".", "--dry-run", "server"],
    ] {
        program.run(arguments).assert_failed(2, &[": this program was built without clusters", REMEDY]);
    }
    let server = Server::start_bare(&[]);
    program
        .run(&["get", "fn", "--server", &format!("https://{}", server.listen)])
        .assert_failed(2, &["this program was built without TLS", "cargo build --release"]);
}

#[test]
fn the_version_says_what_the_program_was_built_without() {
    let wanted = concat!(env!("CARGO_PKG_VERSION"), " (without clusters and TLS)");
    let said = command().arg("--version").stdout(Stdio::piped()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&said.stdout), format!("picofaas {wanted}\n"));
    ClientProgram::anywhere().run(&["version", "--client"]).assert_output(&format!("Client: {wanted}\n"));
}

#[test]
fn doctor_says_that_rights_in_a_cluster_were_not_looked_at_and_why() {
    let mut doctor = command();
    doctor
        .args(["doctor", "-o", "json", "--spin-ms", "0"])
        .env_remove("KUBERNETES_SERVICE_HOST")
        .stdout(Stdio::piped());
    let report: Value = serde_json::from_slice(&doctor.output().unwrap().stdout).unwrap();
    let mut findings = report["findings"].as_array().unwrap().iter();
    let permissions = findings.find(|finding| finding["name"] == "permissions").unwrap();
    assert_eq!(permissions["seen"], "not looked at: this program was built without clusters");
}
