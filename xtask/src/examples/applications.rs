//! Web applications that know nothing of picofaas, asked directly and through it: every answer must be the same.
//!
//! | door | leads to |
//! |---|---|
//! | the application itself | a process that this check has started, by the command of the manifest |
//! | `/fn/NAME`, `NAME.localhost` | the function that `picofaas dev examples` serves, behind the watchdog |
//! | `/fn/NAME-pool` | the first process, as a `POOL` function |

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::json;

use super::{DevServer, command_in, note};
use crate::bench::server::{free_port, wait_for_listener};
use crate::ends::Ends;
use crate::http;
use crate::process::Process;
use crate::repository::Repository;
use crate::toolbox::{self, Unavailable};

/// Asks at every door and compares.
const CLIENT: &str = "xtask/examples/web_applications.py";
/// Packages of the client.
const REQUIREMENTS: &str = "xtask/examples/requirements.txt";

/// An example that is an HTTP server.
pub(super) struct Application {
    pub name: &'static str,
    pub needs: fn() -> Result<(), Unavailable>,
}

pub(super) const APPLICATIONS: [Application; 4] = [
    Application { name: "web-flask", needs: toolbox::python_venv },
    Application {
        name: "web-express",
        needs: || {
            toolbox::present("node", "--version")?;
            toolbox::present("npm", "--version")
        },
    },
    Application { name: "web-go", needs: || toolbox::present("go", "version") },
    Application { name: "web-spring", needs: super::java },
];

/// Compares the doors of each application.
pub(super) fn compare(
    repository: &Repository,
    server: &mut DevServer,
    applications: &[&Application],
    ends: &mut Ends,
) -> Result<()> {
    let programs = match toolbox::python_programs(&repository.root().join(REQUIREMENTS)) {
        Ok(programs) => programs,
        Err(Unavailable(why)) => {
            ends.skipped.push(format!("web applications: {why}"));
            return Ok(());
        }
    };
    for application in applications {
        server.process.check_alive()?;
        let passed = doors_agree(repository, server, application.name, &programs.join("python"))?;
        note(ends, format!("{}: answers as it does without picofaas", application.name), passed);
    }
    Ok(())
}

fn doors_agree(repository: &Repository, server: &DevServer, name: &str, python: &Path) -> Result<bool> {
    let folder = repository.root().join("examples").join(name);
    let spec = server.spec_of(name)?;
    let command = command_in(&spec)?;
    let words: Option<Vec<&str>> = command.iter().map(|word| word.as_str()).collect();
    let behind = words.as_deref().and_then(|words| words.split(|word| *word == "--").nth(1));
    let Some([program, arguments @ ..]) = behind else {
        bail!("the command of {name} has no program behind --: {command:?}");
    };
    let port = free_port()?;
    // By its whole path, as a relative one is not looked for in the folder it is to run in.
    let file = if program.contains('/') { folder.join(program) } else { program.into() };
    let mut command = Command::new(file);
    command.args(arguments).current_dir(&folder).env("PORT", port.to_string());
    command.env("PYTHONDONTWRITEBYTECODE", "1").stdout(Stdio::null()).stderr(Stdio::null());
    let mut process = Process::start(name, &mut command)?;
    wait_for_listener(&mut process, port).with_context(|| format!("{name} does not start"))?;
    let pool = format!("{name}-pool");
    let endpoint = format!("http://127.0.0.1:{port}");
    let spec = json!({"name": pool, "executionMode": "POOL", "endpointUrl": endpoint, "web": {}});
    let answer = http::request(server.port, "POST", "/v1/functions", &[], &spec.to_string())?;
    if answer.status != 201 {
        bail!("{pool} is not registered: {} {}", answer.status, String::from_utf8_lossy(&answer.body));
    }
    let served = server.port;
    let mut client = Command::new(python);
    client.arg("-B").arg(repository.root().join(CLIENT)).arg(folder.join("README.md")).arg(endpoint);
    client.args([
        format!("http://127.0.0.1:{served}/fn/{name}"),
        format!("http://{name}.localhost:{served}"),
        format!("http://127.0.0.1:{served}/fn/{pool}"),
    ]);
    let status = client.stdin(Stdio::null()).status().context("cannot run python")?;
    process.stop()?;
    Ok(status.success())
}
