//! The name of a function.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

use serde::{Serialize, Serializer};

/// Longest name, in bytes. A Job is called `fn-<name>-<12 hex>-<attempt>`, and Kubernetes allows 63.
pub(crate) const NAME_BYTES_MAX: usize = 40;

/// A valid function name: `^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$`.
///
/// Cloning it copies a pointer, so snapshots and metrics can each hold one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FunctionName(Arc<str>);

/// A text that cannot name a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be 1 to 40 lower-case letters, digits and hyphens that start with a letter and do not end with a hyphen"
)]
pub struct InvalidName;

impl FunctionName {
    /// Takes `text` as a name.
    ///
    /// # Errors
    /// [`InvalidName`] if it is not one.
    pub fn new(text: &str) -> Result<Self, InvalidName> {
        let bytes = text.as_bytes();
        let starts = bytes.first().is_some_and(u8::is_ascii_lowercase);
        let ends = bytes.last().is_some_and(|&byte| byte != b'-');
        let made_of = bytes.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        if starts && ends && made_of && bytes.len() <= NAME_BYTES_MAX {
            Ok(Self(text.into()))
        } else {
            Err(InvalidName)
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for FunctionName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        Self::new(text)
    }
}

impl Borrow<str> for FunctionName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for FunctionName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FunctionName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl fmt::Debug for FunctionName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, out)
    }
}

impl Serialize for FunctionName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_kubernetes_would_take_are_taken() {
        let longest = "a".repeat(NAME_BYTES_MAX);
        for name in ["a", "a1", "word-stats", "a--b", longest.as_str()] {
            assert_eq!(FunctionName::new(name).map(|name| name.to_string()), Ok(name.to_owned()));
        }
    }

    #[test]
    fn names_that_would_break_an_object_name_are_refused() {
        let too_long = "a".repeat(NAME_BYTES_MAX + 1);
        for name in ["", "-", "-a", "a-", "1a", "A", "a_b", "a.b", "a b", "ä", "a\n", too_long.as_str()] {
            assert_eq!(FunctionName::new(name), Err(InvalidName), "{name:?}");
        }
    }
}
