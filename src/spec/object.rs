//! One object of a tree, read field by field. Every complaint goes to the findings with the path and
//! the line of the field, and reading goes on.

use std::collections::HashSet;

use super::Bounds;
use super::field_errors::Findings;
use super::nearest::nearest;
use super::tree::{ObjectEntry, TreeNode, Value};
use crate::error::excerpt;

/// A value in the tree, with where it stands.
#[derive(Debug)]
pub(super) struct Field<'t> {
    /// Its path from the root, such as `env[2].name`.
    pub(super) path: String,
    /// Line of its key, or of the value itself where it is an item of a list.
    pub(super) line: u32,
    value: &'t Value,
}

/// The fields of an object, with where it stands.
#[derive(Debug)]
pub(super) struct Object<'t> {
    path: String,
    line: u32,
    entries: &'t [ObjectEntry],
}

impl<'t> Field<'t> {
    /// The whole tree.
    pub(super) fn root(node: &'t TreeNode) -> Self {
        Self { path: String::new(), line: node.line, value: &node.value }
    }

    /// Kind of the value, for messages.
    pub(super) fn kind(&self) -> &'static str {
        self.value.kind()
    }

    /// Notes an error of this field.
    pub(super) fn error(&self, findings: &mut Findings, message: impl Into<String>) {
        findings.add(self.line, self.path.clone(), message);
    }

    fn wrong_kind(&self, findings: &mut Findings, wanted: &str) {
        self.error(findings, format!("must be {wanted}, is {}", self.kind()));
    }

    /// The string that stands here.
    pub(super) fn text(&self, findings: &mut Findings) -> Option<&'t str> {
        match self.value {
            Value::Text(text) if text.contains('\0') => {
                self.error(findings, "must not contain a zero byte");
                None
            }
            Value::Text(text) => Some(text),
            Value::Boolean(_) | Value::Whole(_) | Value::Float(_) => {
                self.wrong_kind(findings, "a string (put it in quotes)");
                None
            }
            Value::Null | Value::List(_) | Value::Object(_) => {
                self.wrong_kind(findings, "a string");
                None
            }
        }
    }

    /// The string that stands here, if it has at least one character.
    pub(super) fn filled_text(&self, findings: &mut Findings) -> Option<&'t str> {
        let text = self.text(findings)?;
        if text.is_empty() {
            self.error(findings, "must not be empty");
            return None;
        }
        Some(text)
    }

    /// The string that stands here, or the number as somebody would write it.
    pub(super) fn text_or_number(&self, findings: &mut Findings) -> Option<String> {
        match self.value {
            Value::Whole(number) => Some(number.to_string()),
            Value::Float(number) => Some(number.to_string()),
            Value::Null | Value::Boolean(_) | Value::Text(_) | Value::List(_) | Value::Object(_) => {
                self.text(findings).map(str::to_owned)
            }
        }
    }

    /// The boolean that stands here.
    pub(super) fn boolean(&self, findings: &mut Findings) -> Option<bool> {
        match self.value {
            Value::Boolean(value) => Some(*value),
            Value::Null
            | Value::Whole(_)
            | Value::Float(_)
            | Value::Text(_)
            | Value::List(_)
            | Value::Object(_) => {
                self.wrong_kind(findings, "true or false");
                None
            }
        }
    }

    /// The whole number that stands here, if it is within its bounds.
    pub(super) fn whole(&self, bounds: &Bounds, findings: &mut Findings) -> Option<u32> {
        let Bounds { min, max, unit, .. } = *bounds;
        let given = match self.value {
            Value::Whole(number) => {
                let within = u32::try_from(*number).ok().filter(|number| (min..=max).contains(number));
                if within.is_some() {
                    return within;
                }
                number.to_string()
            }
            Value::Float(number) => number.to_string(),
            Value::Null | Value::Boolean(_) | Value::Text(_) | Value::List(_) | Value::Object(_) => {
                self.wrong_kind(findings, &format!("a whole number between {min} and {max} ({unit})"));
                return None;
            }
        };
        let whole = if matches!(self.value, Value::Float(_)) { "a whole number " } else { "" };
        self.error(findings, format!("must be {whole}between {min} and {max} {unit}, is {given}"));
        None
    }

    /// The items of the list that stands here.
    pub(super) fn list(&self, of: &str, findings: &mut Findings) -> Option<Vec<Field<'t>>> {
        let Value::List(items) = self.value else {
            self.wrong_kind(findings, &format!("a list of {of}"));
            return None;
        };
        let field = |(index, node): (usize, &'t TreeNode)| Field {
            path: format!("{}[{index}]", self.path),
            line: if node.line == 0 { self.line } else { node.line },
            value: &node.value,
        };
        Some(items.iter().enumerate().map(field).collect())
    }

    /// Whether an object stands here.
    pub(super) fn is_object(&self) -> bool {
        matches!(self.value, Value::Object(_))
    }

    /// Whether a list stands here.
    pub(super) fn is_list(&self) -> bool {
        matches!(self.value, Value::List(_))
    }

    /// The object that stands here, whatever its keys; each may occur only once.
    pub(super) fn any_object(&self, findings: &mut Findings) -> Option<Object<'t>> {
        let Value::Object(entries) = self.value else {
            self.wrong_kind(findings, "an object");
            return None;
        };
        let object = Object { path: self.path.clone(), line: self.line, entries };
        object.refuse_repeated(findings);
        Some(object)
    }

    /// The object that stands here, of which only the `known` fields may be present.
    pub(super) fn object(&self, known: &[&str], findings: &mut Findings) -> Option<Object<'t>> {
        let object = self.any_object(findings)?;
        for field in object.fields().filter(|(key, _)| !known.contains(key)) {
            let (key, field) = field;
            let message = match nearest(key, known) {
                Some(meant) => format!("is not a known field; did you mean {meant}?"),
                None => "is not a known field".to_owned(),
            };
            field.error(findings, message);
        }
        Some(object)
    }
}

impl<'t> Object<'t> {
    /// The field `key`, if it is there. A `null` counts as absent, as it does in Kubernetes: clients
    /// that write every member of a class send it for what they leave open.
    pub(super) fn get(&self, key: &str) -> Option<Field<'t>> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        let field = self.field(entry);
        (!matches!(field.value, Value::Null)).then_some(field)
    }

    /// Every key once with its first value, in the order of the text.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&'t str, Field<'t>)> {
        let mut seen = HashSet::new();
        let first = self.entries.iter().filter(move |entry| seen.insert(entry.key.as_str()));
        first.map(|entry| (entry.key.as_str(), self.field(entry)))
    }

    /// Notes that the field `key`, which is not there, has an error.
    pub(super) fn fault_at(&self, key: &str, findings: &mut Findings, message: impl Into<String>) {
        let line = self.get(key).map_or(self.line, |field| field.line);
        findings.add(line, self.path_of(key), message);
    }

    fn refuse_repeated(&self, findings: &mut Findings) {
        let mut seen = HashSet::new();
        for entry in self.entries.iter().filter(|entry| !seen.insert(entry.key.as_str())) {
            self.field(entry).error(findings, "is given more than once");
        }
    }

    fn field(&self, entry: &'t ObjectEntry) -> Field<'t> {
        let line = if entry.line == 0 { self.line } else { entry.line };
        Field { path: self.path_of(&entry.key), line, value: &entry.node.value }
    }

    fn path_of(&self, key: &str) -> String {
        let key = excerpt(key);
        if self.path.is_empty() { key } else { format!("{}.{key}", self.path) }
    }
}
