//! Variables of the environment: `PICOFAAS_` and the name of a flag in capitals, with `_` for `-`.

use std::collections::BTreeMap;
use std::ffi::OsString;

use clap::ArgAction;

use super::FlagValue;
use crate::spec::nearest::nearest;

/// The beginning of the names.
const PREFIX: &str = "PICOFAAS_";

/// Variables that are read for other things: by client commands, by runtimes, and by tests and chores.
const OTHERS: [&str; 22] = [
    "PICOFAAS_CLUSTER",
    "PICOFAAS_COMPLETE",
    "PICOFAAS_INSTANCE",
    "PICOFAAS_LOAD_SECONDS",
    "PICOFAAS_PROGRAM",
    "PICOFAAS_PYTHON",
    "PICOFAAS_PYTHON_ENVIRONMENT",
    "PICOFAAS_SECRETS",
    "PICOFAAS_SEED",
    "PICOFAAS_SEEDS",
    "PICOFAAS_SERVER",
    "PICOFAAS_SOCKET",
    "PICOFAAS_STANDBY",
    "PICOFAAS_TABLE",
    "PICOFAAS_TEST_CALLS",
    "PICOFAAS_TEST_OWN_NETWORK",
    "PICOFAAS_TOKEN",
    "PICOFAAS_WORKERS",
    "PICOFAAS_WORKER_CONCURRENCY",
    "PICOFAAS_WORKER_FRAMES",
    "PICOFAAS_WRITE_SCHEMAS",
    "PICOFAAS_XTASK",
];

/// Variables of an environment that begin with the prefix and are not empty.
#[derive(Debug)]
pub(super) struct Variables(BTreeMap<String, OsString>);

impl Variables {
    pub(super) fn of(environment: impl Iterator<Item = (OsString, OsString)>) -> Self {
        let named = environment.filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
        Self(named.filter(|(name, value)| name.starts_with(PREFIX) && !value.is_empty()).collect())
    }

    /// The value of a flag, where its variable is there.
    ///
    /// # Errors
    /// It is none that such a flag can have; with the variable.
    pub(super) fn value(&self, flag: &str, action: &ArgAction) -> Option<Result<FlagValue, String>> {
        let name = name_of(flag);
        let value = self.0.get(&name)?;
        let texts = if matches!(action, ArgAction::SetTrue) {
            match value.to_str() {
                Some("true" | "1") => Ok(vec!["true".into()]),
                Some("false" | "0") => Ok(vec!["false".into()]),
                Some(_) | None => Err(format!("{name}: must be true or false, and is {}", value.display())),
            }
        } else if matches!(action, ArgAction::Append) {
            match value.to_str() {
                Some(list) => Ok(list.split(',').map(|text| text.trim().into()).collect()),
                None => Err(format!("{name}: must be UTF-8, and is {}", value.display())),
            }
        } else {
            Ok(vec![value.clone()])
        };
        Some(texts.map(|texts| FlagValue { origin: name, texts }))
    }

    /// A line about each that is no flag's and nothing else's.
    pub(super) fn unknown(&self, flags: &[&str]) -> Vec<String> {
        let known: Vec<String> = flags.iter().map(|flag| name_of(flag)).collect();
        let names: Vec<&str> = known.iter().map(String::as_str).collect();
        let unknown = self
            .0
            .keys()
            .map(String::as_str)
            .filter(|name| !names.contains(name) && !OTHERS.contains(name) && !is_of_service(name));
        let lines = unknown.map(|name| {
            let meant =
                nearest(name, &names).map_or_else(String::new, |near| format!("; did you mean {near}?"));
            format!("{name}: is the variable of no flag, and is ignored{meant}")
        });
        lines.collect()
    }
}

/// The variable of a flag.
fn name_of(flag: &str) -> String {
    format!("{PREFIX}{}", flag.to_ascii_uppercase().replace('-', "_"))
}

