//! The writer of statuses: one task for all Function objects.

use std::rc::Rc;
use std::time::Duration;

use futures_util::StreamExt;
use kube::api::{Patch, PatchParams};
use tokio::time::MissedTickBehavior;

use super::FunctionObjects;
use super::status::{FunctionStatus, StatusInputs};
use crate::kubernetes::object_error::{ObjectError, ask};

/// How often statuses are compared; a function's status is written at most as often.
const PERIOD: Duration = Duration::from_secs(1);
/// Writes that are under way at once.
const WRITES_MAX: usize = 8;

/// The uid of each function and the inputs of the status that was written last, by name.
type WrittenInputs = std::collections::HashMap<String, (String, StatusInputs)>;

impl FunctionObjects {
    /// Writes the statuses that have changed, for ever.
    pub(super) async fn write_statuses(self: Rc<Self>) {
        let mut written = WrittenInputs::new();
        let mut is_failing = false;
        let mut period = tokio::time::interval(PERIOD);
        period.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            period.tick().await;
            let changed = self.changed(&mut written);
            let writes = changed.into_iter().map(|(name, uid, inputs)| {
                let objects = &self;
                async move {
                    let outcome = objects.write_status(&name, &inputs).await;
                    (name, uid, inputs, outcome)
                }
            });
            let mut writes = std::pin::pin!(futures_util::stream::iter(writes).buffer_unordered(WRITES_MAX));
            let mut failed = None;
            while let Some((name, uid, inputs, outcome)) = writes.next().await {
                match outcome {
                    Ok(()) => drop(written.insert(name, (uid, inputs))),
                    Err(error) => failed = Some((name, error.into_api_error())),
                }
            }
            match failed {
                Some((function, error)) if !is_failing => {
                    is_failing = true;
                    tracing::warn!(
                        function,
                        "status cannot be written; it is tried again: {}",
                        error.message
                    );
                }
                Some(_) => {}
                None => is_failing = false,
            }
            self.delete_orphans().await;
        }
    }

    /// Functions whose inputs differ from those of the last write.
    fn changed(&self, written: &mut WrittenInputs) -> Vec<(String, String, StatusInputs)> {
        let known = self.known.borrow();
        written.retain(|name, (uid, _)| known.get(name).is_some_and(|known| known.uid == *uid));
        let functions = self.registry.functions();
        let mut changed = Vec::new();
        for (name, known) in known.iter() {
            let registered = functions.get(name);
            let inputs = StatusInputs {
                generation: known.generation,
                state: registered.map(|registered| self.registry.serving_state(registered)),
                overload: registered
                    .and_then(|registered| self.registry.overload_state(registered, self.clock.now())),
                problem: registered.and_then(|registered| registered.wanted.problem.load_full()),
                invalid: known.invalid.clone(),
            };
            if written.get(name).is_none_or(|(_, before)| *before != inputs) {
                changed.push((name.clone(), known.uid.clone(), inputs));
            }
        }
        changed
    }

    async fn write_status(&self, name: &str, inputs: &StatusInputs) -> Result<(), ObjectError> {
        let status = {
            let known = self.known.borrow();
            let Some(known) = known.get(name) else { return Ok(()) };
            let now = self.clock.rfc3339(self.clock.now());
            let status = FunctionStatus::of_inputs(name, inputs, &known.status, &now);
            if status == known.status {
                return Ok(());
            }
            status
        };
        let patch = Patch::Merge(status.patch());
        match ask(self.api.patch_status(name, &PatchParams::default(), &patch)).await {
            Ok(_) => {
                if let Some(known) = self.known.borrow_mut().get_mut(name) {
                    known.status = status;
                }
                Ok(())
            }
            // Gone in the meantime.
            Err(ObjectError::NotFound) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
