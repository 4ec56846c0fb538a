//! JSON text to a [`FunctionSpec`].

use super::field_errors::Findings;
use super::function_spec::read_spec;
use super::object::Field;
use super::{FieldErrors, FunctionName, FunctionSpec, tree};
use crate::error::excerpt;

/// Why a text is no specification.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// The text is not JSON, or not an object.
    #[error("line {line}, column {column}: {message}")]
    Json {
        /// Line of the error, counted from 1.
        line: usize,
        /// Column of the error, counted from 1; 0 right after a line's end.
        column: usize,
        /// The fault.
        message: String,
    },
    /// It is an object, and these are the errors of its fields.
    #[error(transparent)]
    Fields(#[from] FieldErrors),
}

/// Source of the name of a function.
#[derive(Debug, Clone, Copy)]
pub(super) enum Naming<'n> {
    /// From the specification itself, which must have one.
    Inside,
    /// From outside, and the specification may repeat it.
    Outside(&'n FunctionName),
    /// From outside, where it was no name; that is already noted.
    Invalid,
}

/// Reads a specification from its flat JSON form.
///
/// # Errors
/// [`SpecError::Json`] if it is no JSON object, else every error that was found.
pub fn parse_function(bytes: &[u8]) -> Result<FunctionSpec, SpecError> {
    parse(bytes, Findings::default(), Naming::Inside)
}

/// Reads the specification of the function `name` from its flat JSON form, which may leave the name
/// out and must not say another one.
///
/// # Errors
/// [`SpecError::Json`] if it is no JSON object, else every error that was found.
pub(crate) fn parse_function_named(name: &str, bytes: &[u8]) -> Result<FunctionSpec, SpecError> {
    let mut findings = Findings::default();
    let name = FunctionName::new(name).map_err(|error| {
        findings.add(0, "name", format!("{error}, is \"{}\" in the path", excerpt(name)));
    });
    parse(bytes, findings, name.as_ref().map_or(Naming::Invalid, Naming::Outside))
}

fn parse(bytes: &[u8], mut findings: Findings, naming: Naming<'_>) -> Result<FunctionSpec, SpecError> {
    let tree = tree::from_json(bytes).map_err(|error| json_error(&error))?;
    let root = Field::root(&tree);
    if !root.is_object() {
        let (line, column) = start_of_text(bytes);
        let message = format!("must be a JSON object, is {}", root.kind());
        return Err(SpecError::Json { line, column, message });
    }
    if is_manifest(&root) {
        let message = "is a manifest; send the fields under its spec, and the name beside them";
        findings.add(0, "", message);
        return Err(findings.into_errors().into());
    }
    let spec = read_spec(&root, naming, &mut findings);
    spec.filter(|_| findings.is_empty()).ok_or_else(|| findings.into_errors().into())
}

/// Whether somebody sends a manifest file as it is. One sentence helps more than a complaint about each
/// of its fields.
fn is_manifest(root: &Field<'_>) -> bool {
    let mut unheard = Findings::default();
    let object = root.any_object(&mut unheard);
    object.is_some_and(|object| object.get("apiVersion").is_some() && object.get("spec").is_some())
}

fn json_error(error: &serde_json::Error) -> SpecError {
    let (line, column) = (error.line(), error.column());
    let full = error.to_string();
    let reason = full.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&full);
    SpecError::Json { line, column, message: format!("is not JSON: {reason}") }
}

/// Line and column, counted from 1, of the first byte that is not white space.
fn start_of_text(bytes: &[u8]) -> (usize, usize) {
    let before = bytes.iter().take_while(|byte| byte.is_ascii_whitespace());
    before
        .fold((1, 1), |(line, column), &byte| if byte == b'\n' { (line + 1, 1) } else { (line, column + 1) })
}

#[cfg(test)]
mod tests;
