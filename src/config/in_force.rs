//! The flags in force, for people and programs: as JSON, and as the command line that says the same.

use std::path::PathBuf;

use serde::Serializer;
use serde_json::{Map, Value};

use super::ServeArgs;

impl ServeArgs {
    /// Every flag by its name; `null` where it has no value.
    ///
    /// # Panics
    /// Never: every flag is a text, a number, a truth or a list of such.
    #[must_use]
    pub fn in_force(&self) -> Map<String, Value> {
        let flags = serde_json::to_value(self).expect("flags are texts, numbers, truths and lists of them");
        flags.as_object().cloned().unwrap_or_default()
    }

    /// The command line that has the same flags in force. Those that are off or without a value are left out.
    #[must_use]
    pub fn command_line(&self) -> String {
        let flags = self.in_force();
        let words = flags.iter().flat_map(|(flag, value)| match value {
            Value::Null | Value::Bool(false) => Vec::new(),
            Value::Bool(true) => vec![format!("--{flag}")],
            Value::Array(values) => values.iter().map(|value| word(flag, value)).collect(),
            Value::Number(_) | Value::String(_) | Value::Object(_) => vec![word(flag, value)],
        });
        words.collect::<Vec<String>>().join(" ")
    }
}

/// A flag and its value, in quotes where a shell would take it apart.
fn word(flag: &str, value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:@%+,[]".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        format!("--{flag} {text}")
    } else {
        format!("--{flag} '{}'", text.replace('\'', r"'\''"))
    }
}

/// A path as text, for people.
pub(super) fn path<S: Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
    match path {
        Some(path) => serializer.collect_str(&path.display()),
        None => serializer.serialize_none(),
    }
}

/// Paths as texts, for people.
pub(super) fn paths<S: Serializer>(paths: &[PathBuf], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(paths.iter().map(|path| path.to_string_lossy()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::{CommandFactory as _, Parser};

    use super::*;

    #[derive(Parser)]
    struct ShownFlags {
        #[command(flatten)]
        serve: ServeArgs,
    }

    fn read(words: &[&str]) -> ServeArgs {
        ShownFlags::parse_from(["picofaas"].iter().chain(words)).serve
    }

    #[test]
    fn every_flag_is_shown_by_its_own_name() {
        let shown = read(&[]).in_force();
        let known: BTreeSet<String> = ShownFlags::command()
            .get_arguments()
            .filter_map(|flag| flag.get_long().map(ToOwned::to_owned))
            .collect();
        assert_eq!(shown.keys().cloned().collect::<BTreeSet<_>>(), known);
        assert_eq!(shown["listen"], "127.0.0.1:8080");
        assert_eq!(shown["scheduler"], "auto");
        assert_eq!(shown["keep-alive"], 75);
        assert_eq!(shown["kubeconfig"], Value::Null);
    }

    #[test]
    fn the_command_line_that_is_shown_has_the_same_flags_in_force() {
        let given = read(&[
            "--listen",
            "[::1]:9",
            "--allow-writes",
            "--allow-origin",
            "https://a.example",
            "--allow-origin",
            "http://localhost:3000",
            "--functions",
            "/a folder/it's",
            "--scheduler",
            "park",
            "--keep-alive",
            "2",
            "--local-limits",
            "off",
            "--gateway-ticks",
            "on",
            "--backend",
            "local",
            "--frames",
            "off",
        ]);
        let line = given.command_line();
        assert!(
            line.contains("--listen [::1]:9") && line.contains(r"--functions '/a folder/it'\''s'"),
            "{line}"
        );
        for origin in ["https://a.example", "http://localhost:3000"] {
            assert!(line.contains(&format!("--allow-origin {origin}")), "{line}");
        }
        let words: Vec<String> = line
            .replace(r"'/a folder/it'\''s'", "/a+folder/it")
            .split(' ')
            .map(|word| word.replace("/a+folder/it", "/a folder/it's"))
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        assert_eq!(read(&words).in_force(), given.in_force());
    }

    #[test]
    fn every_path_is_shown_though_it_is_no_text() {
        use std::ffi::{OsStr, OsString};
        use std::os::unix::ffi::OsStrExt as _;
        let path = OsStr::from_bytes(b"a\xffb").to_owned();
        let flags = ["--functions", "--env-file", "--state-dir", "--kubeconfig", "--config"];
        let words = flags.iter().flat_map(|flag| [OsString::from(flag), path.clone()]);
        let given = ShownFlags::parse_from([OsString::from("picofaas")].into_iter().chain(words)).serve;
        let shown = given.in_force();
        assert_eq!(shown["env-file"], serde_json::json!(["a\u{fffd}b"]));
        for flag in ["functions", "state-dir", "kubeconfig", "config"] {
            assert_eq!(shown[flag], "a\u{fffd}b");
        }
        assert!(given.command_line().contains("--env-file 'a\u{fffd}b'"), "{}", given.command_line());
    }
}
