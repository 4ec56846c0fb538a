//! The command line: the runtimes, the cases, and a runtime of somebody else's.

use std::sync::OnceLock;

use clap::Parser;
use picofaas_contract::patience::PATIENCE;

use crate::suite::case::{Mode, Row};
use crate::suite::subject::{
    Behaviour, Concurrency, Fidelity, Frames, LateLines, Loads, OnExit, OnMissing, Subject, Web,
};
use crate::suite::subjects::{Candidate, Runtime};

/// Holds every runtime to the contract of docs/runtime.md
#[derive(Parser)]
#[command(name = "picofaas-contract")]
pub(crate) struct Options {
    /// Only this runtime; may be given several times
    #[arg(long, value_name = "NAME", conflicts_with = "command")]
    runtime: Vec<String>,
    /// Only cases with this in their name
    #[arg(long, value_name = "PART")]
    pub(crate) case: Option<String>,
    /// Seconds after which a case that waits has failed
    #[arg(long, value_name = "SECONDS", default_value_t = PATIENCE.as_secs())]
    pub(crate) patience: u64,
    /// List runtimes and cases, and stop
    #[arg(long)]
    pub(crate) list: bool,
    #[command(flatten)]
    other: CustomRuntime,
}

/// A runtime that is not in this repository.
#[derive(clap::Args)]
#[command(next_help_heading = "A runtime of your own")]
struct CustomRuntime {
    /// Its command, for `sh -c 'exec …'`
    #[arg(long, value_name = "WORDS")]
    command: Option<String>,
    /// A variable of its environment; `{function}` in it becomes the name of the test function
    #[arg(long, value_name = "NAME=VALUE", requires = "command", default_value = "HANDLER={function}")]
    env: Vec<String>,
    /// A variable of its environment instead, for a function that is not there
    #[arg(long, value_name = "NAME=VALUE", requires = "command", default_value = "HANDLER=no-such-function")]
    missing_env: Vec<String>,
    /// Text that it says then, on stderr or in its post
    #[arg(long, value_name = "TEXT", requires = "command", default_value = "no-such-function")]
    missing_said: String,
    /// It runs one invocation at a time
    #[arg(long, requires = "command")]
    one_by_one: bool,
    /// It loads the function for each invocation, and is healthy before
    #[arg(long, requires = "command")]
    loads_each_time: bool,
    /// It goes on when the function ends its process, and answers 500
    #[arg(long, requires = "command")]
    outlives_exit: bool,
    /// As a JOB it posts that the function is not there, and does not end with the reason on stderr
    #[arg(long, requires = "command")]
    posts_missing: bool,
    /// Its functions get the input as it came, byte for byte
    #[arg(long, requires = "command")]
    exact: bool,
    /// A late line of its functions has the ids of the only invocation under way
    #[arg(long, requires = "command")]
    late_lines_of_the_only: bool,
    /// It speaks frames, too
    #[arg(long, requires = "command")]
    frames: bool,
    /// Its answer to web requests
    #[arg(long, requires = "command", value_enum, default_value_t = Web::Unknown)]
    web: Web,
    /// It takes web requests over frames, too
    #[arg(long, requires = "frames")]
    web_in_frames: bool,
}

impl Options {
    /// The wanted rows of a mode.
    pub(crate) fn rows(&self, mode: Mode) -> Vec<Row> {
        let part = self.case.as_deref().unwrap_or_default();
        mode.rows().into_iter().filter(|row| row.name.contains(part)).collect()
    }

    /// The wanted runtimes, built where they need that.
    ///
    /// # Errors
    /// The fault of the command line.
    pub(crate) fn candidates(&self) -> Result<Vec<Candidate>, String> {
        if let Some(command) = &self.other.command {
            return Ok(vec![self.other.candidate(command)?]);
        }
        for name in &self.runtime {
            if !Runtime::ALL.iter().any(|runtime| runtime.name() == name) {
                let names = Runtime::ALL.map(Runtime::name).join(", ");
                return Err(format!("--runtime {name}: there are {names}"));
            }
        }
        let wanted = |runtime: &Runtime| {
            self.runtime.is_empty() || self.runtime.iter().any(|name| name == runtime.name())
        };
        Ok(Runtime::ALL.into_iter().filter(wanted).map(Runtime::candidate).collect())
    }
}

impl CustomRuntime {
    fn candidate(&self, command: &str) -> Result<Candidate, String> {
        let name = "yours".to_owned();
        let subject = Subject {
            name: name.clone(),
            command: vec!["sh".to_owned(), "-c".to_owned(), format!("exec {command}")],
            folder: None,
            variables: variables("--env", &self.env)?,
            variables_of: Vec::new(),
            missing: variables("--missing-env", &self.missing_env)?,
            missing_said: vec![self.missing_said.clone()],
            behaviour: Behaviour {
                on_exit: if self.outlives_exit { OnExit::Survives } else { OnExit::Ends },
                concurrency: if self.one_by_one { Concurrency::Serial } else { Concurrency::Parallel },
                loads: if self.loads_each_time { Loads::EachTime } else { Loads::AtStart },
                fidelity: if self.exact { Fidelity::Bytes } else { Fidelity::Values },
                on_missing_as_job: if self.posts_missing { OnMissing::Posts } else { OnMissing::Ends },
                late_lines: if self.late_lines_of_the_only {
                    LateLines::OfTheOnly
                } else {
                    LateLines::OwnOrNone
                },
                frames: if self.frames { Frames::Spoken } else { Frames::Declined },
                web: self.web,
                web_in_frames: self.web_in_frames,
            },
            declined: OnceLock::new(),
            refused_web: OnceLock::new(),
        };
        Ok(Candidate { name, subject: Ok(subject) })
    }
}

fn variables(flag: &str, pairs: &[String]) -> Result<Vec<(String, String)>, String> {
    pairs
        .iter()
        .map(|pair| match pair.split_once('=') {
            Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
            None => Err(format!("{flag} {pair}: give NAME=VALUE")),
        })
        .collect()
}
