//! Manifests: documents of `kind: Function`, as `serve --functions` and a cluster take them.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::client_error::ClientError;
use crate::function_view::{API_VERSION, KIND, LIST_KIND};
use crate::ordered_value::OrderedValue;
use crate::resource::FunctionName;

/// The annotation that holds an input to try a function with, as JSON.
const EXAMPLE_INPUT: &str = "picofaas.dev/example-input";

/// Folders that hold what tools put there. Hidden ones are passed over as well, as the server does it.
const FOLDERS_OF_TOOLS: [&str; 3] = ["target", "node_modules", "__pycache__"];

/// Largest manifest that is read, in bytes; the server's own limit.
const MANIFEST_BYTES_MAX: u64 = 1 << 20;

/// Endings of the names of manifests in a folder.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// Beginning of an `apiVersion` that makes a document ours, be the rest as it should or not.
const GROUP: &str = "picofaas";

/// A function to be registered.
#[derive(Debug)]
pub(crate) struct ManifestFunction {
    /// Its name.
    pub name: FunctionName,
    /// Its fields, as the API takes them.
    pub spec: OrderedValue,
    /// The file, for messages.
    pub file: String,
    /// The folder of the file, absolute.
    pub folder: PathBuf,
    /// JSON to call it with, as its annotation says.
    pub example_input: Option<String>,
}

/// Reads every file that is named, the files of a folder that is named, and `-`, standard input.
///
/// # Errors
/// A file that cannot be read or understood, a file that was named and has no function, and two functions of
/// one name: before anything is done with any of them.
pub(crate) fn read_all(paths: &[PathBuf], is_recursive: bool) -> Result<Vec<ManifestFunction>, ClientError> {
    let mut functions: Vec<ManifestFunction> = Vec::new();
    for path in paths {
        let found = if path.as_os_str() == "-" {
            read_text(
                "standard input",
                Path::new("."),
                &read_bounded("standard input", std::io::stdin())?,
                true,
            )?
        } else if path.is_dir() {
            read_folder(path, is_recursive)?
        } else {
            read_file(path, true)?
        };
        functions.extend(found);
    }
    for (index, function) in functions.iter().enumerate() {
        if let Some(first) = functions[..index].iter().find(|other| other.name == function.name) {
            return Err(ClientError::Usage(format!(
                "{}: defines the function {}, which {} already defines; rename or remove one of them",
                function.file, function.name, first.file
            )));
        }
    }
    Ok(functions)
}

fn read_folder(folder: &Path, is_recursive: bool) -> Result<Vec<ManifestFunction>, ClientError> {
    let read = |source| ClientError::File { path: folder.to_owned(), verb: "read", source };
    let mut entries: Vec<PathBuf> = fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
        .map_err(read)?;
    entries.sort();
    let mut functions = Vec::new();
    for path in entries {
        let is_passed_over = path.file_name().is_some_and(|name| {
            name.as_encoded_bytes().starts_with(b".") || FOLDERS_OF_TOOLS.iter().any(|known| name == *known)
        });
        let is_manifest = path.extension().is_some_and(|ending| ENDINGS.iter().any(|known| ending == *known));
        // A link to a folder is not followed, so there are no circles.
        if path.is_dir() && !path.is_symlink() {
            if is_recursive && !is_passed_over {
                functions.extend(read_folder(&path, true)?);
            }
        } else if is_manifest && !path.is_dir() {
            functions.extend(read_file(&path, false)?);
        }
    }
    Ok(functions)
}

fn read_file(path: &Path, is_named: bool) -> Result<Vec<ManifestFunction>, ClientError> {
    let file = fs::File::open(path).map_err(|source| ClientError::File {
        path: path.to_owned(),
        verb: "read",
        source,
    })?;
    let shown = path.display().to_string();
    let text = match read_bounded(&shown, file) {
        Ok(text) => text,
        Err(error) if is_named => return Err(error),
        // Other things lie in folders, too; one of ours is text, and not so long.
        Err(_) => return Ok(Vec::new()),
    };
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    read_text(&shown, folder, &text, is_named)
}

fn read_bounded(shown: &str, file: impl Read) -> Result<String, ClientError> {
    let mut bytes = Vec::new();
    file.take(MANIFEST_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| ClientError::Usage(format!("{shown}: cannot be read: {error}")))?;
    if bytes.len() as u64 > MANIFEST_BYTES_MAX {
        let message = format!("{shown}: must not be longer than {MANIFEST_BYTES_MAX} bytes");
        return Err(ClientError::Usage(message));
    }
    String::from_utf8(bytes).map_err(|_| ClientError::Usage(format!("{shown}: is not UTF-8")))
}

