//! The subject of a measurement: a row of the table, and how it is started.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use serde_json::json;

use super::address::FunctionAddress;
use super::load_point::{LoadPoint, Transport, Verb};
use super::setup::Setup;
use crate::bench::cpu::{self, Snapshot};
use crate::bench::server::{START_PATIENCE, Server, free_port};
use crate::bench::tested::with_policy;
use crate::bench::{against, nginx};
use crate::process::Process;
use crate::wait;

/// The function's name in picofaas.
const FUNCTION: &str = "echo";

/// As large as it can be: clients that do not wait for the function may be far ahead of it.
const QUEUE_SIZE: u32 = 65_536;

/// Of an execution: that of the last in such a queue.
const TIMEOUT_MS: u32 = 60_000;

#[derive(Clone, Debug, Serialize)]
pub(super) struct Subject {
    pub name: String,
    pub kind: SubjectKind,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum SubjectKind {
    /// The function itself, with nothing in front of it.
    Direct,
    Nginx,
    Picofaas {
        /// Of `picofaas serve`, without the listeners.
        arguments: Vec<String>,
    },
    /// The picofaas of an earlier commit.
    Against {
        arguments: Vec<String>,
    },
}

/// A subject that runs, and the function behind it.
pub(super) struct Running {
    /// `None` where picofaas has started it.
    function: Option<Process>,
    pub function_address: FunctionAddress,
    /// `None` for a direct call.
    front: Option<Front>,
    /// Where the load goes.
    pub target: FunctionAddress,
    pub path: String,
}

struct Front {
    process: Process,
    /// Whether the function is one of its children.
    is_parent: bool,
}

impl Subject {
    pub(super) fn direct() -> Self {
        Self { name: "direct".to_owned(), kind: SubjectKind::Direct }
    }

    pub(super) fn nginx() -> Self {
        Self { name: "nginx".to_owned(), kind: SubjectKind::Nginx }
    }

    /// `scheduler` is the policy unless `arguments` name one.
    pub(super) fn picofaas(name: &str, scheduler: &str, arguments: Vec<String>) -> Self {
        let arguments = with_policy(scheduler, arguments);
        Self { name: name.to_owned(), kind: SubjectKind::Picofaas { arguments } }
    }

    /// The same of the old one.
    pub(super) fn against(scheduler: &str, arguments: Vec<String>) -> Self {
        let arguments = with_policy(scheduler, arguments);
        Self { name: against::NAME.to_owned(), kind: SubjectKind::Against { arguments } }
    }

    pub(super) fn is_picofaas(&self) -> bool {
        matches!(self.kind, SubjectKind::Picofaas { .. } | SubjectKind::Against { .. })
    }

    pub(super) fn is_against(&self) -> bool {
        matches!(self.kind, SubjectKind::Against { .. })
    }

    /// A line for the foot of the report.
    pub(super) fn describe(&self) -> String {
        match &self.kind {
            SubjectKind::Direct => format!("{}: wrk calls the function itself", self.name),
            SubjectKind::Nginx => {
                format!(
                    "{}: reverse proxy, one worker, 256 kept connections to the function, bodies in memory",
                    self.name
                )
            }
            SubjectKind::Picofaas { arguments } | SubjectKind::Against { arguments } => {
                format!("{}: picofaas serve {}", self.name, arguments.join(" "))
            }
        }
    }

    /// Whether it can be called under this load: wrk speaks to no Unix socket.
    pub(super) fn measures(&self, point: &LoadPoint) -> bool {
        let is_direct = matches!(self.kind, SubjectKind::Direct);
        !(is_direct && point.transport == Transport::Unix && point.is_closed())
    }

    /// Starts the function and what is in front of it, and waits until both are ready.
    pub(super) fn start(&self, setup: &Setup, point: &LoadPoint) -> Result<Running> {
        match &self.kind {
            SubjectKind::Direct => Running::direct(setup, point),
            SubjectKind::Nginx => {
                let mut running = Running::direct(setup, point)?;
                let upstream = running.function_address.of_nginx();
                let (process, port) = nginx::start(&setup.nginx_template, &setup.folder, &upstream)?;
                running.target = FunctionAddress::Tcp(port);
                running.front = Some(Front { process, is_parent: false });
                Ok(running)
            }
            SubjectKind::Picofaas { arguments } => self.front(setup, point, &setup.picofaas, arguments),
            SubjectKind::Against { arguments } => {
                let running = self.front(setup, point, &setup.against, arguments);
                running.with_context(|| against::remedy(&setup.against))
            }
        }
    }

