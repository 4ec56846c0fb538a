//! The picofaas control plane. `ARCHITECTURE.md` has the picture; in short, and in the order of
//! an invocation's life:
//!
//! | part | holds |
//! |---|---|
//! | `api` | the HTTP surface without state: routes, bodies, responses, the description |
//! | `server` | listeners and connections, of gateways and of operators |
//! | `gateway` | API gateway: admission, the loop of a gateway's thread |
//! | `store` | execution store: executions, retention, idempotency |
//! | `queue` | queue manager: the bounded queue of each function, doorbells |
//! | `scheduler` | scheduler: versions, timers, rings, messages; its page is the one about the hot path |
//! | `dispatch` | dispatchers: `pool` for instances that run, `job` for a process or pod per attempt |
//! | `instances` | providers of instances: endpoints, local processes, pods; the autoscaler |
//! | `kubernetes` | pods, Jobs, Deployments, Function objects: what is done at the API server |
//! | `registry` | function registry: functions, their sources, their roll-out |
//! | `spec` | specification of a function, manifests, validation |
//! | `logs` | lines that functions write |
//! | `management` | the management listener and its page |
//! | `metrics` | counters, histograms, exposition |
//! | `messages` | messages between gateways and the control thread |
//! | `control` | the control thread: owns the registry, the autoscaler and the logs, and routes messages to them |
//! | `startup`, `shutdown` | the threads put together, and taken apart in order |
//! | `cli`, `dev`, `scaffold`, `doctor` | the commands; what `picofaas dev`, `new` and `doctor` do |

#![cfg_attr(
    not(feature = "cluster"),
    allow(dead_code, reason = "used by clusters alone; with them, what is dead is told")
)]

mod api;
mod attempt_end;
mod backoff;
mod change_signal;
mod channel;
pub mod cli;
mod clock;
mod cold_phases;
mod config;
mod control;
mod cpu;
mod dev;
mod dispatch;
mod doctor;
mod error;
mod exit;
mod fnv;
mod function_version;
mod gateway;
mod id;
mod instance;
mod instances;
#[cfg_attr(not(feature = "cluster"), path = "kubernetes/without_cluster.rs")]
mod kubernetes;
mod logs;
mod management;
mod messages;
mod metrics;
mod origin;
mod probe;
mod queue;
mod queue_order;
mod registry;
mod scaffold;
mod scheduler;
mod server;
mod shutdown;
mod slowest;
mod spec;
mod start_reason;
mod startup;
mod store;
mod ticket;
mod trace;
mod web_exchange;

/// The parts that the benchmarks and the tests in `tests/` drive from outside. They are no interface and change
/// without notice.
#[doc(hidden)]
pub mod internals {
    pub mod api {
        pub use crate::api::json::check_invocation;
        pub use crate::api::listener::{Listener, ListenerKind};
        pub use crate::api::response::body::Body;
        pub use crate::api::response::receipt::{ReplyMemory, invocation};
        pub use crate::api::route::route;
    }
    pub mod attempt_end {
        pub use crate::attempt_end::AttemptEnd;
    }
    pub mod channel {
        pub use crate::channel::{MESSAGES_MAX, MessageReceiver, answer, mpsc};
    }
    pub mod clock {
        pub use crate::clock::Clock;
    }
    pub mod config {
        pub use crate::config::{ServeArgs, Settings};
    }
    pub mod dispatch {
        pub use crate::dispatch::pool::attempt::write_head;
        pub use crate::dispatch::pool::response_head::{ParsedHead, parse_head};
    }
    pub mod error {
        pub use crate::error::ErrorCode;
    }
    pub mod exit {
        pub use crate::exit::Exit;
    }
    pub mod function_version {
        pub use crate::function_version::FunctionVersion;
    }
    pub mod gateway {
        pub use crate::gateway::Gateway;
        pub use crate::gateway::body::BodySource;
        pub use crate::gateway::calls::{RequestHead, answer};
        pub use crate::gateway::context::GatewayContext;
    }
    pub mod id {
        pub use crate::id::ExecutionId;
    }
    pub mod instance {
        pub use crate::instance::{Address, InstanceKey, InstanceStart, Target, VersionIndex};
    }
    pub mod instances {
        pub use crate::instances::local::children::Children;
        pub use crate::instances::local::final_output::FinalOutput;
        pub use crate::instances::local::host::ProcessHost;
        pub use crate::instances::local::limits::Limits;
        pub use crate::instances::local::locale::Locale;
        pub use crate::instances::local::process::{Process, StartOptions};
        pub use crate::instances::local::running::RunningProcesses;
        pub use crate::instances::local::values::LocalValues;
        pub use picofaas_child::cgroup::hierarchies;
    }
    pub mod logs {
        pub use crate::logs::output::Lines;
    }
    pub mod messages {
        pub use crate::messages::control_message::{ControlMessage, JobEnd, JobStart};
        pub use crate::messages::gateway_senders::GatewaySenders;
    }
    pub mod metrics {
        pub use crate::metrics::exposition::render;
        pub use crate::metrics::snapshot::{FunctionGauges, FunctionSnapshot, MetricsSnapshot};
        pub use crate::metrics::{MetricsByGateway, TickHistogramCells};
    }
    pub mod queue {
        pub use crate::queue::function_queue::FunctionQueue;
    }
    pub mod queue_order {
        pub use crate::queue_order::QueueOrder;
    }
    pub mod registry {
        pub use crate::registry::rollout::{limits, version};
    }
    pub mod scheduler {
        pub use crate::scheduler::message::{GatewayCommand, GatewayEvent, SchedulerCommand};
        pub use crate::scheduler::rings::{Capacity, Rings};
        pub use crate::scheduler::scheduled_version::{ScheduledVersion, VersionLimits};
        pub use crate::scheduler::tick::Scheduler;
    }
    pub mod shutdown {
        pub use crate::shutdown::UnreadResults;
    }
    pub mod spec {
        pub use crate::spec::{ExecutionMode, FunctionSpec, parse_function};
    }
    pub mod startup {
        pub use crate::startup::{Role, start};
    }
    pub mod ticket {
        pub use crate::ticket::Ticket;
    }
}
