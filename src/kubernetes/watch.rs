//! Settings of the watches of the API server, their back-off, and their log.

use std::time::Duration;

use kube::runtime::utils::Backoff;
use kube::runtime::watcher;

use super::calls::permission;
use crate::backoff::ExponentialBackoff;

/// Length of one watch, in seconds; a connection that died silently is noticed at most 5 s later.
const WATCH_S: u32 = 60;
/// The first pause before a watch that failed is begun again.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest such pause.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// The back-off before a watch is begun again: short, because nothing is known while it is interrupted, and
/// there are only a few watches.
#[must_use]
pub(crate) fn watch_backoff() -> ExponentialBackoff {
    ExponentialBackoff::doubling(PAUSE_MIN, PAUSE_MAX)
}

impl Backoff for ExponentialBackoff {
    fn reset(&mut self) {
        ExponentialBackoff::reset(self);
    }
}

/// Objects in an answer of a list. Those of a thousand functions at once, with what the API server keeps beside
/// each, would be the most memory that a start takes.
pub(crate) const PAGE: u32 = 50;

/// The settings of a watch.
#[must_use]
pub(crate) fn watch_config() -> watcher::Config {
    watcher::Config::default().timeout(WATCH_S).page_size(PAGE)
}

/// The state of a watch that may be interrupted: logged once when it is, and once when it goes on.
#[derive(Debug)]
pub(crate) struct WatchState {
    what: &'static str,
    /// The reason of the interruption, where there is one.
    error: Option<String>,
}

impl WatchState {
    /// A watch of these objects, named in the plural, that is about to begin.
    #[must_use]
    pub(crate) fn new(what: &'static str) -> Self {
        Self { what, error: None }
    }

    /// The event, where there is one.
    pub(crate) fn event<T>(&mut self, told: watcher::Result<T>) -> Option<T> {
        match told {
            Ok(event) => {
                if self.error.take().is_some() {
                    tracing::info!("{} are watched again", self.what);
                }
                Some(event)
            }
            Err(error) => {
                let why = in_words(&error);
                // The reason may change, e.g. when the API server is back and refuses us.
                if self.error.as_ref() != Some(&why) {
                    tracing::warn!("{} cannot be watched; it is tried again and again: {why}", self.what);
                    self.error = Some(why);
                }
                None
            }
        }
    }

    /// The reason of the interruption, where there is one.
    #[must_use]
    pub(crate) fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the other errors of `kube` say all there is to say")]
fn in_words(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => {
            permission(&status.message).unwrap_or_else(|| status.message.clone())
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_that_is_forbidden_says_which_verb_is_missing_and_where_it_would_be_given() {
        let message = "pods is forbidden: User \"system:serviceaccount:n:picofaas\" cannot list resource \"pods\" in API group \"\" in the namespace \"n\"";
        let status = serde_json::json!({ "code": 403, "reason": "Forbidden", "message": message });
        let forbidden = || {
            watcher::Error::InitialListFailed(kube::Error::Api(
                serde_json::from_value(status.clone()).expect("a status"),
            ))
        };
        let mut watch = WatchState::new("pods");
        assert!(watch.event::<()>(Err(forbidden())).is_none());
        let error = watch.error().expect("one").to_owned();
        assert!(error.contains(message) && error.contains("k8s/20-rbac.yaml"), "{error}");
        assert!(watch.event(Ok(())).is_some());
        assert_eq!(watch.error(), None);
    }
}
