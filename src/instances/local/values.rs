//! Values of the references of a function (`valueFrom`, `envFrom`, `secrets`), which Kubernetes finds in its
//! objects, and this machine in files and in our own environment.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::env_file::{self, EnvFile};
use crate::error::FieldError;
use crate::spec::{EnvFrom, EnvSource, EnvValue, ExecutionMode, FunctionSpec, ValueFrom};

/// The file beside a manifest that may hold values of its references.
const VALUES_FILE: &str = ".env";

/// Values of the references of one function.
#[derive(Debug, Default, Hash, PartialEq, Eq)]
pub(crate) struct ResolvedValues {
    /// Variables, those of `envFrom` first; a later one of a name counts.
    pub variables: Vec<(String, String)>,
    /// Keys of each secret that is mounted.
    pub secrets: BTreeMap<String, BTreeMap<String, String>>,
}

/// Places in which values are looked for.
#[derive(Clone, Debug, Default)]
pub struct LocalValues {
    /// The files that were named (`--env-file`), in their order; a later one counts before an earlier one.
    named: Arc<[NamedFile]>,
}

/// A file that was named.
#[derive(Debug)]
enum NamedFile {
    /// A regular one, which is read whenever its values are looked up.
    Regular(PathBuf),
    /// The values of another, such as a pipe, which can be read once.
    ReadOnce(EnvFile),
}

impl NamedFile {
    fn read(&self) -> Option<Result<EnvFile, String>> {
        match self {
            NamedFile::Regular(path) => env_file::read(path),
            NamedFile::ReadOnce(values) => Some(Ok(values.clone())),
        }
    }
}

/// The values that there are for one function.
struct ValueSources<'a> {
    /// Of all files; the last of a name counts.
    files: EnvFile,
    environment: &'a dyn Fn(&str) -> Option<String>,
    /// Where a value can be put.
    remedy: String,
    missing: Vec<FieldError>,
}

impl LocalValues {
    /// Values in these files, in the file beside a manifest, and in our environment.
    ///
    /// # Errors
    /// A file that is not there, or cannot be read.
    pub(crate) fn of(named: &[PathBuf]) -> Result<Self, String> {
        let read = |file: &PathBuf| {
            let is_regular = std::fs::metadata(file).is_ok_and(|metadata| metadata.is_file());
            let read = if is_regular { env_file::read(file) } else { env_file::read_once(file) };
            let values = read
                .unwrap_or_else(|| Err(format!("{}: there is no such file", file.display())))
                .map_err(|error| format!("--env-file {error}"))?;
            Ok(if is_regular { NamedFile::Regular(file.clone()) } else { NamedFile::ReadOnce(values) })
        };
        Ok(Self { named: named.iter().map(read).collect::<Result<_, String>>()? })
    }

    /// The files whose values may change.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        self.named.iter().filter_map(|file| match file {
            NamedFile::Regular(path) => Some(path.as_path()),
            NamedFile::ReadOnce(_) => None,
        })
    }

    /// A number for the values of all references of a function, or for what is missing: another one where they are.
    #[must_use]
    pub(crate) fn digest(&self, spec: &FunctionSpec) -> u64 {
        let mut hasher = DefaultHasher::new();
        let values = self.resolve(spec);
        values
            .map_err(|missing| missing.iter().map(ToString::to_string).collect::<Vec<_>>())
            .hash(&mut hasher);
        hasher.finish()
    }

    /// The values of all references of a function.
    ///
    /// # Errors
    /// Each reference without a value, by its field, with the remedy; a file that cannot be read.
    pub(crate) fn resolve(&self, spec: &FunctionSpec) -> Result<ResolvedValues, Vec<FieldError>> {
        self.resolve_in(spec, &|name| std::env::var(name).ok())
    }

    fn resolve_in(
        &self,
        spec: &FunctionSpec,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<ResolvedValues, Vec<FieldError>> {
        // A POOL has no process here.
        if spec.execution_mode == ExecutionMode::Pool || !spec.has_references() {
            return Ok(ResolvedValues::default());
        }
        let beside = spec.directory.as_ref().map(|folder| folder.join(VALUES_FILE));
        let mut files = EnvFile::new();
        let beside_it = beside.iter().filter_map(|path| env_file::read(path));
        for values in beside_it.chain(self.named.iter().filter_map(NamedFile::read)) {
            match values {
                Ok(values) => files.extend(values),
                Err(message) => return Err(vec![FieldError { field: String::new(), message }]),
            }
        }
        let file = beside.map_or_else(String::new, |path| format!("{}, or to ", path.display()));
        let remedy = format!("to {file}a file that --env-file names");
        let mut sources = ValueSources { files, environment, remedy, missing: Vec::new() };
        let values = sources.resolve(spec);
        if sources.missing.is_empty() { Ok(values) } else { Err(sources.missing) }
    }
}

