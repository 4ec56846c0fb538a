//! How the API server is watched: what is asked of it, and what is done while it is away.

use std::time::Duration;

use kube::runtime::utils::Backoff;
use kube::runtime::watcher;

use super::calls::permission;
use crate::backoff::ExponentialBackoff;

/// How long one watch lasts, in seconds; a connection that died silently is noticed at most 5 s later.
const WATCH_S: u32 = 60;
/// The first pause before a watch that failed is begun again.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest such pause.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// The pauses before a watch of ours is begun again: short, because what it does not tell is not known,
/// and there are only a few of them.
#[must_use]
pub fn watch_backoff() -> ExponentialBackoff {
    ExponentialBackoff::doubling(PAUSE_MIN, PAUSE_MAX)
}

impl Backoff for ExponentialBackoff {
    fn reset(&mut self) {
        ExponentialBackoff::reset(self);
    }
}

/// Objects in an answer of a list. Those of a thousand functions at once, with what the API server keeps beside
/// each, would be the most memory that a start takes.
pub const PAGE: u32 = 50;

/// What a watch asks for.
#[must_use]
pub fn watched() -> watcher::Config {
    watcher::Config::default().timeout(WATCH_S).page_size(PAGE)
}

/// A watch that may be interrupted: told once when it is, and once when it goes on.
#[derive(Debug)]
pub struct Watched {
    what: &'static str,
    /// Why it cannot be watched, where it cannot.
    trouble: Option<String>,
}

impl Watched {
    /// A watch of what is named, in the plural, about to begin.
    #[must_use]
    pub fn new(what: &'static str) -> Self {
        Self { what, trouble: None }
    }

    /// The event, where there is one.
    pub fn event<T>(&mut self, told: watcher::Result<T>) -> Option<T> {
        match told {
            Ok(event) => {
                if self.trouble.take().is_some() {
                    tracing::info!("{} are watched again", self.what);
                }
                Some(event)
            }
            Err(error) => {
                let why = in_words(&error);
                // What it means that they are not watched may change, e.g. when it is back and refuses us.
                if self.trouble.as_ref() != Some(&why) {
                    tracing::warn!("{} cannot be watched; it is tried again and again: {why}", self.what);
                    self.trouble = Some(why);
                }
                None
            }
        }
    }

    /// Why there are no events, where there are none.
    #[must_use]
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }
}

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
        let error = || {
            watcher::Error::InitialListFailed(kube::Error::Api(
                serde_json::from_value(status.clone()).expect("a status"),
            ))
        };
        let mut watch = Watched::new("pods");
        assert!(watch.event::<()>(Err(error())).is_none());
        let trouble = watch.trouble().expect("one").to_owned();
        assert!(trouble.contains(message) && trouble.contains("k8s/20-rbac.yaml"), "{trouble}");
        assert!(watch.event(Ok(())).is_some());
        assert_eq!(watch.trouble(), None);
    }
}
