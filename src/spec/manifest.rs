//! YAML manifests: `apiVersion`, `kind` and `metadata` around the fields of a specification.

use std::{
    collections::BTreeMap,
    fmt, io,
    path::{Path, PathBuf},
};

use super::field_errors::Findings;
use super::function_spec::{name_in, read_spec};
use super::object::{Field, Object};
use super::parse::Naming;
use super::{FunctionName, FunctionSpec, tree};
use crate::error::{FieldError, excerpt};

/// Largest manifest that is read, in bytes.
pub(crate) const MANIFEST_BYTES_MAX: usize = 1 << 20;

/// Beginning of an `apiVersion` that makes a document ours, be the rest as it should or not.
const GROUP: &str = "picofaas";
/// The only version of a manifest there is.
const VERSION: &str = "picofaas.dev/v1";
/// The only kind of manifest there is.
const KIND: &str = "Function";
/// A list of them, as the API server answers it.
const LIST_KIND: &str = "FunctionList";
/// Fields of `spec` by which a document without an `apiVersion` is known as one that lacks it.
const TELLING: [&str; 3] = ["executionMode", "local", "endpointUrl"];

/// Fields of `metadata` that have no meaning here, and that `kubectl get -o yaml` writes or people add.
const METADATA: &[&str] = &[
    "name",
    "annotations",
    "namespace",
    "labels",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generation",
    "managedFields",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// An error and where in its file it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LocatedError {
    /// Line in the file, counted from 1; 0 if it is of no one line.
    pub line: u32,
    /// The error; its field starts at the document, as in `spec.timeoutMs`.
    pub error: FieldError,
}

/// Why a manifest, or a folder of them, could not be read.
#[derive(Debug)]
pub(crate) enum ManifestError {
    /// The file or folder could not be read.
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file claims to be ours and is longer than [`MANIFEST_BYTES_MAX`].
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The file claims to be ours and is not YAML.
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line in the file, counted from 1; 0 if none is known.
        line: u64,
        /// Column in the line, counted from 1; 0 if none is known.
        column: u64,
        /// The fault.
        message: String,
    },
    /// Documents in the file are ours and have errors; never empty.
    Fields {
        /// The file.
        path: PathBuf,
        /// All of them, in the order of their lines.
        errors: Vec<LocatedError>,
    },
    /// Two documents define one function.
    DuplicateName {
        /// The name that both have.
        name: FunctionName,
        /// The file that came first and counts.
        first: PathBuf,
        /// The file whose document is left out; it can be the same one.
        second: PathBuf,
    },
}

/// One line for each error, each starting with `path:line:` as compilers write it.
impl fmt::Display for ManifestError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, source } => write!(out, "{}: cannot be read: {source}", path.display()),
            Self::TooLarge { path } => {
                write!(out, "{}: must not be longer than {MANIFEST_BYTES_MAX} bytes", path.display())
            }
            Self::Syntax { path, line, column, message } => {
                write!(out, "{}:{line}:{column}: is not YAML: {message}", path.display())
            }
            Self::Fields { path, errors } => {
                for (index, LocatedError { line, error }) in errors.iter().enumerate() {
                    let new_line = if index > 0 { "\n" } else { "" };
                    match line {
                        0 => write!(out, "{new_line}{}: {error}", path.display())?,
                        _ => write!(out, "{new_line}{}:{line}: {error}", path.display())?,
                    }
                }
                Ok(())
            }
            Self::DuplicateName { name, first, second } => write!(
                out,
                "{}: defines the function {name}, which {} already defines; rename or remove one of them",
                second.display(),
                first.display()
            ),
        }
    }
}

impl std::error::Error for ManifestError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read { source, .. } => Some(source),
            Self::TooLarge { .. }
            | Self::Syntax { .. }
            | Self::Fields { .. }
            | Self::DuplicateName { .. } => None,
        }
    }
}

/// How a file came to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ManifestOrigin {
    /// It lies in a folder, where files of others may lie, too.
    Found,
    /// Somebody named it: it is meant, and nothing in it is passed over in silence.
    Named,
}

