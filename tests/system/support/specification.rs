//! Functions as they are registered.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Value, json};

/// A `WARM` function of one instance that runs a handler of the `faulty` example. A retry comes
/// after a millisecond at most.
pub(crate) fn warm(name: &str, handler: &str) -> Value {
    json!({
        "name": name,
        "executionMode": "WARM",
        "local": { "command": [faulty()] },
        "env": [{ "name": "HANDLER", "value": handler }],
        "replicas": { "min": 1, "max": 1 },
        "retryBackoffMs": 1,
        "retryMaxBackoffMs": 1,
    })
}

/// A `JOB` function that runs a handler of the `faulty` example.
pub(crate) fn job(name: &str, handler: &str) -> Value {
    let mut function = warm(name, handler).with("executionMode", "JOB");
    function.as_object_mut().unwrap().remove("replicas");
    function
}

/// A `WARM` function of one instance that takes more than its share, as its input says.
pub(crate) fn unruly(name: &str) -> Value {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/system/programs/unruly.py");
    warm(name, "").with("local", json!({ "command": ["python3", program] })).with("env", json!([]))
}

/// A `POOL` function.
pub(crate) fn pool(name: &str, endpoint_url: impl Into<Value>) -> Value {
    json!({
        "name": name,
        "executionMode": "POOL",
        "endpointUrl": endpoint_url.into(),
        "retryBackoffMs": 1,
        "retryMaxBackoffMs": 1,
    })
}

/// A function of endpoints that are asked for frames.
pub(crate) fn framed(name: &str, url: impl Into<Value>) -> Value {
    pool(name, url).with("frames", true).with("concurrency", 200).with("queueSize", 500)
}

/// Fields added to a specification, or set anew.
pub(crate) trait With {
    fn with(self, field: &str, value: impl Into<Value>) -> Self;
}

impl With for Value {
    fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self[field] = value.into();
        self
    }
}

/// The example of the runtime that goes wrong as it is told. It belongs to another package, whose
/// examples cargo does not build for these tests.
pub(crate) fn faulty() -> &'static Path {
    static FAULTY: OnceLock<PathBuf> = OnceLock::new();
    FAULTY.get_or_init(|| {
        // <target directory>/<profile>/picofaas
        let profile_directory = Path::new(env!("CARGO_BIN_EXE_picofaas")).parent().unwrap();
        let profile = match profile_directory.file_name().unwrap().to_str().unwrap() {
            "debug" => "dev",
            other => other,
        };
        let status = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "-p", "picofaas-runtime", "--example", "faulty"])
            .args(["--profile", profile, "--target-dir"])
            .arg(profile_directory.parent().unwrap())
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()
            .unwrap();
        assert!(status.success(), "cannot build the example faulty");
        profile_directory.join("examples").join("faulty")
    })
}
