//! The one task that writes the status of objects.

use std::rc::Rc;
use std::time::Duration;

use futures_util::StreamExt;
use kube::api::{Patch, PatchParams};
use tokio::time::MissedTickBehavior;

use super::Resources;
use super::object_error::{ObjectError, ask};
use super::standing::{Signs, Standing};
use crate::control::Control;

/// How often it is looked what has changed, so that a function's status is written at most as often.
const PERIOD: Duration = Duration::from_secs(1);
/// Writes that are under way at once.
const WRITES_MAX: usize = 8;

/// The signs by which each status was written last.
type Told = std::collections::HashMap<String, (String, Signs)>;

impl Control {
    /// Writes what has changed, for ever.
    pub async fn tell(self: Rc<Self>, resources: Rc<Resources>) {
        let mut told = Told::new();
        let mut is_failing = false;
        let mut period = tokio::time::interval(PERIOD);
        period.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            period.tick().await;
            let due = self.due(&resources, &mut told);
            let writes = due.into_iter().map(|(name, uid, signs)| {
                let (control, resources) = (&self, &resources);
                async move {
                    let written = control.tell_one(resources, &name, &signs).await;
                    (name, uid, signs, written)
                }
            });
            let mut writes = std::pin::pin!(futures_util::stream::iter(writes).buffer_unordered(WRITES_MAX));
            let mut failed = None;
            while let Some((name, uid, signs, written)) = writes.next().await {
                match written {
                    Ok(()) => drop(told.insert(name, (uid, signs))),
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
            self.sweep(&resources).await;
        }
    }

    /// Functions whose signs are others than they were.
    fn due(&self, resources: &Resources, told: &mut Told) -> Vec<(String, String, Signs)> {
        let known = resources.known.borrow();
        told.retain(|name, (uid, _)| known.get(name).is_some_and(|known| known.uid == *uid));
        let functions = self.functions.borrow();
        let mut due = Vec::new();
        for (name, known) in known.iter() {
            let registered = functions.get(name);
            let signs = Signs {
                generation: known.generation,
                state: registered.map(|registered| self.state(registered)),
                problem: registered.and_then(|registered| registered.wanted.problem.load_full()),
                invalid: known.invalid.clone(),
            };
            if told.get(name).is_none_or(|(_, before)| *before != signs) {
                due.push((name.clone(), known.uid.clone(), signs));
            }
        }
        due
    }

    async fn tell_one(&self, resources: &Resources, name: &str, signs: &Signs) -> Result<(), ObjectError> {
        let standing = {
            let known = resources.known.borrow();
            let Some(known) = known.get(name) else { return Ok(()) };
            let now = self.clock.rfc3339(self.clock.now());
            let standing = Standing::of_signs(name, signs, &known.written, &now);
            if standing == known.written {
                return Ok(());
            }
            standing
        };
        let patch = Patch::Merge(standing.patch());
        match ask(resources.api.patch_status(name, &PatchParams::default(), &patch)).await {
            Ok(_) => {
                if let Some(known) = resources.known.borrow_mut().get_mut(name) {
                    known.written = standing;
                }
                Ok(())
            }
            // Gone in the meantime.
            Err(ObjectError::NotFound) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
