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
//! | `cli`, `dev`, `scaffold` | the commands; what `picofaas dev` and `picofaas new` do |

pub mod api;
pub mod attempt_end;
pub mod backoff;
pub mod change_signal;
pub mod channel;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod cpu;
pub mod dev;
pub(crate) mod dispatch;
pub mod error;
pub mod exit;
pub mod fnv;
pub mod function_version;
pub mod gateway;
pub mod id;
pub mod instance;
pub mod instances;
pub mod kubernetes;
pub mod logs;
pub mod management;
pub mod messages;
pub mod metrics;
pub mod origin;
pub mod probe;
pub mod queue;
pub mod registry;
pub mod scaffold;
pub mod scheduler;
pub mod server;
pub mod shutdown;
pub mod spec;
pub mod startup;
pub mod store;
pub mod ticket;
pub mod trace;
