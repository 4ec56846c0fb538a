//! `picofaas new`: the folder of a new function.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;

use crate::dev::example_call;
use crate::dev::terminal::{quote_if_needed, say, set_in};
use crate::scaffold::{self, Language, Scaffold};
use crate::spec::FunctionName;

/// Input of every new function, as its manifest says, too.
const EXAMPLE_INPUT: &str = r#"{"name":"Ada"}"#;

const HELP: &str = "\
The new folder has the function, its test, its manifest, a Dockerfile and a README that explains them.
It builds, passes its test and serves as it is.

The runtimes are not published, so the folder has the source of its own in vendor, and builds wherever it goes.
--update brings that of this picofaas into the folder of a function that was made before.";

/// The flags of `new`.
#[derive(Args, Clone, Debug)]
#[command(after_help = HELP)]
pub struct NewArgs {
    /// The function's name, and its folder's: lower-case letters, digits and hyphens
    #[arg(required_unless_present = "update")]
    pub name: Option<FunctionName>,
    /// Language it is written in
    #[arg(long, value_enum, value_name = "LANGUAGE", required_unless_present = "update")]
    pub lang: Option<Language>,
    /// Where the folder is made
    #[arg(long, default_value = ".", value_name = "DIR")]
    pub dir: PathBuf,
    /// Nothing new: put the source of the runtime into vendor of this function's folder, in place of the one there
    #[arg(long, value_name = "DIR", conflicts_with_all = ["name", "lang", "dir"])]
    pub update: Option<PathBuf>,
}

/// Makes the folder and says what to do next, or updates one. `program` is how this program was called.
///
/// # Errors
/// The folder is there already, or cannot be made, and nothing is left behind; or it cannot be updated.
pub fn run(arguments: &NewArgs, program: &str) -> anyhow::Result<()> {
    match arguments {
        NewArgs { update: Some(function), .. } => {
            let language = scaffold::update(function)?;
            let (function, version) = (function.display(), env!("CARGO_PKG_VERSION"));
            let runtime = format!("{function}/{}: the runtime for {}", scaffold::VENDORED, language.title());
            say(&format!("{runtime} of picofaas {version}"));
        }
        NewArgs { name: Some(name), lang: Some(lang), dir, .. } => {
            say(&report(&Scaffold::make(dir, name, *lang)?, name, *lang, program));
        }
        NewArgs { .. } => bail!("name the function, and its language with --lang"),
    }
    Ok(())
}

fn report(scaffold: &Scaffold, name: &FunctionName, lang: Language, program: &str) -> String {
    // `./greet` and `greet` are the same to a person.
    let folder = scaffold.folder.strip_prefix(".").unwrap_or(&scaffold.folder);
    let files: Vec<String> =
        scaffold.files.iter().map(|file| folder.join(file).display().to_string()).collect();
    let folder = quote_if_needed(&folder.display().to_string());
    let [invoke, _] = example_call::with_input("http://127.0.0.1:8080", name.as_str(), EXAMPLE_INPUT);
    let next = [
        format!("(cd {folder} && {})", lang.test()),
        format!("{} dev {folder}", quote_if_needed(program)),
        invoke,
    ];
    format!(
        "{name}, a function in {}:\n{}\n\nIts test, serving it, and calling it:\n{}",
        lang.title(),
        set_in(&files.join("\n")),
        set_in(&next.join("\n"))
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command, MachineCommand};

    fn parse(arguments: &[&str]) -> Result<NewArgs, String> {
        match Cli::try_parse_from([&["picofaas", "new"], arguments].concat()) {
            Ok(Cli { command: Command::Machine(MachineCommand::New(arguments)) }) => Ok(*arguments),
            Ok(_) => unreachable!("the first word is new"),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn a_name_that_the_registry_would_refuse_is_refused_in_its_words() {
        let rule = crate::spec::InvalidName.to_string();
        for name in ["Greet", "1a", "a_b", "a-", "../a", ""] {
            let refused = parse(&[name, "--lang", "rust"]).unwrap_err();
            assert!(refused.contains(&rule), "{refused}");
        }
        assert_eq!(parse(&["word-stats", "--lang", "rust"]).unwrap().name.unwrap().as_str(), "word-stats");
    }

    #[test]
    fn without_a_language_or_with_an_unknown_one_those_there_are_get_listed() {
        let languages = "rust, python, java, shell";
        assert!(parse(&["a", "--lang", "cobol"]).unwrap_err().contains(languages));
        let refused = parse(&["a"]).unwrap_err();
        assert!(refused.contains("--lang <LANGUAGE>"), "{refused}");
    }

    #[test]
    fn an_update_is_of_a_folder_and_goes_with_nothing_else() {
        assert_eq!(parse(&["--update", "a"]).unwrap().update, Some("a".into()));
        for more in [["greet"].as_slice(), &["--lang", "rust"], &["--dir", "b"]] {
            let refused = parse(&[&["--update", "a"], more].concat()).unwrap_err();
            assert!(refused.contains("cannot be used with"), "{refused}");
        }
    }

    #[test]
    fn the_next_commands_can_be_pasted_where_the_folder_was_made() {
        let name: FunctionName = "greet".parse().unwrap();
        let scaffold =
            Scaffold { folder: "./greet".into(), files: vec!["function.yaml".into(), "src/main.rs".into()] };
        let said = report(&scaffold, &name, Language::Rust, "./target/release/picofaas");
        let lines: Vec<&str> = said.lines().map(str::trim).collect();
        assert_eq!(lines[1..3], ["greet/function.yaml", "greet/src/main.rs"]);
        assert_eq!(lines[5], "(cd greet && cargo test)");
        assert_eq!(lines[6], "./target/release/picofaas dev greet");
        assert!(lines[7].starts_with("curl -s http://127.0.0.1:8080/v1/functions/greet:invoke "), "{said}");
        let elsewhere = Scaffold { folder: "my functions/greet".into(), files: Vec::new() };
        let said = report(&elsewhere, &name, Language::Shell, "picofaas");
        assert!(said.contains("picofaas dev 'my functions/greet'"), "{said}");
    }
}
