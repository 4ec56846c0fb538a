//! Whether the examples that do the same, each in its language, give the same bytes: as they are
//! served by `picofaas dev examples`, and each once more as a `JOB`.
//!
//! | part | what it is |
//! |---|---|
//! | the tests of an example | where neither `cargo test` nor Maven runs them |
//! | `hello` | the example that a newcomer begins with |
//! | `WARM`, `JOB` | every case of `cases` against every twin |
//! | `applications` | web applications, whose answers are the same with picofaas and without |
//!
//! An example whose language this machine lacks is left out with the reason.

mod applications;
mod cases;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::ends::Ends;
use crate::folder::Folder;
use crate::http;
use crate::process::Process;
use crate::repository::Repository;
use crate::toolbox::{self, JQ, Unavailable};
use crate::wait;
use applications::APPLICATIONS;
use cases::{Case, Expected};

/// From the start of `dev` until all is built and ready; the first time much is compiled.
const BUILD_PATIENCE: Duration = Duration::from_secs(900);

/// The program that serves, in the target folder.
const PICOFAAS: &str = "debug/picofaas";

/// For one attempt of a `JOB`, which starts a JVM on a machine that may be busy.
const JOB_TIMEOUT_MS: u32 = 30_000;

/// An example that counts words.
struct Twin {
    name: &'static str,
    /// Command that runs its tests in its folder, where `cargo test` does not.
    tests: Option<&'static [&'static str]>,
    needs: fn() -> Result<(), Unavailable>,
}

/// The example that needs nothing but Python.
const HELLO: &str = "hello";

const TWINS: [Twin; 4] = [
    Twin { name: "word-stats-rust", tests: None, needs: || Ok(()) },
    Twin {
        name: "word-stats-python",
        tests: Some(&["python3", "-m", "unittest"]),
        needs: || toolbox::present("python3", "--version"),
    },
    Twin { name: "word-stats-java", tests: None, needs: java },
    Twin { name: "word-stats-shell", tests: Some(&["./test"]), needs: || toolbox::debian_programs(&[JQ]) },
];

fn java() -> Result<(), Unavailable> {
    toolbox::present("java", "-version")?;
    toolbox::present("mvn", "-version")
}

pub(crate) fn run(repository: &Repository) -> Result<Ends> {
    let mut ends = Ends::default();
    let mut twins = Vec::new();
    for twin in &TWINS {
        match (twin.needs)() {
            Ok(()) => twins.push(twin),
            Err(Unavailable(why)) => ends.skipped.push(format!("{}: {why}", twin.name)),
        }
    }
    let mut applications = Vec::new();
    for application in &APPLICATIONS {
        match (application.needs)() {
            Ok(()) => applications.push(application),
            Err(Unavailable(why)) => ends.skipped.push(format!("{}: {why}", application.name)),
        }
    }
    let build = ["build", "--package", "picofaas", "--bins"];
    if !repository.cargo(&build).stdin(Stdio::null()).status().context("cannot run cargo")?.success() {
        bail!("cargo {} failed", build.join(" "));
    }
    let folder = Folder::make("examples")?;
    let names = twins.iter().map(|twin| twin.name).chain(applications.iter().map(|it| it.name));
    let mut server = DevServer::start(repository, folder.path(), &names.collect::<Vec<_>>())?;
    let outcome = on(repository, &mut server, &twins, &mut ends)
        .and_then(|()| applications::compare(repository, &mut server, &applications, &mut ends));
    if outcome.is_err() || !ends.failed.is_empty() {
        println!("what picofaas said:\n{}", server.said());
    }
    outcome?;
    server.process.stop()?;
    Ok(ends)
}