impl ValueSources<'_> {
    fn resolve(&mut self, spec: &FunctionSpec) -> ResolvedValues {
        let mut values = ResolvedValues::default();
        for (index, from) in spec.env_from.iter().enumerate() {
            self.all_of(index, from, &mut values.variables);
        }
        for (index, variable) in spec.env.iter().enumerate() {
            let EnvValue::From(from) = &variable.value else { continue };
            if let Some(value) = self.value_of(index, &variable.name, from, spec) {
                values.variables.push((variable.name.clone(), value));
            }
        }
        for (index, name) in spec.secrets.iter().enumerate() {
            let keys: BTreeMap<String, String> = self.keys_of(name).into_iter().collect();
            if keys.is_empty() {
                let message =
                    format!("the secret {name} has no value here; add {name}.KEY=VALUE {}", self.remedy);
                self.missing.push(FieldError { field: format!("secrets[{index}]"), message });
            }
            values.secrets.insert(name.clone(), keys);
        }
        values
    }

    /// The value of a variable that is looked up: under the key of its object, or under its own name.
    fn value_of(
        &mut self,
        index: usize,
        name: &str,
        from: &ValueFrom,
        spec: &FunctionSpec,
    ) -> Option<String> {
        let (key, optional) = match from {
            ValueFrom::Secret(key) | ValueFrom::ConfigMap(key) => {
                (Some(format!("{}.{}", key.name, key.key)), key.optional)
            }
            ValueFrom::Field { .. } => (None, false),
        };
        let given = key.as_deref().and_then(|key| self.in_files(key));
        let given = given.or_else(|| (self.environment)(name)).or_else(|| self.in_files(name));
        let given = given.or_else(|| match from {
            ValueFrom::Field { path } => stand_in(path, spec),
            ValueFrom::Secret(_) | ValueFrom::ConfigMap(_) => None,
        });
        if given.is_none() && !optional {
            let or_key = key.map_or_else(String::new, |key| format!(" or {key}=VALUE"));
            let message =
                format!("has no value here; add {name}=VALUE{or_key} {}, or set {name}", self.remedy);
            self.missing.push(FieldError { field: format!("env[{index}].valueFrom"), message });
        }
        given
    }

    /// The variables of an object as a whole: its keys where they are given as such, else all variables that
    /// begin with its prefix. Without a prefix that would be every name, secrets of others included.
    fn all_of(&mut self, index: usize, from: &EnvFrom, variables: &mut Vec<(String, String)>) {
        let (field, object) = match &from.source {
            EnvSource::Secret(object) => ("secretRef", object),
            EnvSource::ConfigMap(object) => ("configMapRef", object),
        };
        let prefix = &from.prefix;
        let before = variables.len();
        let keys = self.keys_of(&object.name).into_iter();
        variables.extend(keys.map(|(key, value)| (format!("{prefix}{key}"), value)));
        if variables.len() == before && !prefix.is_empty() {
            let own = self.files.iter().filter(|(name, _)| !name.contains('.') && name.starts_with(prefix));
            variables.extend(own.cloned());
        }
        if variables.len() == before && !object.optional {
            let name = &object.name;
            let or_prefix = if prefix.is_empty() { String::new() } else { format!(" or {prefix}NAME=VALUE") };
            let message =
                format!("{name} has no value here; add lines {name}.KEY=VALUE{or_prefix} {}", self.remedy);
            self.missing.push(FieldError { field: format!("envFrom[{index}].{field}"), message });
        }
    }

    fn in_files(&self, name: &str) -> Option<String> {
        self.files.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    }

    /// The keys of an object that the files have, with their values.
    fn keys_of(&self, object: &str) -> Vec<(String, String)> {
        let key = |name: &str| Some(name.strip_prefix(object)?.strip_prefix('.')?.to_owned());
        let named = self.files.iter().filter_map(|(name, value)| Some((key(name)?, value.clone())));
        named.filter(|(key, _)| is_key(key)).collect()
    }
}

/// Whether a key can be the name of a file.
fn is_key(key: &str) -> bool {
    !matches!(key, "" | "." | "..")
}

