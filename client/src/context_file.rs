//! The file of contexts: servers by name, and the one in force.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::client_error::ClientError;

/// The whole file.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ContextFile {
    /// Name of the context in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_context: Option<String>,
    /// All contexts.
    #[serde(default)]
    pub contexts: Vec<Context>,
    /// Fields that there are not.
    #[serde(flatten, skip_serializing)]
    unknown: BTreeMap<String, IgnoredAny>,
    /// Where it was read, or would be written.
    #[serde(skip)]
    pub path: Option<PathBuf>,
}

/// A server by name.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Context {
    /// Its name.
    pub name: String,
    /// URL of the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// Cluster, instead of a server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterContext>,
    /// File of certificates to trust, relative to the file of contexts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_authority: Option<PathBuf>,
    /// Headers of every request.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Fields that there are not.
    #[serde(flatten, skip_serializing)]
    unknown: BTreeMap<String, IgnoredAny>,
}

/// A cluster, by a context of the kubeconfig.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ClusterContext {
    /// Name of the context in the kubeconfig.
    pub kube_context: String,
    /// Namespace of the control plane.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

impl ContextFile {
    /// Reads the file; one that is not there has no contexts.
    ///
    /// # Errors
    /// It cannot be read or is not YAML, has fields that there are not, or two contexts of one name.
    pub(crate) fn read(path: Option<&Path>) -> Result<Self, ClientError> {
        let Some(path) = path else { return Ok(Self::default()) };
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(source) => return Err(ClientError::File { path: path.to_owned(), verb: "read", source }),
        };
        let wrong = |message: String| ClientError::Usage(format!("{}: {message}", path.display()));
        let mut file = if text.trim().is_empty() {
            Self::default()
        } else {
            // Without an excerpt of the file, which may have secrets in it.
            let options = serde_saphyr::options! { with_snippet: false };
            serde_saphyr::from_str_with_options::<Self>(&text, options)
                .map_err(|error| wrong(error.to_string()))?
        };
        let unknown = file.unknown_fields();
        if !unknown.is_empty() {
            return Err(wrong(format!(
                "has fields that there are not: {}; a context has name, server, certificateAuthority and headers, \
                 or name and cluster",
                unknown.join(", ")
            )));
        }
        for (index, context) in file.contexts.iter().enumerate() {
            if file.contexts[..index].iter().any(|other| other.name == context.name) {
                return Err(wrong(format!("has two contexts {:?}: rename one", context.name)));
            }
            if context.server.is_some() == context.cluster.is_some() {
                let message = format!("contexts[{index}] must have either server or cluster");
                return Err(wrong(message));
            }
        }
        file.path = Some(path.to_owned());
        Ok(file)
    }

    fn unknown_fields(&self) -> Vec<String> {
        let of_contexts = self.contexts.iter().enumerate().flat_map(|(index, context)| {
            context.unknown.keys().map(move |field| format!("contexts[{index}].{field}"))
        });
        self.unknown.keys().cloned().chain(of_contexts).collect()
    }

    /// The context of a name, or the one in force where none is given; `None` where none is in force.
    ///
    /// # Errors
    /// There is none of the name.
    pub(crate) fn chosen(&self, name: Option<&str>) -> Result<Option<&Context>, ClientError> {
        let Some(name) = name.or(self.current_context.as_deref()) else { return Ok(None) };
        match self.contexts.iter().find(|context| context.name == name) {
            Some(context) => Ok(Some(context)),
            None => Err(ClientError::NoContext {
                name: name.to_owned(),
                known: self.contexts.iter().map(|context| context.name.clone()).collect(),
                path: self.path.clone().unwrap_or_default(),
            }),
        }
    }

    /// The context of a name, made where there is none.
    pub(crate) fn entry(&mut self, name: &str) -> &mut Context {
        let index = self.contexts.iter().position(|context| context.name == name).unwrap_or_else(|| {
            self.contexts.push(Context { name: name.to_owned(), ..Context::default() });
            self.contexts.len() - 1
        });
        &mut self.contexts[index]
    }

    /// Writes the file anew, as a whole, readable by its owner alone.
    ///
    /// # Errors
    /// It cannot be written, or nobody knows where.
    pub(crate) fn write(&self) -> Result<(), ClientError> {
        let Some(path) = &self.path else {
            let message = "neither XDG_CONFIG_HOME nor HOME is set: there is no place for contexts";
            return Err(ClientError::Usage(message.to_owned()));
        };
        let text = serde_saphyr::to_string(self)
            .map_err(|error| ClientError::Usage(format!("the contexts cannot be written: {error}")))?;
        write_privately(path, &text).map_err(|source| ClientError::File {
            path: path.clone(),
            verb: "written",
            source,
        })
    }
}

/// Writes beside the file and renames, so that a reader finds all of one version. Headers may be secrets:
/// from its first byte on, nobody but the owner reads it.
fn write_privately(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut builder = DirBuilder::new();
    let mut options = OpenOptions::new();
    builder.recursive(true);
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
        builder.mode(0o700);
        options.mode(0o600);
    }
    builder.create(folder)?;
    let part = folder.join(format!(".config.yaml.{}", std::process::id()));
    let written = options.open(&part).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&part, path)
    });
    if written.is_err() {
        // It may not even be there.
        let _ = fs::remove_file(&part);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ContextFile, ClientError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.yaml");
        fs::write(&path, text).unwrap();
        ContextFile::read(Some(&path))
    }

    #[test]
    fn unknown_fields_are_refused_and_all_of_them_named() {
        let text = "curentContext: a\ncontexts:\n- {name: a, server: 'http://a', token: x}\n- {name: b, server: c, user: y}\n";
        let message = read(text).unwrap_err().to_string();
        for part in ["config.yaml: has fields", "curentContext, contexts[0].token, contexts[1].user"] {
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_has_no_contexts_and_one_that_is_no_file_of_contexts_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = ContextFile::read(Some(&folder.path().join("a").join("config.yaml"))).unwrap();
        assert!(file.chosen(None).unwrap().is_none());
        for text in [
            "- a\n",
            "contexts: 7\n",
            "contexts: [{name: a}]\n",
            "contexts: [{server: s}]\n",
            "contexts: [{name: a, cluster: {kubeContext: k, user: u}}]\n",
            "{",
        ] {
            let message = read(text).unwrap_err().to_string();
            assert!(message.contains("config.yaml: "), "{message}");
        }
        let both = read("contexts: [{name: a, server: s, cluster: {kubeContext: k}}]\n").unwrap_err();
        assert!(both.to_string().contains("contexts[0] must have either server or cluster"), "{both}");
        let twice = "contexts: [{name: a, server: s}, {name: a, server: t}]\n";
        assert!(read(twice).unwrap_err().to_string().contains("two contexts \"a\""));
    }

    #[cfg(unix)]
    #[test]
    fn it_is_written_whole_for_its_owner_alone_and_read_back() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new").join("picofaas").join("config.yaml");
        let mut file = ContextFile::read(Some(&path)).unwrap();
        let context = file.entry("prod");
        context.server = Some("https://prod".to_owned());
        context.headers.insert("Authorization".to_owned(), "Bearer \"x\": y".to_owned());
        file.current_context = Some("prod".to_owned());
        file.write().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        // One that others could read becomes private with the next write.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        file.write().unwrap();
        assert_eq!(mode(&path), 0o600);
        let back = ContextFile::read(Some(&path)).unwrap();
        let context = back.chosen(None).unwrap().unwrap();
        assert_eq!(context.headers["Authorization"], "Bearer \"x\": y");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }
}
