//! What is measured: a row of the table, and how it is started.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::MetadataExt as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use serde_json::json;

use super::measurement::Setup;
use super::server::{START_PATIENCE, Server, free_port, log_file};
use crate::process::Process;
use crate::wait;

/// The function's name in picofaas.
const FUNCTION: &str = "echo";

#[derive(Clone, Debug, Serialize)]
pub struct Contender {
    pub name: String,
    pub kind: Kind,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// The function itself, with nothing in front of it.
    Direct,
    Nginx,
    Picofaas {
        /// Of `picofaas serve`, without the listeners.
        arguments: Vec<String>,
    },
}

/// A contender that runs, and the function behind it.
pub struct Running {
    pub upstream: Process,
    pub upstream_port: u16,
    /// `None` for a direct call.
    pub front: Option<Process>,
    pub front_port: u16,
    pub path: String,
}

impl Contender {
    pub fn direct() -> Self {
        Self { name: "direct".to_owned(), kind: Kind::Direct }
    }

    pub fn nginx() -> Self {
        Self { name: "nginx".to_owned(), kind: Kind::Nginx }
    }

    /// `scheduler` is the policy unless `arguments` name one: the flag may be given once only.
    pub fn picofaas(name: &str, scheduler: &str, mut arguments: Vec<String>) -> Self {
        let names_policy = arguments
            .iter()
            .any(|argument| argument == "--scheduler" || argument.starts_with("--scheduler="));
        if !names_policy {
            arguments.extend(["--scheduler".to_owned(), scheduler.to_owned()]);
        }
        Self { name: name.to_owned(), kind: Kind::Picofaas { arguments } }
    }

    pub fn is_picofaas(&self) -> bool {
        matches!(self.kind, Kind::Picofaas { .. })
    }

    /// A line for the foot of the report.
    pub fn describe(&self) -> String {
        match &self.kind {
            Kind::Direct => format!("{}: wrk calls the function itself", self.name),
            Kind::Nginx => format!("{}: reverse proxy, one worker, keep-alive on both sides", self.name),
            Kind::Picofaas { arguments } => format!("{}: picofaas serve {}", self.name, arguments.join(" ")),
        }
    }

    /// Starts the function and what is in front of it, and waits until both are ready.
    pub fn start(&self, setup: &Setup) -> Result<Running> {
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
            Kind::Direct => {}
            Kind::Nginx => self.start_nginx(setup, &mut running)?,
            Kind::Picofaas { arguments } => self.start_picofaas(setup, arguments, &mut running)?,
        }
        Ok(running)
    }

    fn start_nginx(&self, setup: &Setup, running: &mut Running) -> Result<()> {
        let folder = setup.folder.join("nginx");
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let port = free_port()?;
        let template = fs::read_to_string(&setup.nginx_template)
            .with_context(|| format!("cannot read {}", setup.nginx_template.display()))?;
        // Root's nginx gives its workers to another user unless told otherwise, who could not write here.
        let is_root = fs::metadata("/proc/self").context("cannot read /proc")?.uid() == 0;
        let config = template
            .replace("{{user}}", if is_root { "user root;" } else { "" })
            .replace("{{folder}}", &folder.display().to_string())
            .replace("{{port}}", &port.to_string())
            .replace("{{upstream_port}}", &running.upstream_port.to_string());
        let file = folder.join("nginx.conf");
        fs::write(&file, config).with_context(|| format!("cannot write {}", file.display()))?;
        let log = log_file(&setup.folder, &self.name)?;
        let mut command = Command::new("nginx");
        command.arg("-p").arg(&folder).arg("-e").arg(folder.join("error.log")).arg("-c").arg(&file);
        let mut front = Process::start("nginx", command.stdout(Stdio::null()).stderr(log))?;
        wait_for_listener(&mut front, port)?;
        running.front = Some(front);
        running.front_port = port;
        Ok(())
    }

    fn start_picofaas(&self, setup: &Setup, arguments: &[String], running: &mut Running) -> Result<()> {
        let server = Server::start(&setup.picofaas, arguments, &setup.folder, &self.name)?;
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
}

impl Running {
    /// Ends both, the one in front first, so that it sees no broken connection.
    pub fn stop(self) -> Result<()> {
        if let Some(front) = self.front {
            front.stop()?;
        }
        self.upstream.stop()
    }
}

fn wait_for_listener(process: &mut Process, port: u16) -> Result<()> {
    let connected = wait::until(START_PATIENCE, || {
        process.check_alive()?;
        // Refused until it listens: that is what is waited for.
        Ok(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok())
    })?;
    match connected {
        Some(_) => Ok(()),
        None => bail!("nobody listens on port {port} after {} s", START_PATIENCE.as_secs()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(given: &[&str]) -> Vec<String> {
        let given = given.iter().map(|&argument| argument.to_owned()).collect();
        match Contender::picofaas("p", "adaptive", given).kind {
            Kind::Picofaas { arguments } => arguments,
            Kind::Direct | Kind::Nginx => panic!("not a row of picofaas"),
        }
    }

    #[test]
    fn the_scheduler_is_given_exactly_once() {
        assert_eq!(arguments(&["--gateways", "2"]), ["--gateways", "2", "--scheduler", "adaptive"]);
        assert_eq!(arguments(&["--scheduler", "spin"]), ["--scheduler", "spin"]);
        assert_eq!(arguments(&["--scheduler=spin"]), ["--scheduler=spin"]);
    }
}