/// The value of a field of a pod for a process that is in none.
fn stand_in(path: &str, spec: &FunctionSpec) -> Option<String> {
    let annotation = |path: &str| {
        let key = path.strip_prefix("metadata.annotations['")?.strip_suffix("']")?;
        spec.pod_template.annotations.get(key).cloned()
    };
    match path {
        "metadata.name" => Some(spec.name.to_string()),
        "metadata.namespace" | "spec.serviceAccountName" => Some("default".to_owned()),
        "spec.nodeName" => Some(host_name()),
        "status.hostIP" | "status.hostIPs" | "status.podIP" | "status.podIPs" => Some("127.0.0.1".to_owned()),
        other => annotation(other),
    }
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Puts the secrets of a function where its processes read them, each key in a file below the name of its
/// secret, and only for this user.
///
/// # Errors
/// A file or folder that cannot be made.
pub(crate) fn write_secrets(
    folder: &Path,
    secrets: &BTreeMap<String, BTreeMap<String, String>>,
) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
    for (name, keys) in secrets {
        let secret = folder.join(name);
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&secret)?;
        for entry in std::fs::read_dir(&secret)? {
            let entry = entry?;
            if !keys.keys().any(|key| entry.file_name() == OsStr::new(key)) {
                std::fs::remove_file(entry.path())?;
            }
        }
        for (key, value) in keys {
            // In one step, because an instance may be reading it.
            let whole = folder.join(".whole");
            let mut options = std::fs::OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(0o600);
            options.open(&whole)?.write_all(value.as_bytes())?;
            std::fs::rename(&whole, secret.join(key))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::parse_function;

    const FUNCTION: &str = r#"{"name":"f","executionMode":"WARM","local":{"command":["x"]},
        "env":[{"name":"A","valueFrom":{"secretKeyRef":{"name":"s","key":"a"}}},
               {"name":"B","valueFrom":{"configMapKeyRef":{"name":"c","key":"b","optional":true}}},
               {"name":"N","valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}},
               {"name":"L","valueFrom":{"fieldRef":{"fieldPath":"metadata.labels['x']"}}}],
        "envFrom":[{"prefix":"P_","secretRef":{"name":"p"}},{"configMapRef":{"name":"q","optional":true}}],
        "secrets":["t"]}"#;

    fn resolve(text: &str, file: &str, environment: &[(&str, &str)]) -> Result<ResolvedValues, Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        let mut spec = parse_function(text.as_bytes()).unwrap();
        spec.directory = Some(folder.path().to_owned());
        std::fs::write(folder.path().join(VALUES_FILE), file).unwrap();
        let environment = |name: &str| {
            environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let values = LocalValues::default().resolve_in(&spec, &environment);
        values.map_err(|errors| errors.into_iter().map(|error| error.to_string()).collect())
    }

    fn variables(values: &ResolvedValues) -> Vec<String> {
        values.variables.iter().map(|(name, value)| format!("{name}={value}")).collect()
    }

    #[test]
    fn every_reference_without_a_value_is_named_with_its_field_and_what_to_add() {
        let errors = resolve(FUNCTION, "", &[]).unwrap_err();
        let fields: Vec<&str> = errors.iter().filter_map(|error| error.split(": ").next()).collect();
        assert_eq!(fields, ["envFrom[0].secretRef", "env[0].valueFrom", "env[3].valueFrom", "secrets[0]"]);
        assert!(errors[0].contains("p.KEY=VALUE or P_NAME=VALUE to /"), "{errors:?}");
        assert!(errors[1].contains("add A=VALUE or s.a=VALUE to /"), "{errors:?}");
        assert!(errors[1].contains(".env, or to a file that --env-file names, or set A"), "{errors:?}");
        assert!(errors[3].contains("add t.KEY=VALUE"), "{errors:?}");
        let errors = resolve(FUNCTION, "A", &[]).unwrap_err();
        assert!(errors[0].contains(".env:1: must be NAME=VALUE"), "{errors:?}");
    }

    #[test]
    fn a_key_counts_before_the_environment_and_that_before_a_name_in_a_file() {
        let file = "A=name\ns.a=key\nP_X=1\nL=label\nt.crt=C\nt.tls.key=K\nq.Y=2\n";
        let values = resolve(FUNCTION, file, &[("A", "environment"), ("B", "optional")]).unwrap();
        assert_eq!(variables(&values), ["P_X=1", "Y=2", "A=key", "B=optional", "N=f", "L=label"]);
        let keys: Vec<_> = values.secrets["t"].iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(keys, ["crt=C", "tls.key=K"]);
        let file = file.replace("s.a=key\n", "").replace("P_X=1", "p.X=1");
        let values = resolve(FUNCTION, &file, &[("A", "environment")]).unwrap();
        assert_eq!(variables(&values), ["P_X=1", "Y=2", "A=environment", "N=f", "L=label"]);
        let values = resolve(FUNCTION, &file, &[]).unwrap();
        assert!(variables(&values).contains(&"A=name".to_owned()));
    }

    #[test]
    fn an_object_without_a_prefix_has_no_names_but_its_own_keys() {
        for reference in ["configMapRef", "secretRef"] {
            let text = format!(
                r#"{{"name":"f","executionMode":"WARM","local":{{"command":["x"]}},"envFrom":[{{"{reference}":{{"name":"q"}}}}]}}"#
            );
            let errors = resolve(&text, "PASSWORD=secret\nother.KEY=1\n", &[]).unwrap_err();
            assert!(errors[0].contains("add lines q.KEY=VALUE to /"), "{errors:?}");
            let values = resolve(&text, "PASSWORD=secret\nq.KEY=1\n", &[]).unwrap();
            assert_eq!(variables(&values), ["KEY=1"]);
        }
    }

    #[test]
    fn secrets_are_files_of_this_user_alone_and_a_key_that_is_gone_goes() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let secrets = |keys: &[(&str, &str)]| {
            let keys = keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            BTreeMap::from([("s".to_owned(), keys)])
        };
        write_secrets(folder.path(), &secrets(&[("a", "1"), ("b", "2")])).unwrap();
        write_secrets(folder.path(), &secrets(&[("a", "3")])).unwrap();
        let file = folder.path().join("s/a");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "3");
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!folder.path().join("s/b").exists());
    }
}