    /// A picofaas with the function: behind a URL, or started by it.
    fn front(
        &self,
        setup: &Setup,
        point: &LoadPoint,
        binary: &Path,
        arguments: &[String],
    ) -> Result<Running> {
        let mut specification = json!({
            "name": FUNCTION,
            "concurrency": 256,
            "queueSize": QUEUE_SIZE,
            "timeoutMs": TIMEOUT_MS,
        });
        let arguments = arguments_of(arguments, point);
        let start = || Server::start(binary, &arguments, &setup.folder, &self.name);
        let path = format!("/v1/functions/{FUNCTION}:{}", point.verb.name());
        match point.transport {
            Transport::Tcp => {
                let mut running = Running::direct(setup, point)?;
                let server = start()?;
                let FunctionAddress::Tcp(port) = running.function_address else {
                    bail!("the function has no port");
                };
                specification["executionMode"] = json!("POOL");
                specification["endpointUrl"] = json!(format!("http://127.0.0.1:{port}/invoke"));
                let plain = specification.clone();
                specification["frames"] = json!(true);
                // An earlier picofaas does not know the field.
                server.register(&specification).or_else(|_| server.register(&plain))?;
                running.target = FunctionAddress::Tcp(server.port);
                running.front = Some(Front { process: server.process, is_parent: false });
                running.path = path;
                Ok(running)
            }
            Transport::Unix => {
                let server = start()?;
                specification["executionMode"] = json!("WARM");
                specification["replicas"] = json!({ "min": 1, "max": 1 });
                setup.program(point)?.in_specification(&mut specification);
                server.register(&specification)?;
                server.until_ready(FUNCTION, 1)?;
                Ok(Running {
                    function: None,
                    function_address: socket_of_child(server.process.id())?,
                    target: FunctionAddress::Tcp(server.port),
                    front: Some(Front { process: server.process, is_parent: true }),
                    path,
                })
            }
        }
    }
}

impl Running {
    /// The function alone.
    fn direct(setup: &Setup, point: &LoadPoint) -> Result<Self> {
        let address = match point.transport {
            Transport::Tcp => FunctionAddress::Tcp(free_port()?),
            Transport::Unix => FunctionAddress::Unix(setup.folder.join("function.sock")),
        };
        let mut function = setup.program(point)?.start(&address, &setup.folder)?;
        let listens = wait::until(START_PATIENCE, || {
            function.check_alive()?;
            // Refused until it listens: that is what is waited for.
            Ok(address.ask("GET /health", "").ok())
        })?;
        listens.with_context(|| {
            format!("the function does not listen: see upstream.log in {}", setup.folder.display())
        })?;
        Ok(Self {
            function: Some(function),
            function_address: address.clone(),
            front: None,
            target: address,
            path: "/invoke".to_owned(),
        })
    }

    pub(super) fn url(&self) -> Result<String> {
        match &self.target {
            FunctionAddress::Tcp(port) => Ok(format!("http://127.0.0.1:{port}{}", self.path)),
            FunctionAddress::Unix(path) => bail!("{}: a socket has no URL", path.display()),
        }
    }

    /// CPU time of the function.
    pub(super) fn function_cpu(&self) -> Result<Snapshot> {
        match (&self.function, &self.front) {
            (Some(function), _) => Snapshot::of_tree(function.id()),
            (None, Some(front)) => Snapshot::of_descendants(front.process.id()),
            (None, None) => bail!("there is no function"),
        }
    }

    /// CPU time of what is in front of it.
    pub(super) fn front_cpu(&self) -> Result<Option<Snapshot>> {
        let read = |front: &Front| match front.is_parent {
            true => Snapshot::of_process(front.process.id()),
            false => Snapshot::of_tree(front.process.id()),
        };
        self.front.as_ref().map(read).transpose()
    }

