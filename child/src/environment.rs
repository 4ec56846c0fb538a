//! The environment of a program, and its changes for one child.

use std::ffi::{CString, OsStr, c_char};
use std::io;
use std::os::unix::ffi::OsStrExt;

use crate::program::text;

/// `NAME=value`.
#[derive(Clone, Debug)]
pub(crate) struct Variable {
    text: CString,
    name_bytes: usize,
}

/// The variables that one child has besides those of its program, or lacks.
#[derive(Debug, Default)]
pub struct EnvironmentChanges {
    set: Vec<Variable>,
    removed: Vec<Vec<u8>>,
}

impl Variable {
    pub(crate) fn new(name: &OsStr, value: &OsStr) -> io::Result<Self> {
        let mut both = name.to_owned();
        both.push("=");
        both.push(value);
        Ok(Self { text: text(&both)?, name_bytes: name.len() })
    }

    fn name(&self) -> &[u8] {
        &self.text.as_bytes()[..self.name_bytes]
    }
}

impl EnvironmentChanges {
    /// Sets a variable in place of the program's of that name.
    ///
    /// # Errors
    /// If a text has a zero byte.
    pub fn set(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> io::Result<()> {
        let variable = Variable::new(name.as_ref(), value.as_ref())?;
        self.forget(variable.name());
        self.set.push(variable);
        Ok(())
    }

    /// Takes a variable out.
    pub fn remove(&mut self, name: impl AsRef<OsStr>) {
        let name = name.as_ref().as_bytes();
        self.forget(name);
        self.removed.push(name.to_owned());
    }

    fn forget(&mut self, name: &[u8]) {
        self.set.retain(|variable| variable.name() != name);
        self.removed.retain(|removed| removed != name);
    }

    /// The environment of a child, each variable a text that ends in zero. Valid for as long as both
    /// live.
    pub(crate) fn applied_to(&self, variables: &[Variable]) -> Vec<*const c_char> {
        let is_kept = |variable: &&Variable| {
            let name = variable.name();
            !self.set.iter().any(|set| set.name() == name) && !self.removed.iter().any(|gone| gone == name)
        };
        let kept = variables.iter().filter(is_kept);
        kept.chain(&self.set).map(|variable| variable.text.as_ptr()).collect()
    }
}