/// Whether Kubernetes sets a variable of this name in each pod, for a Service whose name begins with `picofaas`.
fn is_of_service(name: &str) -> bool {
    let is_of_port = |rest: &str| {
        let mut parts = rest.split('_');
        parts.next().is_some_and(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()))
            && matches!(parts.next(), Some("TCP" | "UDP" | "SCTP"))
            && matches!(parts.next(), None | Some("PROTO" | "PORT" | "ADDR"))
            && parts.next().is_none()
    };
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
        || name.ends_with("_PORT")
        || name.match_indices("_PORT_").any(|(at, sign)| is_of_port(&name[at + sign.len()..]))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use clap::CommandFactory as _;

    use super::super::{flags_of, takes_values};
    use super::*;
    use crate::cli::Cli;

    fn flags() -> Vec<String> {
        let command = Cli::command();
        let commands = command.get_subcommands().filter(|command| takes_values(command));
        commands.flat_map(flags_of).map(str::to_owned).collect()
    }

    fn warnings(names: &[&str]) -> Vec<String> {
        let flags = flags();
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let environment = names.iter().map(|name| (OsString::from(name), OsString::from("x")));
        Variables::of(environment).unknown(&flags)
    }

    #[test]
    fn a_variable_of_no_flag_is_told_with_the_nearest_and_one_of_a_service_or_of_others_is_not() {
        let wanted = "PICOFAAS_MAX_EXECUTION: is the variable of no flag, and is ignored; \
                      did you mean PICOFAAS_MAX_EXECUTIONS?";
        assert_eq!(warnings(&["PICOFAAS_MAX_EXECUTION"]), [wanted]);
        assert_eq!(warnings(&["PICOFAAS_COLOUR_OF_THE_SKY"]).len(), 1);
        let of_services = [
            "PICOFAAS_SERVICE_HOST",
            "PICOFAAS_SERVICE_PORT",
            "PICOFAAS_SERVICE_PORT_HTTP",
            "PICOFAAS_PORT",
            "PICOFAAS_PORT_8080_TCP",
            "PICOFAAS_PORT_8080_TCP_PROTO",
            "PICOFAAS_PORT_8080_TCP_PORT",
            "PICOFAAS_PORT_8080_TCP_ADDR",
            "PICOFAAS_MANAGEMENT_SERVICE_HOST",
            "PICOFAAS_RUNTIME_PORT_8082_TCP_ADDR",
            "PICOFAAS_RUNTIME_SERVICE_PORT_RUNTIME",
        ];
        assert_eq!(warnings(&of_services), [""; 0]);
        assert_eq!(warnings(&OTHERS), [""; 0]);
        assert_eq!(warnings(&["PICOFAAS_MAX_EXECUTIONS", "PICOFAAS_BUILD_TIMEOUT", "PATH"]), [""; 0]);
    }

    #[test]
    fn the_variable_of_no_flag_is_one_that_kubernetes_sets_or_that_is_read_for_something_else() {
        for name in flags().iter().map(|flag| name_of(flag)) {
            assert!(!is_of_service(&name) && !OTHERS.contains(&name.as_str()), "{name}");
        }
    }

    /// Names after the prefix in a text, as far as they are whole: one that goes on with `{` or `*` is not.
    fn named(text: &str) -> BTreeSet<&str> {
        let parts = text.match_indices(PREFIX).map(|(at, _)| {
            let rest = &text[at..];
            let end = rest.find(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'));
            &rest[..end.unwrap_or(rest.len())]
        });
        parts.filter(|name| !name.ends_with('_')).collect()
    }

    /// Names in the sources of these folders, without ours.
    fn named_below(folders: &[&str]) -> BTreeSet<String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let own = Path::new("src/cli/flag_values");
        let mut found = BTreeSet::new();
        for folder in folders {
            for entry in ignore::Walk::new(root.join(folder)).map(Result::unwrap) {
                let path = entry.path();
                let is_source = path.extension().is_some_and(|it| it == "rs" || it == "py" || it == "java");
                if is_source && !path.strip_prefix(root).unwrap().starts_with(own) {
                    let text = std::fs::read_to_string(path).unwrap();
                    found.extend(named(&text).into_iter().map(str::to_owned));
                }
            }
        }
        found
    }

    #[test]
    fn every_variable_that_a_program_here_reads_is_known() {
        let read =
            named_below(&["src", "client", "runtime", "pyruntime", "xtask", "benches", "frames", "child"]);
        assert!(read.contains("PICOFAAS_SERVER"), "{read:?}");
        let read: Vec<&str> = read.iter().map(String::as_str).collect();
        assert_eq!(warnings(&read), [""; 0]);
        // Tests read some, and set others that are wrong.
        let by_tests = named_below(&["tests"]);
        let unread = OTHERS.into_iter().filter(|name| !read.contains(name) && !by_tests.contains(*name));
        assert_eq!(unread.collect::<Vec<_>>(), [""; 0], "a name that nothing reads is told");
    }
}
