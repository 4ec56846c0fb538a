//! The runtimes of this repository, and one of somebody else's.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use picofaas_contract::built;

use super::subject::{
    Behaviour, Concurrency, FUNCTION, Fidelity, Frames, LateLines, Loads, OnExit, OnMissing, Subject, Web,
};

/// The runtimes of this repository.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Runtime {
    Rust,
    WatchdogHttp,
    WatchdogStdio,
    WatchdogWorker,
    Python,
    Java,
}

/// A runtime to be tested, if it is here.
pub(crate) struct Candidate {
    pub(crate) name: String,
    /// Or why it cannot be started.
    pub(crate) subject: Result<Subject, String>,
}

/// A name of no function of any runtime.
const NOWHERE: &str = "no-such-function";

impl Runtime {
    pub(crate) const ALL: [Self; 6] =
        [Self::Rust, Self::WatchdogHttp, Self::WatchdogStdio, Self::WatchdogWorker, Self::Python, Self::Java];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::WatchdogHttp => "watchdog-http",
            Self::WatchdogStdio => "watchdog-stdio",
            Self::WatchdogWorker => "watchdog-worker",
            Self::Python => "python",
            Self::Java => "java",
        }
    }

    /// The runtime, built where cargo builds it.
    pub(crate) fn candidate(self) -> Candidate {
        Candidate { name: self.name().to_owned(), subject: self.subject() }
    }

    fn subject(self) -> Result<Subject, String> {
        match self {
            Self::Rust => Ok(rust()),
            Self::WatchdogHttp => {
                let behaviour = Behaviour { fidelity: Fidelity::Bytes, web: Web::Always, ..SURVIVES_EXIT };
                let mut subject = watchdog(self, "http", "server", behaviour)?;
                subject.variables_of = vec![metadata_of_context()];
                Ok(subject)
            }
            Self::WatchdogStdio => {
                let behaviour =
                    Behaviour { loads: Loads::EachTime, fidelity: Fidelity::Bytes, ..SURVIVES_EXIT };
                let mut subject = watchdog(self, "stdio", "stdio", behaviour)?;
                subject.variables_of = vec![metadata_of_context()];
                // A missing function is seen by the program, which runs for each request.
                subject.missing = vec![variable("WATCHDOG_CMD", "no-such-function -x")];
                Ok(subject)
            }
            Self::WatchdogWorker => watchdog(
                self,
                "worker",
                "worker",
                Behaviour { concurrency: Concurrency::Serial, ..SURVIVES_EXIT },
            ),
            Self::Python => python(),
            Self::Java => java(),
        }
    }
}

/// Behaviour of a runtime that runs its function in its own process.
const IN_PROCESS: Behaviour = Behaviour {
    on_exit: OnExit::Ends,
    concurrency: Concurrency::Parallel,
    loads: Loads::AtStart,
    fidelity: Fidelity::Bytes,
    on_missing_as_job: OnMissing::Ends,
    late_lines: LateLines::OwnOrNone,
    frames: Frames::Spoken,
    web: Web::Unknown,
    web_in_frames: true,
};

/// Behaviour of a runtime that runs it in another.
const SURVIVES_EXIT: Behaviour = Behaviour {
    on_exit: OnExit::Survives,
    concurrency: Concurrency::Parallel,
    loads: Loads::AtStart,
    fidelity: Fidelity::Values,
    on_missing_as_job: OnMissing::Posts,
    late_lines: LateLines::OfTheOnly,
    frames: Frames::Spoken,
    web: Web::Refused,
    web_in_frames: true,
};

