//! The settings of `picofaas serve`: raw flags first, then one validated whole.

pub(crate) mod backend_kind;
mod in_force;
mod listen_address;
pub(crate) mod route_host;
mod runtime_url;
pub(crate) mod trusted_network;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::RangedU64ValueParser;
use clap::{Args, ValueEnum};
use serde::Serialize;

pub(crate) use self::backend_kind::BackendKind;
use self::backend_kind::check_clusters;
use self::listen_address::listen_address;
use self::route_host::RouteHost;
use self::runtime_url::runtime_url;
use self::trusted_network::TrustedNetwork;
use crate::cpu::usable_cores;
use crate::origin::Origin;

/// How the scheduler thread waits for work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum SchedulerPolicy {
    /// Never sleeps and is pinned to a core: lowest latency, one core always busy
    Spin,
    /// Spins for --spin-us after its last work, then parks until its doorbell rings
    Adaptive,
    /// Parks as soon as there is nothing to do
    Park,
    /// `spin` where at least 4 cores are usable (affinity and cgroup quota), else `adaptive`
    Auto,
}

impl SchedulerPolicy {
    /// The policy as its flag names it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            SchedulerPolicy::Spin => "spin",
            SchedulerPolicy::Adaptive => "adaptive",
            SchedulerPolicy::Park => "park",
            SchedulerPolicy::Auto => "auto",
        }
    }
}

/// Whether a gateway may run the scheduler itself while the scheduler thread is parked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum GatewayTicks {
    /// Always allowed: no wake of another thread on the invoke path
    On,
    /// Never: every decision is made on the scheduler thread
    Off,
    /// On below 4 usable cores with one gateway and a scheduler that parks
    Auto,
}

/// Whether instances are asked for frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum FramesUse {
    /// Instances of WARM functions, and endpoints whose function says so
    On,
    /// None: every attempt goes over HTTP/1.1
    Off,
}

/// By which means local functions are held to their limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum LocalLimits {
    /// By cgroups where they are writable, each controller where it is; by rlimits else
    Auto,
    /// By cgroups; the start fails where memory, processes or CPU cannot be bounded so
    Cgroup,
    /// By rlimits, which bound no CPU and, for root, no number of processes
    Rlimit,
    /// Not at all
    Off,
}

/// The default of `--poll-spin-us`: about what a function that computes nothing takes to answer,
/// and less than a virtual CPU takes to fall asleep and be woken.
const POLL_SPIN_US: u64 = 50;

/// Usable cores from which on a scheduler that spins leaves enough to gateways and functions.
pub(crate) const SPIN_CORES_MIN: usize = 4;

/// The fewest executions, payload bytes and connections that a gateway can work with.
const EXECUTIONS_MIN: u64 = 64;
const PAYLOAD_BYTES_MIN: u64 = 1 << 20;
const CONNECTIONS_MIN: u64 = 1;

/// Whole numbers from `low` to `high`.
pub(crate) fn between<T: TryFrom<u64> + Clone + Send + Sync + 'static>(
    low: u64,
    high: u64,
) -> RangedU64ValueParser<T>
where
    <T as TryFrom<u64>>::Error: Send + Sync + std::error::Error + 'static,
{
    RangedU64ValueParser::new().range(low..=high)
}