/// Reads the functions of a text. A text of a folder in which nothing says that it is ours is passed over
/// unread: templates that only become YAML do not disturb.
fn read_text(
    shown: &str,
    folder: &Path,
    text: &str,
    is_named: bool,
) -> Result<Vec<ManifestFunction>, ClientError> {
    if !is_named && !text.contains(GROUP) {
        return Ok(Vec::new());
    }
    let options = serde_saphyr::options! { with_snippet: false };
    let documents = serde_saphyr::from_multiple_with_options::<OrderedValue>(text, options)
        .map_err(|error| ClientError::Usage(format!("{shown}: is neither YAML nor JSON: {error}")))?;
    let mut found = Found { shown, folder, functions: Vec::new(), others: Vec::new() };
    for document in documents {
        found.document(document)?;
    }
    if is_named && found.functions.is_empty() {
        let others = match found.others.as_slice() {
            [] => String::new(),
            others => format!(": it has {}", others.join(", ")),
        };
        return Err(ClientError::Usage(format!(
            "{shown}: has no function{others}; one has `apiVersion: {API_VERSION}` and `kind: {KIND}`"
        )));
    }
    Ok(found.functions)
}

struct Found<'a> {
    shown: &'a str,
    folder: &'a Path,
    functions: Vec<ManifestFunction>,
    /// Kinds of other documents.
    others: Vec<String>,
}

impl Found<'_> {
    fn document(&mut self, document: OrderedValue) -> Result<(), ClientError> {
        let text = |field| document.get(field).and_then(OrderedValue::as_text);
        let (version, kind) = (text("apiVersion").unwrap_or_default(), text("kind").unwrap_or_default());
        let is_ours = version.starts_with(GROUP);
        if kind == LIST_KIND && is_ours || kind == "List" {
            let items = document.get("items").cloned();
            let Some(OrderedValue::List(items)) = items else {
                return Err(self.wrong("items", "must be a list"));
            };
            return items.into_iter().try_for_each(|item| self.document(item));
        }
        // Nobody else has a Function without a group.
        let lacks_its_group = kind == KIND && !version.contains('/');
        if !is_ours && !lacks_its_group {
            if document != OrderedValue::Null {
                self.others.push(if kind.is_empty() { "a document without kind" } else { kind }.to_owned());
            }
            return Ok(());
        }
        if version != API_VERSION {
            return Err(self.wrong("apiVersion", &format!("must be {API_VERSION}, is {version:?}")));
        }
        if kind != KIND {
            return Err(self.wrong("kind", &format!("must be {KIND}, is {kind:?}")));
        }
        let function = self.function(document)?;
        self.functions.push(function);
        Ok(())
    }

    fn function(&self, document: OrderedValue) -> Result<ManifestFunction, ClientError> {
        let OrderedValue::Object(fields) = document else {
            return Err(self.wrong("", "must be an object"));
        };
        let (mut name, mut spec, mut example_input) = (None, None, None);
        for (key, value) in fields {
            match key.as_str() {
                "metadata" => {
                    let text = |value: &OrderedValue| value.as_text().map(str::to_owned);
                    name = value.get("name").and_then(text);
                    let annotations = value.get("annotations");
                    example_input = annotations.and_then(|all| all.get(EXAMPLE_INPUT)).and_then(text);
                }
                "spec" => spec = Some(value),
                "apiVersion" | "kind" | "status" => {}
                _ => {
                    let message = "is not a known field: there are apiVersion, kind, metadata and spec";
                    return Err(self.wrong(&key, message));
                }
            }
        }
        let Some(name) = name else { return Err(self.wrong("metadata.name", "is required")) };
        let name =
            name.parse().map_err(|error: ClientError| self.wrong("metadata.name", &error.to_string()))?;
        match spec {
            Some(OrderedValue::Object(fields)) => {
                let spec = with_program(OrderedValue::Object(fields), self.folder);
                let folder = std::path::absolute(self.folder).unwrap_or_else(|_| self.folder.to_owned());
                Ok(ManifestFunction { name, spec, file: self.shown.to_owned(), folder, example_input })
            }
            Some(_) => Err(self.wrong("spec", "must be an object")),
            None => Err(self.wrong("spec", "is required")),
        }
    }

    fn wrong(&self, field: &str, message: &str) -> ClientError {
        ClientError::Usage(format!("{}: {field} {message}", self.shown))
    }
}

/// Makes the program of `local.command` absolute where it is relative to the manifest's folder, which a server
/// is not told. It runs only where that is, on this machine.
fn with_program(mut spec: OrderedValue, folder: &Path) -> OrderedValue {
    let OrderedValue::Object(fields) = &mut spec else { return spec };
    for (key, value) in fields {
        let OrderedValue::Object(local) = value else { continue };
        for (part, command) in local.iter_mut().filter(|_| key == "local") {
            if let OrderedValue::List(words) = command
                && part == "command"
                && let Some(OrderedValue::Text(program)) = words.first_mut()
                && program.contains('/')
                && Path::new(program.as_str()).is_relative()
                && let Ok(absolute) = std::path::absolute(folder.join(program.as_str()))
                && let Some(absolute) = absolute.to_str()
            {
                *program = absolute.to_owned();
            }
        }
    }
    spec
}

#[cfg(test)]
mod tests;