fn variable(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// The envelope has the metadata, which no other function asks for.
fn metadata_of_context() -> (&'static str, String, String) {
    ("context", "WATCHDOG_INPUT".to_owned(), "envelope".to_owned())
}

fn text(path: &Path) -> String {
    path.to_str().expect("paths of this workspace are UTF-8").to_owned()
}

fn rust() -> Subject {
    Subject {
        name: Runtime::Rust.name().to_owned(),
        command: vec![text(built::faulty())],
        folder: None,
        variables: vec![variable("HANDLER", FUNCTION)],
        variables_of: Vec::new(),
        missing: vec![variable("HANDLER", NOWHERE)],
        missing_said: vec![NOWHERE.to_owned(), "echo, identity".to_owned()],
        behaviour: Behaviour { web: Web::Served, ..IN_PROCESS },
        declined: OnceLock::new(),
        refused_web: OnceLock::new(),
    }
}

fn watchdog(runtime: Runtime, mode: &str, program: &str, behaviour: Behaviour) -> Result<Subject, String> {
    let python = interpreter()?;
    let program = built::root().join(format!("runtime/contract/programs/{program}.py"));
    // Without what a start of Python does for others: packages that are installed, files written.
    let command = format!(r#"["{}","-S","-E","-B","{}"]"#, text(&python), text(&program));
    Ok(Subject {
        name: runtime.name().to_owned(),
        command: vec![text(&built::watchdog())],
        folder: None,
        variables: vec![
            variable("HANDLER", FUNCTION),
            variable("WATCHDOG_MODE", mode),
            variable("WATCHDOG_CMD", &command),
        ],
        variables_of: Vec::new(),
        missing: vec![variable("HANDLER", NOWHERE)],
        missing_said: vec![NOWHERE.to_owned()],
        behaviour,
        declined: OnceLock::new(),
        refused_web: OnceLock::new(),
    })
}

fn python() -> Result<Subject, String> {
    let folder = built::root().join("pyruntime");
    let interpreter = interpreter()?;
    Ok(Subject {
        name: Runtime::Python.name().to_owned(),
        command: vec![text(&built::watchdog()), "python".to_owned()],
        folder: Some(folder.join("tests")),
        variables: vec![
            ("HANDLER".to_owned(), format!("faulty:{FUNCTION}")),
            variable("PICOFAAS_PYTHON", &text(&interpreter)),
            // The package as it is in the tree.
            variable("PYTHONPATH", &text(&folder.join("src"))),
            variable("PYTHONDONTWRITEBYTECODE", "1"),
        ],
        variables_of: vec![("web", "HANDLER".to_owned(), "webbed:app".to_owned())],
        missing: vec![variable("HANDLER", "no_such_module:echo")],
        missing_said: vec!["no_such_module".to_owned()],
        behaviour: Behaviour {
            concurrency: Concurrency::Serial,
            late_lines: LateLines::OwnOrNone,
            web: Web::ServedWithoutUpgrades,
            ..SURVIVES_EXIT
        },
        declined: OnceLock::new(),
        refused_web: OnceLock::new(),
    })
}

fn java() -> Result<Subject, String> {
    if !succeeds(Command::new("java").arg("-version")) {
        return Err("java is not installed".to_owned());
    }
    let folder = built::root().join("runtime/java/faulty/target");
    let (jar, archive) = (folder.join("faulty.jar"), folder.join("faulty.jsa"));
    for file in [&jar, &archive] {
        if !file.is_file() {
            let file = file.display();
            return Err(format!("there is no {file}: mvn -f runtime/java package -DskipTests"));
        }
    }
    let archive = format!("-XX:SharedArchiveFile={}", text(&archive));
    let command = ["java", &archive, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-jar", &text(&jar)];
    Ok(Subject {
        name: Runtime::Java.name().to_owned(),
        command: command.map(str::to_owned).to_vec(),
        folder: None,
        variables: vec![variable("HANDLER", FUNCTION)],
        variables_of: Vec::new(),
        missing: vec![variable("HANDLER", NOWHERE)],
        missing_said: vec![NOWHERE.to_owned(), "echo, context".to_owned()],
        behaviour: Behaviour { web: Web::ServedWithoutUpgrades, web_in_frames: false, ..IN_PROCESS },
        declined: OnceLock::new(),
        refused_web: OnceLock::new(),
    })
}

/// Python itself: the first in `PATH` may be a script that looks for it at each start.
fn interpreter() -> Result<PathBuf, String> {
    let asked = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output();
    match asked {
        Ok(output) if output.status.success() => {
            Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim_end()))
        }
        _ => Err("python3 is not installed".to_owned()),
    }
}

fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}
