//! A function in its folder: what of its manifest says how it is built and where it runs.

use std::path::{Path, PathBuf};

use crate::child_command::ChildCommand;
use crate::client_error::ClientError;
use crate::manifest::{self, ManifestFunction};
use crate::ordered_value::OrderedValue;
use crate::output;

/// Functions of every manifest below a folder, in the order of the files, or of one manifest.
///
/// # Errors
/// As [`manifest::read_all`]; there is no function.
pub(crate) fn read(folder: &Path) -> Result<Vec<ManifestFunction>, ClientError> {
    let functions = manifest::read_all(&[folder.to_owned()], true)?;
    if functions.is_empty() {
        let message = format!(
            "{}: has no manifest of a function, nor has a folder in it; `picofaas new NAME --lang LANGUAGE` makes \
             a function with one",
            folder.display()
        );
        return Err(ClientError::Usage(message));
    }
    Ok(functions)
}

impl ManifestFunction {
    /// Whether it runs a program of this machine.
    pub(crate) fn is_local(&self) -> bool {
        self.local("command").is_some()
    }

    /// The image that its manifest names.
    #[cfg(feature = "cluster")]
    pub(crate) fn image(&self) -> Option<&str> {
        self.spec.get("image").and_then(OrderedValue::as_text)
    }

    /// Whether it already runs somewhere, so that there is nothing to build.
    #[cfg(feature = "cluster")]
    pub(crate) fn is_pool(&self) -> bool {
        self.spec.get("endpointUrl").is_some()
    }

    fn local(&self, part: &str) -> Option<&OrderedValue> {
        self.spec.get("local")?.get(part).filter(|value| **value != OrderedValue::Null)
    }

    /// The commands of `local.build`.
    ///
    /// # Errors
    /// One that is not a list of texts.
    pub(crate) fn build_commands(&self) -> Result<Vec<ChildCommand>, ClientError> {
        let wrong = || {
            let message = "spec.local.build must be a list of commands, each a list of a program and its \
                           arguments, as in [[cargo, build, --release]]";
            ClientError::UnfitFunction(message.to_owned())
        };
        let Some(build) = self.local("build") else { return Ok(Vec::new()) };
        let OrderedValue::List(commands) = build else { return Err(wrong()) };
        let folder = self.working_folder();
        let command = |words: &OrderedValue| {
            let OrderedValue::List(words) = words else { return Err(wrong()) };
            let words: Option<Vec<&str>> = words.iter().map(OrderedValue::as_text).collect();
            let words = words.ok_or_else(wrong)?;
            let (program, arguments) = words.split_first().ok_or_else(wrong)?;
            let program = if program.contains('/') { folder.join(program) } else { PathBuf::from(program) };
            Ok(ChildCommand::new(program).args(arguments).within(&folder).of_function())
        };
        commands.iter().map(command).collect()
    }

    /// Runs `local.build`, a command after the other, with what they write shown as it comes or not. Answers whether
    /// there was one.
    ///
    /// # Errors
    /// One of them fails.
    pub(crate) async fn build(&self, is_shown: bool) -> Result<bool, ClientError> {
        let commands = self.build_commands()?;
        let (what, is_any) = (format!("building {}", self.name), !commands.is_empty());
        for command in commands {
            output::say(&format!("{what}: {}", command.shown()));
            command.shown_if(is_shown).run(&what).await?;
        }
        Ok(is_any)
    }

    /// The folder in which it is built and runs: `local.directory`, else that of its manifest.
    pub(crate) fn working_folder(&self) -> PathBuf {
        let named = self.local("directory").and_then(OrderedValue::as_text);
        named.map_or_else(|| self.folder.clone(), PathBuf::from)
    }

    /// Its fields as a server on this machine needs them, which is not told where the manifest is.
    ///
    /// # Errors
    /// The path of its folder is not UTF-8.
    pub(crate) fn local_spec(&self) -> Result<OrderedValue, ClientError> {
        let mut spec = self.spec.clone();
        let folder = self.working_folder();
        let Some(text) = folder.to_str() else {
            let message = format!("{}: the path of the folder must be UTF-8", folder.display());
            return Err(ClientError::UnfitFunction(message));
        };
        if let OrderedValue::Object(fields) = &mut spec
            && let Some((_, OrderedValue::Object(local))) = fields.iter_mut().find(|(key, _)| key == "local")
        {
            local.retain(|(key, _)| key != "directory");
            local.push(("directory".to_owned(), OrderedValue::text(text)));
        }
        Ok(spec)
    }

    /// Its fields with another image, as a cluster needs them, where nothing of this machine has a meaning.
    #[cfg(feature = "cluster")]
    pub(crate) fn cluster_spec(&self, image: Option<&str>) -> OrderedValue {
        let OrderedValue::Object(fields) = &self.spec else { return self.spec.clone() };
        let Some(image) = image else { return self.spec.clone() };
        let kept = fields.iter().filter(|(key, _)| key != "image" && key != "local").cloned();
        let image = ("image".to_owned(), OrderedValue::text(image));
        OrderedValue::Object(std::iter::once(image).chain(kept).collect())
    }
}
