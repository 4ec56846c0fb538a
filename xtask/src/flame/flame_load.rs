//! The load under which a flame graph is recorded: the function, the script of wrk, and the flags of picofaas.

use std::path::Path;

use clap::ValueEnum;
use serde_json::{Value, json};

/// The function's name.
pub(super) const FUNCTION: &str = "echo";

/// Instances of a `WARM` function: one, as there is a core for it beside that of the gateway at most.
pub(super) const INSTANCES: u64 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum FlameLoad {
    /// `:invoke` of a warm function
    Invoke,
    /// `:enqueue` of a warm function
    Enqueue,
    /// `:invoke` of a JOB function: a process for each call
    Job,
}

impl FlameLoad {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Invoke => "invoke",
            Self::Enqueue => "enqueue",
            Self::Job => "job",
        }
    }

    /// Connections of wrk where none are given.
    pub(super) fn connections(self) -> u32 {
        match self {
            Self::Invoke => 32,
            Self::Enqueue => 8,
            Self::Job => 4,
        }
    }

    /// The question that the graph answers.
    pub(super) fn question(self, connections: u32) -> String {
        let spends = "Where does picofaas spend its CPU time while";
        let they = if connections == 1 { "1 client".to_owned() } else { format!("{connections} clients") };
        match self {
            Self::Invoke => {
                format!("{spends} {they} on kept connections `:invoke` a `WARM` function that echoes?")
            }
            Self::Enqueue => format!(
                "{spends} {they} on kept connections `:enqueue` executions of a `WARM` function that echoes, which run meanwhile?"
            ),
            Self::Job => format!(
                "{spends} {they} on kept connections `:invoke` a `JOB` function, with a process for each call?"
            ),
        }
    }

    /// Relative to the root.
    pub(super) fn script(self) -> &'static str {
        match self {
            Self::Invoke | Self::Job => "benches/wrk/invoke.lua",
            Self::Enqueue => "benches/wrk/enqueue.lua",
        }
    }

    pub(super) fn path(self) -> String {
        let verb = match self {
            Self::Invoke | Self::Job => "invoke",
            Self::Enqueue => "enqueue",
        };
        format!("/v1/functions/{FUNCTION}:{verb}")
    }

    /// Of `picofaas serve`, beside the scheduler policy.
    pub(super) fn arguments(self) -> Vec<String> {
        let further: &[&str] = match self {
            Self::Invoke | Self::Job => &[],
            // Accepted executions are kept for the retention, whatever comes.
            Self::Enqueue => &["--max-executions", "262144", "--retention", "1"],
        };
        ["--allow-local-exec"].iter().chain(further).map(|&flag| flag.to_owned()).collect()
    }

    /// The function, whose program is `echo`.
    pub(super) fn function(self, echo: &Path) -> Value {
        let common = json!({
            "name": FUNCTION,
            "local": { "command": [echo] },
            "concurrency": 256,
            "queueSize": 65_536,
            "maxRetries": 0,
            "timeoutMs": 60_000,
        });
        let own = match self {
            Self::Invoke | Self::Enqueue => json!({
                "executionMode": "WARM",
                "instanceConcurrency": 256,
                "replicas": { "min": INSTANCES, "max": INSTANCES },
            }),
            Self::Job => json!({ "executionMode": "JOB" }),
        };
        let members = [common, own].into_iter().filter_map(|part| match part {
            Value::Object(members) => Some(members),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => None,
        });
        Value::Object(members.flatten().collect())
    }

    /// Instances that are there before the first call.
    pub(super) fn instances(self) -> u64 {
        match self {
            Self::Invoke | Self::Enqueue => INSTANCES,
            Self::Job => 0,
        }
    }
}
