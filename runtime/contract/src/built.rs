//! Programs of this workspace, built by cargo in the caller's profile.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The test function of the Rust runtime. `cargo test` builds the examples along, but not when it
/// is told to run one test alone; asking once more costs nothing then.
pub fn faulty() -> &'static Path {
    static FAULTY: OnceLock<PathBuf> = OnceLock::new();
    FAULTY.get_or_init(|| rust_example("faulty"))
}

/// An example of the Rust runtime.
pub fn rust_example(name: &str) -> PathBuf {
    build(&["-p", "picofaas-runtime", "--example", name]).join("examples").join(name)
}

/// An example of this crate.
pub fn contract_example(name: &str) -> PathBuf {
    build(&["-p", "picofaas-contract", "--example", name]).join("examples").join(name)
}

/// The watchdog.
pub fn watchdog() -> PathBuf {
    build(&["-p", "picofaas-watchdog", "--bin", "picofaas-watchdog"]).join("picofaas-watchdog")
}

/// The root of the workspace.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}

/// Builds the programs that `arguments` name; the folder of the profile.
fn build(arguments: &[&str]) -> PathBuf {
    // <target directory>/<profile>/<this program> or <target directory>/<profile>/deps/<this test>
    let this = std::env::current_exe().unwrap();
    let folder = this.parent().unwrap();
    let folder = if folder.ends_with("deps") { folder.parent().unwrap() } else { folder };
    let profile = match folder.file_name().unwrap().to_str().unwrap() {
        "debug" => "dev",
        other => other,
    };
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--profile", profile])
        .args(arguments)
        .arg("--target-dir")
        .arg(folder.parent().unwrap())
        .current_dir(root())
        .status()
        .unwrap();
    assert!(status.success(), "cannot build {arguments:?}");
    folder.to_owned()
}