/// The flags of `serve`; `dev` takes them too.
#[derive(Args, Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ServeArgs {
    /// A YAML file with values of flags, by their names: `max-executions: 4096`. Flags are also variables, in capitals:
    /// PICOFAAS_MAX_EXECUTIONS for --max-executions, PICOFAAS_CONFIG for this one. The command line counts before a
    /// variable, that before the file; default: none
    #[arg(long, value_name = "FILE")]
    #[serde(serialize_with = "in_force::path")]
    pub config: Option<PathBuf>,
    /// Where clients call functions (address:port, or a port alone for loopback; port 0 takes a free one)
    #[arg(long, default_value = "127.0.0.1:8080", value_parser = listen_address, value_name = "ADDR", help_heading = "Listeners")]
    pub listen: SocketAddr,
    /// Where operators and Prometheus call: all of the API, /metrics, /healthz, /readyz (address:port, or a port alone for loopback)
    #[arg(long, default_value = "127.0.0.1:8081", value_parser = listen_address, value_name = "ADDR", help_heading = "Listeners")]
    pub management_listen: SocketAddr,
    /// Where processes of JOB functions fetch their input and post their result (address:port, or a port
    /// alone for loopback)
    #[arg(long, default_value = "127.0.0.1:8082", value_parser = listen_address, value_name = "ADDR", help_heading = "Listeners")]
    pub runtime_listen: SocketAddr,
    /// Serve function writes, the list of executions and the lines of functions on --listen though it is not bound to loopback
    #[arg(long, help_heading = "Listeners")]
    pub allow_writes: bool,
    /// Web pages of this origin may invoke functions and read on --listen (scheme://host[:port]; may be repeated);
    /// default: none
    #[arg(long, value_name = "ORIGIN", help_heading = "Listeners")]
    pub allow_origin: Vec<Origin>,
    /// Host names of functions on --listen, one for each, as `{name}.fn.example`: a request for one is that function's,
    /// whatever its path; default: none
    #[arg(long, value_name = "PATTERN", help_heading = "Listeners")]
    pub route_host: Option<RouteHost>,
    /// Proxies whose X-Forwarded-For, -Host, -Proto and -Prefix are passed on to functions with `web`: a network or an
    /// address; may be repeated; default: none
    #[arg(long, value_name = "NETWORK", help_heading = "Listeners")]
    pub trust_forwarded: Vec<TrustedNetwork>,
    /// Accept functions with `local.command` over HTTP: whoever may write functions may then run programs here
    #[arg(long, help_heading = "Listeners")]
    pub allow_local_exec: bool,

    /// Register every function manifest found below this folder at start
    #[arg(long, value_name = "DIR", help_heading = "Functions")]
    #[serde(serialize_with = "in_force::path")]
    pub functions: Option<PathBuf>,
    /// Follow that folder: register, replace and delete functions as their manifests change, without building; one
    /// that is wrong is told, and does not stop the start
    #[arg(long, requires = "functions", help_heading = "Functions")]
    pub watch: bool,
    /// A file of NAME=VALUE lines for secrets and config maps that local functions refer to, which count before those of `.env` in a manifest's folder; may be repeated; default: none
    #[arg(long, value_name = "FILE", help_heading = "Functions")]
    #[serde(serialize_with = "in_force::paths")]
    pub env_file: Vec<PathBuf>,
    /// Where the sockets of local instances live; default: a new folder under the temporary one
    #[arg(long, value_name = "DIR", help_heading = "Functions")]
    #[serde(serialize_with = "in_force::path")]
    pub state_dir: Option<PathBuf>,
    /// Functions that can be registered at once, 1 … 65536
    #[arg(long, default_value = "10000", value_parser = between::<usize>(1, 65536), value_name = "N", help_heading = "Functions")]
    pub max_functions: usize,
    /// Places in the queues of all functions together, by their queueSize, 1 … 1073741824; each takes 16 bytes
    #[arg(long, default_value = "8388608", value_parser = between::<u64>(1, 1 << 30), value_name = "N", help_heading = "Functions")]
    pub max_queue_slots: u64,

    /// Threads that serve clients, 1 … 64; each owns a share of connections, executions and bytes
    #[arg(long, default_value = "1", value_parser = between::<usize>(1, 64), value_name = "N", help_heading = "Scheduling")]
    pub gateway_threads: usize,
    /// How the scheduler thread waits for work
    #[arg(long, value_enum, default_value_t = SchedulerPolicy::Auto, value_name = "POLICY", help_heading = "Scheduling")]
    pub scheduler: SchedulerPolicy,
    /// How long the adaptive scheduler spins after its last work, 0 … 1000000 µs
    #[arg(long, default_value = "50", value_parser = between::<u64>(0, 1_000_000), value_name = "MICROS", help_heading = "Scheduling")]
    pub spin_us: u64,
    /// The CPU the spinning scheduler is pinned to; default: the last usable one
    #[arg(long, value_name = "CPU", help_heading = "Scheduling")]
    pub scheduler_core: Option<usize>,
    /// Whether a gateway may run the scheduler while its thread is parked
    #[arg(long, value_enum, default_value_t = GatewayTicks::Auto, value_name = "WHEN", help_heading = "Scheduling")]
    pub gateway_ticks: GatewayTicks,
    /// Whether instances are asked for frames, by which one connection carries many attempts
    #[arg(long, value_enum, default_value_t = FramesUse::On, value_name = "WHEN", help_heading = "Scheduling")]
    pub frames: FramesUse,
    /// How long a gateway with nothing else to do spins for a grant before it sleeps, 0 … 1000 µs
    #[arg(long, default_value = "10", value_parser = between::<u64>(0, 1000), value_name = "MICROS", help_heading = "Scheduling")]
    pub grant_spin_us: u64,

    /// How long a gateway with at most one execution under way polls for its next event before it
    /// sleeps, 0 … 1000 µs; default: 50, and 0 with --scheduler park
    #[arg(long, value_parser = between::<u64>(0, 1000), value_name = "MICROS", help_heading = "Scheduling")]
    pub poll_spin_us: Option<u64>,

    /// Largest request body, 1 KiB … 1 GiB, in bytes
    #[arg(long, default_value = "1048576", value_parser = between::<usize>(1024, 1 << 30), value_name = "BYTES", help_heading = "Limits")]
    pub max_body: usize,
    /// Largest body of a request for a function with `web`, which is passed on as it comes, 1 byte … 1 PiB; default: none
    #[arg(long, value_parser = between::<u64>(1, 1 << 50), value_name = "BYTES", help_heading = "Limits")]
    pub web_body_max: Option<u64>,
    /// Largest output of a function, 1 KiB … 1 GiB, in bytes
    #[arg(long, default_value = "1048576", value_parser = between::<usize>(1024, 1 << 30), value_name = "BYTES", help_heading = "Limits")]
    pub max_output: usize,
    /// Executions that are running, waiting or kept for reading, 64 … 1048576
    #[arg(long, default_value = "16384", value_parser = between::<usize>(EXECUTIONS_MIN, 1 << 20), value_name = "N", help_heading = "Limits")]
    pub max_executions: usize,
    /// Bytes of payloads and outputs held at once, 1 MiB … 1 TiB
    #[arg(long, default_value = "268435456", value_parser = between::<usize>(PAYLOAD_BYTES_MIN, 1 << 40), value_name = "BYTES", help_heading = "Limits")]
    pub max_payload_bytes: usize,
    /// Bytes reserved at admission for the output of an execution that is promised to be kept
    /// (enqueued, or with an Idempotency-Key); at most --max-output, 0 … 1 GiB
    #[arg(long, default_value = "65536", value_parser = between::<usize>(0, 1 << 30), value_name = "BYTES", help_heading = "Limits")]
    pub reserved_output: usize,
    /// Client connections at once, 1 … 65536
    #[arg(long, default_value = "4096", value_parser = between::<usize>(CONNECTIONS_MIN, 65536), value_name = "N", help_heading = "Limits")]
    pub max_connections: usize,
    /// Request line and headers together, 8 KiB … 1 MiB, in bytes
    #[arg(long, default_value = "16384", value_parser = between::<usize>(8192, 1 << 20), value_name = "BYTES", help_heading = "Limits")]
    pub max_head_bytes: usize,
    /// Instances that are started ahead of their execution, over all functions (`standby`), 0 … 10000
    #[arg(long, default_value = "100", value_parser = between::<u32>(0, 10_000), value_name = "N", help_heading = "Limits")]
    pub max_standby: u32,
    /// Bytes of lines kept of each function for the logs API, 64 KiB … 64 MiB
    #[arg(long, default_value = "1048576", value_parser = between::<usize>(64 << 10, 64 << 20), value_name = "BYTES", help_heading = "Limits")]
    pub log_bytes_per_function: usize,
    /// Bytes of lines kept over all functions, 1 MiB … 16 GiB
    #[arg(long, default_value = "67108864", value_parser = between::<usize>(1 << 20, 1 << 34), value_name = "BYTES", help_heading = "Limits")]
    pub log_bytes: usize,

    /// By which means local functions are held to their limits
    #[arg(long, value_enum, default_value_t = LocalLimits::Auto, value_name = "MEANS", help_heading = "Local functions")]
    pub local_limits: LocalLimits,
    /// Processes and threads of one local instance, 1 … 4194304
    #[arg(long, default_value = "1024", value_parser = between::<u64>(1, 1 << 22), value_name = "N", help_heading = "Local functions")]
    pub local_pids_max: u64,
    /// Files that a process of a local function may have open, 16 … 1048576
    #[arg(long, default_value = "4096", value_parser = between::<u64>(16, 1 << 20), value_name = "N", help_heading = "Local functions")]
    pub local_open_files_max: u64,

    /// Provider of the instances of JOB and WARM functions
    #[arg(long, value_enum, default_value_t = BackendKind::Auto, value_name = "KIND", help_heading = "Kubernetes")]
    pub backend: BackendKind,
    /// How to reach the cluster; default: the pod's service account, else $KUBECONFIG or ~/.kube/config
    #[arg(long, value_name = "FILE", help_heading = "Kubernetes")]
    #[serde(serialize_with = "in_force::path")]
    pub kubeconfig: Option<PathBuf>,
    /// Where functions, their Deployments, Jobs and pods live; default: the pod's namespace, or the context's
    #[arg(long, value_name = "NAME", help_heading = "Kubernetes")]
    pub namespace: Option<String>,
    /// How pods reach --runtime-listen (http://host:port); default: the pod's address and the Service
    /// picofaas-runtime; outside of a pod it is required
    #[arg(long, value_parser = runtime_url, value_name = "URL", help_heading = "Kubernetes")]
    pub runtime_url: Option<String>,
    /// How long a finished Job, its pod and its log are kept, 0 … 604800 s
    #[arg(long, default_value = "600", value_parser = between::<u32>(0, 604_800), value_name = "SECONDS", help_heading = "Kubernetes")]
    pub job_ttl_s: u32,
    /// Finished Jobs of all functions that are kept, 0 … 100000; of more, the oldest are deleted before their time
    #[arg(long, default_value = "1000", value_parser = between::<usize>(0, 100_000), value_name = "N", help_heading = "Kubernetes")]
    pub finished_jobs_max: usize,

    /// How long a client may take to send a request's head, 10 … 300000 ms
    #[arg(long, default_value = "10000", value_parser = between::<u64>(10, 300_000), value_name = "MILLIS", help_heading = "Times")]
    pub head_timeout_ms: u64,
    /// How long a client connection may be idle after an answer was written, 1 … 86400 s
    #[arg(long = "keep-alive", default_value = "75", value_parser = between::<u64>(1, 86_400), value_name = "SECONDS", help_heading = "Times")]
    #[serde(rename = "keep-alive")]
    pub keep_alive_s: u64,
    /// How long a client may take to send a request's body, or take nothing of an answer (1 s at least), 10 … 300000 ms
    #[arg(long, default_value = "30000", value_parser = between::<u64>(10, 300_000), value_name = "MILLIS", help_heading = "Times")]
    pub body_timeout_ms: u64,
    /// How long an execution can be read after it ended, 1 … 86400 s
    #[arg(long = "retention", default_value = "300", value_parser = between::<u64>(1, 86_400), value_name = "SECONDS", help_heading = "Times")]
    #[serde(rename = "retention")]
    pub retention_s: u64,
    /// How long what was accepted may take to end after SIGTERM, 0 … 3600 s
    #[arg(long = "drain", default_value = "30", value_parser = between::<u64>(0, 3600), value_name = "SECONDS", help_heading = "Times")]
    #[serde(rename = "drain")]
    pub drain_s: u64,
    /// How long a local instance may take from its start until it answers /health, 100 … 600000 ms
    #[arg(long, default_value = "30000", value_parser = between::<u64>(100, 600_000), value_name = "MILLIS", help_heading = "Times")]
    pub start_timeout_ms: u64,
    /// How long a local instance may take to end after SIGTERM before it is killed, 10 … 600000 ms
    #[arg(long, default_value = "10000", value_parser = between::<u64>(10, 600_000), value_name = "MILLIS", help_heading = "Times")]
    pub stop_timeout_ms: u64,
}

