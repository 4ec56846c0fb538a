//! A process of a `JOB` function whose part the test plays: it tells its environment and then
//! waits to be told how to end, and the test makes its calls.

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;

use rustix::fs::OFlags;
use rustix::process::{Pid, test_kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::client::{Answer, Client};
use super::patience::eventually;

/// Tells its pid and environment in a file that appears whole, and exits with the status that is
/// written to its pipe.
const SCRIPT: &str = r#"
cd "$STAGE" && mkfifo "$$.end" && env > "$$.tmp" && mv "$$.tmp" "$$.env"
read -r code < "$$.end"
exit "$code"
"#;

/// Where the processes of a function meet the test.
pub(crate) struct Stage {
    folder: TempDir,
}

/// One process, as long as it is not told to end.
#[derive(Debug)]
pub(crate) struct Process {
    pub pid: i32,
    pub env: HashMap<String, String>,
    end: std::path::PathBuf,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// A `JOB` function whose processes come to this stage. A retry comes at once.
    pub(crate) fn function(&self, name: &str) -> Value {
        json!({
            "name": name,
            "local": { "command": ["/bin/sh", "-c", SCRIPT] },
            "env": [{ "name": "STAGE", "value": self.folder.path() }],
            "retryBackoffMs": 0,
            "retryMaxBackoffMs": 0,
        })
    }

    /// The next process that comes.
    pub(crate) fn next(&self) -> Process {
        eventually("a process comes", || {
            let file = fs::read_dir(self.folder.path())
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .find(|path| path.extension().is_some_and(|extension| extension == "env"))?;
            let text = fs::read_to_string(&file).unwrap();
            let pid = file.file_stem().unwrap().to_str().unwrap().parse().unwrap();
            fs::remove_file(&file).unwrap();
            let env = text.lines().filter_map(|line| line.split_once('='));
            let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            Some(Process { pid, env, end: file.with_extension("end") })
        })
    }

    /// Whether a process is there that was not taken.
    pub(crate) fn is_empty(&self) -> bool {
        fs::read_dir(self.folder.path())
            .unwrap()
            .all(|entry| entry.unwrap().path().extension().is_none_or(|extension| extension != "env"))
    }
}

impl Process {
    pub(crate) fn execution(&self) -> &str {
        &self.env["EXECUTION_ID"]
    }

    pub(crate) fn token(&self) -> &str {
        &self.env["PICOFAAS_TOKEN"]
    }

    /// A connection to where it was told to call.
    pub(crate) fn client(&self) -> Client {
        let address = self.env["PICOFAAS_RUNTIME_URL"].strip_prefix("http://").unwrap();
        Client::connect(address.parse::<SocketAddr>().unwrap())
    }

    pub(crate) fn fetch(&self) -> Answer {
        fetch(&mut self.client(), self.execution(), self.token())
    }

    pub(crate) fn post(&self, result: &Value) -> Answer {
        post(&mut self.client(), self.execution(), self.token(), result)
    }

    /// Posts a success, which must be taken.
    #[track_caller]
    pub(crate) fn succeed(&self, output: impl Into<Value>) {
        let answer = self.post(&json!({ "success": true, "output": output.into(), "status": 200 }));
        assert_eq!(answer.status, 204, "{answer:?}");
    }

    /// Ends with an exit status.
    pub(crate) fn exit(self, code: u8) {
        let mut pipe = fs::OpenOptions::new();
        // Opened in the usual way, a pipe whose reader is gone would be waited for, for ever.
        pipe.write(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed());
        let mut pipe = eventually("the process reads how it is to end", || pipe.open(&self.end).ok());
        pipe.write_all(format!("{code}\n").as_bytes()).unwrap();
    }

    /// Waits until it is gone, reaped included.
    pub(crate) fn until_gone(&self) {
        let pid = Pid::from_raw(self.pid).unwrap();
        eventually("the process is gone", || test_kill_process(pid).is_err().then_some(()));
    }

    pub(crate) fn is_there(&self) -> bool {
        test_kill_process(Pid::from_raw(self.pid).unwrap()).is_ok()
    }
}

pub(crate) fn fetch(client: &mut Client, execution: &str, token: &str) -> Answer {
    let header = format!("authorization: Bearer {token}\r\n");
    client.call(&format!("GET /v1/internal/executions/{execution}/input"), &header, "")
}

pub(crate) fn post(client: &mut Client, execution: &str, token: &str, result: &Value) -> Answer {
    let header = format!("authorization: Bearer {token}\r\n");
    client.call(&format!("POST /v1/internal/executions/{execution}:complete"), &header, result.to_string())
}