/// Functions of a manifest.
#[derive(Debug, Default)]
pub(super) struct Manifest {
    /// The functions, in the order of the text.
    pub functions: Vec<FunctionSpec>,
    /// Documents of a file that was named that are no functions, each as a line.
    pub passed_over: Vec<String>,
}

/// Reads the functions that the manifest `text`, which stands at `path` in some folder, defines.
///
/// # Errors
/// As [`read_manifest`].
#[cfg(test)]
pub(crate) fn read_manifests(path: &Path, text: &str) -> Result<Vec<FunctionSpec>, ManifestError> {
    read_manifest(path, text, ManifestOrigin::Found).map(|manifest| manifest.functions)
}

/// Reads the functions that the manifest `text`, which stands at `path`, defines. Items of a list count as
/// documents.
///
/// Documents of another `apiVersion` are not ours and are passed over, and a text in which nothing looks like
/// a function is not even parsed: other YAML, and templates that only become YAML, do not disturb. Of a file
/// that was named every document counts.
///
/// # Errors
/// [`ManifestError::Syntax`] if a text that names our group, or was named, is not YAML, and
/// [`ManifestError::Fields`] with every error of all its documents, or with what is in it if it was named and
/// has no function.
pub(super) fn read_manifest(
    path: &Path,
    text: &str,
    origin: ManifestOrigin,
) -> Result<Manifest, ManifestError> {
    let claims = claims_to_be_ours(text);
    let is_meant = claims || origin == ManifestOrigin::Named;
    if !is_meant && !TELLING.iter().chain(&[KIND]).any(|word| text.contains(word)) {
        return Ok(Manifest::default());
    }
    let documents = match tree::from_yaml(text) {
        Ok(documents) => documents,
        Err(error) if is_meant => return Err(syntax_error(path, &error)),
        Err(_) => return Ok(Manifest::default()),
    };
    let mut reader = DocumentReader::default();
    for document in &documents {
        reader.document(&Field::root(document));
    }
    let DocumentReader { mut findings, mut functions, others } = reader;
    if origin == ManifestOrigin::Named && functions.is_empty() && findings.is_empty() {
        for (line, what) in &others {
            findings.add(*line, "", format!("{what}, and there is no function in the file"));
        }
        if others.is_empty() {
            findings.add(0, "", "there is no function in it");
        }
    }
    if !findings.is_empty() {
        let located = |(line, error)| LocatedError { line, error };
        let mut errors: Vec<_> = findings.into_lines().into_iter().map(located).collect();
        // Errors that belong to no one line come last.
        errors.sort_by_key(|located| if located.line == 0 { u32::MAX } else { located.line });
        return Err(ManifestError::Fields { path: path.to_owned(), errors });
    }
    // A bare file name has an empty parent, in which no process can be started.
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    for function in &mut functions {
        function.directory.get_or_insert_with(|| directory.to_owned());
    }
    let told = others.into_iter().filter(|_| origin == ManifestOrigin::Named);
    let passed_over =
        told.map(|(line, what)| format!("{}:{line}: {what} and is passed over", path.display()));
    Ok(Manifest { functions, passed_over: passed_over.collect() })
}

/// Whether the text has an `apiVersion` of our group: it has, if what stands before the group is that
/// key, a colon, and perhaps quotes and space.
pub(super) fn claims_to_be_ours(text: &str) -> bool {
    text.match_indices(GROUP).any(|(at, _)| {
        let between = |c: char| c.is_whitespace() || matches!(c, ':' | '"' | '\'');
        text[..at].trim_end_matches(between).ends_with("apiVersion")
    })
}

fn syntax_error(path: &Path, error: &serde_saphyr::Error) -> ManifestError {
    let (line, column) = error.location().map_or((0, 0), |at| (at.line(), at.column()));
    let full = error.render_with_formatter(&serde_saphyr::UserMessageFormatter);
    let place = format!(" at line {line}, column {column}");
    let message = full.strip_suffix(&place).unwrap_or(&full).to_owned();
    ManifestError::Syntax { path: path.to_owned(), line, column, message }
}

/// A reader of documents.
#[derive(Default)]
struct DocumentReader {
    findings: Findings,
    functions: Vec<FunctionSpec>,
    /// Documents that are no functions: their lines, and what they are.
    others: Vec<(u32, String)>,
}