/// Patience of the scheduler thread, as its policy and the other settings come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spin {
    /// Never sleeps.
    Always,
    /// Spins this long (ns) after its last work, then parks until its doorbell or its next timer.
    Then(u64),
}

/// The flags with every choice made.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The flags.
    pub flags: ServeArgs,
    /// The policy in force.
    pub policy: SchedulerPolicy,
    /// Why that policy, for the start-up log.
    pub policy_reason: String,
    /// The CPU of the scheduler thread, where it is pinned.
    pub scheduler_core: Option<usize>,
    /// Whether gateways tick.
    pub gateway_ticks: bool,
    /// Gateways.
    pub gateways: usize,
    /// Whether a retry is told among the lines of its function, for a person who writes it.
    pub tells_retries: bool,
    /// Takes a line for each request of a client, where a person looks on. Called on the control thread.
    pub request_line: Option<fn(&str)>,
}

impl Settings {
    /// Makes the choices that the flags leave open.
    ///
    /// # Errors
    /// A sentence that names the flag, its value and what would be right.
    pub fn new(flags: ServeArgs) -> Result<Self, String> {
        let (allowed, usable) = usable_cores();
        if let Some(core) = flags.scheduler_core
            && !allowed.contains(&core)
        {
            return Err(format!("--scheduler-core {core}: this process may only use the CPUs {allowed:?}"));
        }
        let listeners = [
            ("--listen", flags.listen),
            ("--management-listen", flags.management_listen),
            ("--runtime-listen", flags.runtime_listen),
        ];
        for (at, (flag, address)) in listeners.iter().enumerate() {
            if let Some((other, _)) = listeners[..at].iter().find(|(_, other)| other == address)
                && address.port() != 0
            {
                return Err(format!("{flag} {address}: is the same as {other}; give each its own port"));
            }
        }
        check_shares(&flags)?;
        check_clusters(&flags)?;
        let (policy, policy_reason) = match flags.scheduler {
            SchedulerPolicy::Auto if usable >= SPIN_CORES_MIN => {
                (SchedulerPolicy::Spin, format!("auto: {usable} cores are usable, at least {SPIN_CORES_MIN}"))
            }
            SchedulerPolicy::Auto => (
                SchedulerPolicy::Adaptive,
                format!("auto: {usable} cores are usable, fewer than {SPIN_CORES_MIN}"),
            ),
            SchedulerPolicy::Spin | SchedulerPolicy::Adaptive | SchedulerPolicy::Park => {
                (flags.scheduler, "given by --scheduler".to_owned())
            }
        };
        let spins = policy == SchedulerPolicy::Spin;
        let scheduler_core =
            if spins { flags.scheduler_core.or_else(|| allowed.last().copied()) } else { None };
        let gateways = flags.gateway_threads;
        let gateway_ticks = match flags.gateway_ticks {
            GatewayTicks::On => !spins,
            GatewayTicks::Off => false,
            GatewayTicks::Auto => !spins && usable < SPIN_CORES_MIN && gateways == 1,
        };
        Ok(Self {
            flags,
            policy,
            policy_reason,
            scheduler_core,
            gateway_ticks,
            gateways,
            tells_retries: false,
            request_line: None,
        })
    }

