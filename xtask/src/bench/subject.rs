//! The subject of a measurement: a row of the table, and how it is started.

use std::process::Command;

use anyhow::{Context as _, Result};
use serde::Serialize;
use serde_json::json;

use super::against;
use super::measurement::Setup;
use super::nginx;
use super::server::{Server, free_port, log_file, wait_for_listener};
use super::tested::with_policy;
use crate::process::Process;

/// The function's name in picofaas.
const FUNCTION: &str = "echo";

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
    pub upstream: Process,
    pub upstream_port: u16,
    /// `None` for a direct call.
    pub front: Option<Process>,
    pub front_port: u16,
    pub path: String,
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
                format!("{}: reverse proxy, one worker, keep-alive on both sides", self.name)
            }
            SubjectKind::Picofaas { arguments } | SubjectKind::Against { arguments } => {
                format!("{}: picofaas serve {}", self.name, arguments.join(" "))
            }
        }
    }

    /// Starts the function and what is in front of it, and waits until both are ready.
    pub(super) fn start(&self, setup: &Setup) -> Result<Running> {
        let upstream_port = free_port()?;
        let log = log_file(&setup.folder, "upstream")?;
        let mut command = Command::new(&setup.upstream);
        command.env("PORT", upstream_port.to_string()).stdout(log.try_clone()?).stderr(log);
        let mut upstream = Process::start("the function", &mut command)?;
        wait_for_listener(&mut upstream, upstream_port)?;
        let mut running = Running {
            upstream,
            upstream_port,
            front: None,
            front_port: upstream_port,
            path: "/invoke".to_owned(),
        };
        match &self.kind {
            SubjectKind::Direct => {}
            SubjectKind::Nginx => self.start_nginx(setup, &mut running)?,
            SubjectKind::Picofaas { arguments } => {
                let server = Server::start(&setup.picofaas, arguments, &setup.folder, &self.name)?;
                front(server, &mut running)?;
            }
            SubjectKind::Against { arguments } => {
                let server = Server::start(&setup.against, arguments, &setup.folder, &self.name)
                    .with_context(|| against::remedy(&setup.against))?;
                front(server, &mut running)?;
            }
        }
        Ok(running)
    }

    fn start_nginx(&self, setup: &Setup, running: &mut Running) -> Result<()> {
        let upstream = format!("127.0.0.1:{}", running.upstream_port);
        let (front, port) = nginx::start(&setup.nginx_template, &setup.folder, &upstream)?;
        running.front = Some(front);
        running.front_port = port;
        Ok(())
    }
}

/// Puts a picofaas in front of the function.
fn front(server: Server, running: &mut Running) -> Result<()> {
    server.register(&json!({
        "name": FUNCTION,
        "executionMode": "POOL",
        "endpointUrl": format!("http://127.0.0.1:{}/invoke", running.upstream_port),
        "concurrency": 256,
        "queueSize": 1024,
        "timeoutMs": 10_000,
    }))?;
    running.front_port = server.port;
    running.front = Some(server.process);
    running.path = format!("/v1/functions/{FUNCTION}:invoke");
    Ok(())
}

impl Running {
    /// Ends both, the one in front first, so that it sees no broken connection.
    pub(super) fn stop(self) -> Result<()> {
        if let Some(front) = self.front {
            front.stop()?;
        }
        self.upstream.stop()
    }
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
}
