//! The functions whose program is being built at the moment.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::change_signal::ChangeSignal;

/// Functions that are being built, with the number of their builds. A start would meet a program half
/// written, and a build that copies over its program fails where it is just being started (`ETXTBSY`).
#[derive(Debug, Default)]
pub struct RunningBuilds {
    functions: RefCell<BTreeMap<String, u32>>,
    changed: ChangeSignal,
}

impl RunningBuilds {
    /// A build of this function runs until the value is dropped.
    #[must_use]
    pub(crate) fn begin(self: &Rc<Self>, function: &str) -> BuildGuard {
        *self.functions.borrow_mut().entry(function.to_owned()).or_default() += 1;
        BuildGuard { builds: self.clone(), function: function.to_owned() }
    }

    /// Whether a function is being built.
    #[must_use]
    pub(crate) fn is_building(&self, function: &str) -> bool {
        self.functions.borrow().contains_key(function)
    }

    /// Returns when no build of this function runs.
    pub(crate) async fn over(&self, function: &str) {
        self.changed.until(|| !self.is_building(function)).await;
    }
}

/// A build that runs.
#[derive(Debug)]
pub(crate) struct BuildGuard {
    builds: Rc<RunningBuilds>,
    function: String,
}

impl Drop for BuildGuard {
    fn drop(&mut self) {
        let mut functions = self.builds.functions.borrow_mut();
        if let Some(count) = functions.get_mut(&self.function) {
            *count -= 1;
            if *count == 0 {
                functions.remove(&self.function);
                self.builds.changed.notify();
            }
        }
    }
}