    /// A gateway's share of a limit of the whole process. The shares add up to the whole, and the
    /// first is the largest.
    #[must_use]
    pub fn share(&self, whole: usize, gateway: usize) -> usize {
        whole / self.gateways + usize::from(gateway < whole % self.gateways)
    }

    /// How the scheduler thread spins. Where gateways tick, its own work is timers and commands,
    /// after which there is nothing to spin for.
    #[must_use]
    pub fn spin(&self) -> Spin {
        match self.policy {
            SchedulerPolicy::Spin => Spin::Always,
            SchedulerPolicy::Adaptive | SchedulerPolicy::Auto if !self.gateway_ticks => {
                Spin::Then(self.flags.spin_us * 1000)
            }
            SchedulerPolicy::Adaptive | SchedulerPolicy::Auto | SchedulerPolicy::Park => Spin::Then(0),
        }
    }

    /// How long a gateway that is nearly idle polls before it sleeps (ns).
    #[must_use]
    pub fn poll_spin(&self) -> u64 {
        let default = if self.policy == SchedulerPolicy::Park { 0 } else { POLL_SPIN_US };
        self.flags.poll_spin_us.unwrap_or(default) * 1000
    }

    /// How long an execution is kept after its end.
    #[must_use]
    pub fn retention(&self) -> Duration {
        Duration::from_secs(self.flags.retention_s)
    }
}