fn on(repository: &Repository, server: &mut DevServer, twins: &[&Twin], ends: &mut Ends) -> Result<()> {
    match toolbox::present("python3", "--version") {
        Ok(()) => greets(repository, server, ends)?,
        Err(Unavailable(why)) => ends.skipped.push(format!("{HELLO}: {why}")),
    }
    let cases = cases::all();
    for twin in twins {
        if let Some([program, arguments @ ..]) = twin.tests {
            let folder = repository.root().join("examples").join(twin.name);
            // By its whole path, as a relative one is not looked for in the folder it is to run in.
            let file = if program.contains('/') { folder.join(program) } else { PathBuf::from(program) };
            let mut command = Command::new(file);
            command.args(arguments).current_dir(folder).env("PYTHONDONTWRITEBYTECODE", "1");
            command.env("PYTHONPATH", repository.root().join("pyruntime/src"));
            let status = command.stdin(Stdio::null()).status();
            let passed = status.with_context(|| format!("cannot run {program}"))?.success();
            note(ends, format!("{}: its tests", twin.name), passed);
        }
        let job = server.register_as_job(repository, twin.name)?;
        for function in [twin.name, &job] {
            let mut wrong = 0;
            for case in &cases {
                server.process.check_alive()?;
                if let Some(fault) = server.ask(function, case)? {
                    println!("{function}: for {}: {fault}", case.about);
                    wrong += 1;
                }
            }
            note(ends, format!("{function}: {} cases", cases.len()), wrong == 0);
        }
    }
    Ok(())
}