impl DocumentReader {
    /// Reads one document, or one item of a list.
    fn document(&mut self, document: &Field<'_>) {
        // Documents of others may be as odd as they like.
        let mut unheard = Findings::default();
        let fields = document.is_object().then(|| document.any_object(&mut unheard)).flatten();
        let text = |key: &str| fields.as_ref()?.get(key)?.text(&mut Findings::default());
        let (version, kind) = (text("apiVersion"), text("kind"));
        let is_ours = version.is_some_and(|version| version.starts_with(GROUP));
        let is_list =
            kind.is_some_and(|kind| if is_ours { kind == LIST_KIND } else { kind.ends_with("List") });
        if is_list && let Some(items) = fields.as_ref().and_then(|fields| fields.get("items")) {
            for item in items.list("objects", &mut self.findings).unwrap_or_default() {
                self.document(&item);
            }
        } else if is_ours || fields.as_ref().is_some_and(|fields| lacks_its_group(fields, version, kind)) {
            self.functions.extend(read_document(document, &mut self.findings));
        } else {
            let words: Vec<&str> = [version, kind].into_iter().flatten().collect();
            let what = if words.is_empty() { "it".to_owned() } else { excerpt(&words.join(" ")) };
            self.others.push((document.line, format!("{what} is no function")));
        }
    }
}

/// Whether a document is a function that does not say so, or not whose. Nobody else has a `Function` without
/// a group.
fn lacks_its_group(fields: &Object<'_>, version: Option<&str>, kind: Option<&str>) -> bool {
    let mut unheard = Findings::default();
    let has_group = version.is_some_and(|version| version.contains('/'));
    let spec = fields.get("spec").filter(Field::is_object).and_then(|spec| spec.any_object(&mut unheard));
    let tells = |spec: &Object<'_>| TELLING.iter().any(|field| spec.get(field).is_some());
    !has_group && spec.is_some_and(|spec| kind == Some(KIND) || (kind.is_none() && tells(&spec)))
}

/// Reads one function: nothing if it has faults.
fn read_document(root: &Field<'_>, findings: &mut Findings) -> Option<FunctionSpec> {
    let object = root.object(&["apiVersion", "kind", "metadata", "spec", "status"], findings)?;
    match object.get("apiVersion").map(|field| (field.text(findings), field)) {
        None => object.fault_at("apiVersion", findings, format!("is required: {VERSION}")),
        Some((Some(version), field)) if version != VERSION => {
            field.error(findings, format!("must be {VERSION}, is \"{}\"", excerpt(version)));
        }
        Some(_) => {}
    }
    match object.get("kind").map(|field| (field.text(findings), field)) {
        None => object.fault_at("kind", findings, format!("is required: {KIND}")),
        Some((Some(kind), field)) if kind != KIND => {
            field.error(findings, format!("must be {KIND}, is \"{}\"", excerpt(kind)));
        }
        Some(_) => {}
    }
    let (name, annotations) = read_metadata(&object, findings);
    let Some(spec) = object.get("spec") else {
        object.fault_at("spec", findings, "is required");
        return None;
    };
    let naming = name.as_ref().map_or(Naming::Invalid, Naming::Outside);
    let function = read_spec(&spec, naming, findings)?;
    Some(FunctionSpec { annotations, ..function })
}

fn read_metadata(
    document: &Object<'_>,
    findings: &mut Findings,
) -> (Option<FunctionName>, BTreeMap<String, String>) {
    let mut annotations = BTreeMap::new();
    let Some(field) = document.get("metadata") else {
        document.fault_at("metadata", findings, "is required: it holds the name");
        return (None, annotations);
    };
    let Some(metadata) = field.object(METADATA, findings) else { return (None, annotations) };
    let name = match metadata.get("name") {
        Some(field) => name_in(&field, findings),
        None => {
            metadata.fault_at("name", findings, "is required");
            None
        }
    };
    let given = metadata.get("annotations").and_then(|field| field.any_object(findings));
    for (key, field) in given.iter().flat_map(Object::fields) {
        if let Some(value) = field.text(findings) {
            annotations.insert(key.to_owned(), value.to_owned());
        }
    }
    (name, annotations)
}

#[cfg(test)]
mod tests;
