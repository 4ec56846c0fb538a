//! The file that `--config` names: YAML, with the long names of flags as keys.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use clap::ArgAction;
use serde_json::Value;

use super::{CONFIG, FlagValue};
use crate::spec::nearest::nearest;

/// A file of values, read.
#[derive(Debug, Default)]
pub(super) struct ConfigFile {
    /// Its path, for errors.
    path: String,
    values: BTreeMap<String, Value>,
}

impl ConfigFile {
    /// Reads it. `origin` is what names it, and `flags` are those of every command that reads such a file: one file
    /// may serve several.
    ///
    /// # Errors
    /// It cannot be read, it is no mapping in YAML, or has a key that is no flag; with the nearest.
    pub(super) fn read(path: &Path, origin: &str, flags: &[&str]) -> Result<Self, String> {
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("{origin}: {shown}: cannot be read: {error}"))?;
        // `on` is the value of several flags, and no truth.
        let options = serde_saphyr::options! { with_snippet: false, strict_booleans: true };
        let values: Option<BTreeMap<String, Value>> = serde_saphyr::from_str_with_options(&text, options)
            .map_err(|error| format!("{shown}: must be YAML with the names of flags as keys: {error}"))?;
        let values = values.unwrap_or_default();
        for key in values.keys() {
            if key == CONFIG {
                return Err(format!("{shown}: {key}: a file cannot name another; take the key out"));
            }
            if !flags.contains(&key.as_str()) {
                let meant =
                    nearest(key, flags).map_or_else(String::new, |near| format!("; did you mean {near}?"));
                return Err(format!("{shown}: {key}: is the name of no flag{meant}"));
            }
        }
        Ok(Self { path: shown, values })
    }

    /// The value of a flag, where the file has one.
    ///
    /// # Errors
    /// It is none that such a flag can have; with the file and the key.
    pub(super) fn value(&self, flag: &str, action: &ArgAction) -> Option<Result<FlagValue, String>> {
        let value = self.values.get(flag)?;
        let origin = format!("{}: {flag}", self.path);
        let texts: Result<Vec<OsString>, String> = match (value, action) {
            (Value::Bool(is_on), ArgAction::SetTrue) => Ok(vec![is_on.to_string().into()]),
            (_, ArgAction::SetTrue) => Err(format!("{origin}: must be true or false")),
            (Value::Array(items), ArgAction::Append) => {
                let texts = items.iter().map(|item| text(item).map(Into::into)).collect::<Option<Vec<_>>>();
                texts.ok_or_else(|| format!("{origin}: must be a list of texts"))
            }
            (value, _) => match text(value) {
                Some(text) => Ok(vec![text.into()]),
                None => Err(format!("{origin}: must be one text or number, and is {value}")),
            },
        };
        Some(texts.map(|texts| FlagValue { origin, texts }))
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}