/// Whether every gateway's share of what is divided over them is enough to work with.
fn check_shares(flags: &ServeArgs) -> Result<(), String> {
    let gateways = flags.gateway_threads;
    for (flag, whole, least) in [
        ("--max-executions", flags.max_executions, EXECUTIONS_MIN),
        ("--max-payload-bytes", flags.max_payload_bytes, PAYLOAD_BYTES_MIN),
        ("--max-connections", flags.max_connections, CONNECTIONS_MIN),
    ] {
        if ((whole / gateways) as u64) < least {
            return Err(format!(
                "--gateway-threads {gateways}: leaves each fewer than {least} of {flag} {whole}; raise {flag} to {} at least, or start fewer gateways",
                least * gateways as u64
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        serve: ServeArgs,
    }

    fn settings(flags: &[&str]) -> Result<Settings, String> {
        Settings::new(Flags::parse_from(["picofaas"].iter().chain(flags)).serve)
    }

    #[test]
    fn the_shares_of_all_gateways_add_up_to_the_limit_and_the_first_is_the_largest() {
        let settings = settings(&["--gateway-threads", "7", "--max-connections", "7"]).expect("settings");
        for whole in [448, 449, 454, 455, 16384] {
            let shares: Vec<usize> = (0..7).map(|gateway| settings.share(whole, gateway)).collect();
            assert_eq!(shares.iter().sum::<usize>(), whole);
            assert_eq!(shares.iter().max(), shares.first());
            assert!(
                shares.iter().all(|share| whole / 7 <= *share && *share <= whole.div_ceil(7)),
                "{shares:?}"
            );
        }
    }

    #[test]
    fn gateways_that_are_left_too_little_are_refused_with_both_flags() {
        for (flag, enough, too_little) in [
            ("--max-executions", "192", "191"),
            ("--max-payload-bytes", "3145728", "3145727"),
            ("--max-connections", "3", "2"),
        ] {
            assert!(settings(&["--gateway-threads", "3", flag, enough]).is_ok(), "{flag}");
            let refused = settings(&["--gateway-threads", "3", flag, too_little]).expect_err(flag);
            for part in ["--gateway-threads 3", &format!("{flag} {too_little}"), &format!("to {enough}")] {
                assert!(refused.contains(part), "no {part:?} in {refused}");
            }
        }
    }

    #[test]
    fn several_gateways_leave_ticks_to_the_scheduler_unless_told_otherwise() {
        let ticks = |flags: &[&str]| {
            settings(&[&["--scheduler", "park"], flags].concat()).expect("settings").gateway_ticks
        };
        assert!(!ticks(&["--gateway-threads", "2"]));
        assert!(ticks(&["--gateway-threads", "2", "--gateway-ticks", "on"]));
    }
}