/// Asks the example that a newcomer begins with.
fn greets(repository: &Repository, server: &mut DevServer, ends: &mut Ends) -> Result<()> {
    let readme = repository.root().join("examples").join(HELLO).join("README.md");
    let readme = fs::read_to_string(&readme).with_context(|| format!("cannot read {}", readme.display()))?;
    server.process.check_alive()?;
    let path = format!("/v1/functions/{HELLO}:invoke");
    let answer = http::request(server.port, "POST", &path, &[], r#"{"input":{"name":"Ada"}}"#)?;
    let came = String::from_utf8_lossy(&answer.body);
    let output = output_of(&came).filter(|output| readme.contains(&format!("# {output}\n")));
    if output.is_none() {
        println!("{HELLO}: its README has not this output: {} {came}", answer.status);
    }
    note(ends, format!("{HELLO}: the output in its README"), output.is_some());
    Ok(())
}

fn note(ends: &mut Ends, part: String, passed: bool) {
    println!("-- {part}: {}", if passed { "passed" } else { "FAILED" });
    if !passed {
        ends.failed.push(part);
    }
}

/// `picofaas dev examples`, which has built them.
struct DevServer {
    process: Process,
    log: PathBuf,
    port: u16,
}

impl DevServer {
    fn start(repository: &Repository, folder: &Path, functions: &[&str]) -> Result<Self> {
        let log = folder.join("dev.log");
        let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = Command::new(repository.target().join(PICOFAAS));
        command.arg("dev").arg("examples").arg("--allow-local-exec").current_dir(repository.root());
        for listener in ["--listen", "--management-listen", "--runtime-listen"] {
            command.args([listener, "127.0.0.1:0"]);
        }
        // A JVM starts beside the builds of all others, which take every CPU.
        command.args(["--start-timeout-ms", "300000"]);
        // Without what it remembers of earlier builds: a runtime that has changed is not seen from
        // the folder of a function.
        command.env("XDG_CACHE_HOME", folder.join("cache")).env_remove("RUST_LOG");
        // Go and pip keep theirs, so that they compile and download once.
        if let Ok(tools) = toolbox::cache() {
            command.env("GOCACHE", tools.join("go-build")).env("PIP_CACHE_DIR", tools.join("pip"));
        }
        command.stdout(output.try_clone()?).stderr(output);
        let mut process = Process::start("picofaas dev", &mut command)?;
        let said = || fs::read_to_string(&log).unwrap_or_default();
        let ready = wait::until(BUILD_PATIENCE, || {
            process.check_alive()?;
            let said = said();
            if let Some(name) = functions.iter().find(|name| has_failed(&said, name)) {
                bail!("{name} is not served");
            }
            Ok(functions.iter().all(|name| said.contains(&format!("{name} is ready ("))).then_some(()))
        });
        let port = ready.and_then(|ready| match (ready, port(&said())) {
            (Some(()), Some(port)) => Ok(port),
            (None, _) => bail!("not everything was ready within {} s", BUILD_PATIENCE.as_secs()),
            (_, None) => bail!("it does not say where it serves"),
        });
        let port = port.with_context(|| format!("picofaas dev said:\n{}", said()))?;
        Ok(Self { process, log, port })
    }

    /// Registers the program of a function once more, as a `JOB`. Its name.
    fn register_as_job(&self, repository: &Repository, function: &str) -> Result<String> {
        let spec = self.spec_of(function)?;
        let command = command_in(&spec)?;
        // A function that is registered over HTTP has no folder of its own to start in.
        let folder = repository.root().join("examples").join(function);
        let mut in_its_folder =
            vec![json!("sh"), json!("-c"), json!(r#"cd "$0" && exec "$@""#), json!(folder)];
        // The shell would look for it in PATH.
        let picofaas = json!(repository.target().join(PICOFAAS));
        in_its_folder
            .extend(command.iter().map(|word| if word == "picofaas" { &picofaas } else { word }).cloned());
        let name = format!("{function}-job");
        let job = json!({
            "name": name,
            "executionMode": "JOB",
            "local": { "command": in_its_folder },
            "env": spec["env"].as_array().cloned().unwrap_or_default(),
            "timeoutMs": JOB_TIMEOUT_MS,
        });
        let answer = http::request(self.port, "POST", "/v1/functions", &[], &job.to_string())?;
        if answer.status != 201 {
            bail!("{name} is not registered: {} {}", answer.status, String::from_utf8_lossy(&answer.body));
        }
        Ok(name)
    }

    /// Specification of a function.
    fn spec_of(&self, function: &str) -> Result<Value> {
        let place = format!("/v1/functions/{function}");
        let answer = http::request(self.port, "GET", &place, &[], "")?;
        serde_json::from_slice(&answer.body).context(place)
    }

    /// Asks, and tells what was wrong with the answer, if anything.
    fn ask(&self, function: &str, case: &Case) -> Result<Option<String>> {
        let path = format!("/v1/functions/{function}:invoke");
        let body = format!("{{\"input\":{}}}", case.input);
        let answer = http::request(self.port, "POST", &path, &[], &body)?;
        let came = String::from_utf8_lossy(&answer.body);
        let (expected, as_it_should) = match &case.expected {
            Expected::Output(output) => {
                (format!("200 {output}"), answer.status == 200 && output_of(&came) == Some(output))
            }
            Expected::BadInput => {
                let code = serde_json::from_str::<Value>(&came)?["error"]["code"].clone();
                ("400 BAD_INPUT".to_owned(), answer.status == 400 && code == "BAD_INPUT")
            }
        };
        Ok((!as_it_should).then(|| format!("\n  expected {expected}\n  got      {} {came}", answer.status)))
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

/// Words of the command of a local function.
fn command_in(spec: &Value) -> Result<&Vec<Value>> {
    match spec["local"]["command"].as_array() {
        Some(command) => Ok(command),
        None => bail!("a function shows no local.command: {spec}"),
    }
}

/// Whether `dev` has given up on a function until somebody changes it.
fn has_failed(said: &str, function: &str) -> bool {
    said.contains(&format!("{function}: its build failed"))
        || said.contains(&format!("{function}: an instance failed to start"))
}

/// Where functions are served.
fn port(said: &str) -> Option<u16> {
    let (_, rest) = said.split_once("functions are served on http://127.0.0.1:")?;
    rest.split(',').next()?.parse().ok()
}

/// The bytes of the output in the answer to an invocation that succeeded.
fn output_of(answer: &str) -> Option<&str> {
    answer.split_once(r#","output":"#)?.1.strip_suffix(r#","error":null}"#)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_output_is_taken_byte_for_byte_and_a_failure_has_none() {
        let answer = r#"{"executionId":"0a","status":"success","output":{ "output":1.0 },"error":null}"#;
        assert_eq!(output_of(answer), Some(r#"{ "output":1.0 }"#));
        assert_eq!(output_of(r#"{"status":"error","output":null,"error":{"code":"BAD_INPUT"}}"#), None);
    }

    #[test]
    fn the_port_is_that_of_the_listener_of_clients() {
        let said = "picofaas dev: functions are served on http://127.0.0.1:41, the management API on http://127.0.0.1:42;";
        assert_eq!(port(said), Some(41));
        assert_eq!(port("building"), None);
    }

    #[test]
    fn a_build_that_failed_is_that_of_its_function() {
        assert!(has_failed("a: its build failed: sh", "a"));
        assert!(!has_failed("ab: its build failed: sh\n", "a"));
    }
}