    pub(super) fn check_alive(&mut self) -> Result<()> {
        let fronts = self.front.iter_mut().map(|front| &mut front.process);
        fronts.chain(self.function.iter_mut()).try_for_each(Process::check_alive)
    }

    /// Ends both, the one in front first, so that it sees no broken connection.
    pub(super) fn stop(self) -> Result<()> {
        if let Some(front) = self.front {
            front.process.stop()?;
        }
        self.function.map_or(Ok(()), Process::stop)
    }
}

/// Arguments of `serve` under this load, without those that are given.
fn arguments_of(given: &[String], point: &LoadPoint) -> Vec<String> {
    let mut arguments = given.to_vec();
    let mut add = |flag: &str, value: Option<&str>| {
        let is_given =
            given.iter().any(|argument| argument == flag || argument.starts_with(&format!("{flag}=")));
        if !is_given {
            arguments.extend([Some(flag), value].into_iter().flatten().map(str::to_owned));
        }
    };
    if point.transport == Transport::Unix {
        add("--allow-local-exec", None);
    }
    if point.verb == Verb::Enqueue {
        // Each is kept for a while after its end, with room for its output.
        add("--retention", Some("1"));
        add("--max-executions", Some("262144"));
        add("--reserved-output", Some("1024"));
        add("--max-payload-bytes", Some("1073741824"));
    }
    arguments
}

/// Where the function listens that a picofaas has started: in the environment of its child.
fn socket_of_child(picofaas: u32) -> Result<FunctionAddress> {
    const NAME: &str = "PICOFAAS_SOCKET=";
    for id in cpu::tree(picofaas)?.into_iter().skip(1) {
        // A process may end while we walk by.
        let Ok(environment) = fs::read(format!("/proc/{id}/environ")) else { continue };
        let environment = String::from_utf8_lossy(&environment);
        if let Some(path) = environment.split('\0').find_map(|variable| variable.strip_prefix(NAME)) {
            return Ok(FunctionAddress::Unix(path.into()));
        }
    }
    bail!("no child of picofaas has {NAME} in its environment")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(given: &[&str]) -> Vec<String> {
        let given = given.iter().map(|&argument| argument.to_owned()).collect();
        match Subject::picofaas("p", "adaptive", given).kind {
            SubjectKind::Picofaas { arguments } => arguments,
            SubjectKind::Direct | SubjectKind::Nginx | SubjectKind::Against { .. } => {
                panic!("not a row of picofaas")
            }
        }
    }

    #[test]
    fn the_scheduler_is_given_exactly_once() {
        assert_eq!(arguments(&["--gateways", "2"]), ["--gateways", "2", "--scheduler", "adaptive"]);
        assert_eq!(arguments(&["--scheduler", "spin"]), ["--scheduler", "spin"]);
        assert_eq!(arguments(&["--scheduler=spin"]), ["--scheduler=spin"]);
    }

    #[test]
    fn flags_that_a_load_needs_are_added_unless_they_are_given() {
        let given = ["--retention=9", "--scheduler", "spin"].map(str::to_owned);
        let point = LoadPoint { verb: Verb::Enqueue, transport: Transport::Unix, ..LoadPoint::USUAL };
        let line = arguments_of(&given, &point).join(" ");
        assert!(
            line.starts_with("--retention=9 --scheduler spin --allow-local-exec --max-executions "),
            "{line}"
        );
        assert!(!line.contains("--retention 1"), "{line}");
        assert_eq!(arguments_of(&given, &LoadPoint::USUAL), given);
    }

    #[test]
    fn a_direct_call_over_a_unix_socket_is_for_the_open_loop_alone() {
        let over_unix = LoadPoint { transport: Transport::Unix, ..LoadPoint::USUAL };
        assert!(!Subject::direct().measures(&over_unix) && Subject::nginx().measures(&over_unix));
        assert!(Subject::direct().measures(&LoadPoint::USUAL));
        let open = LoadPoint { transport: Transport::Unix, ..LoadPoint::open(30) };
        assert!(Subject::direct().measures(&open));
    }
}
