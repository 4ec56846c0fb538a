//! How the API server is watched: what is asked of it, and what is done while it is away.

use std::time::Duration;

use kube::runtime::utils::Backoff;
use kube::runtime::watcher;

/// How long one watch lasts, in seconds; a connection that died silently is noticed at most 5 s later.
const WATCH_S: u32 = 60;
/// The first pause before a watch that failed is begun again.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The longest such pause.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// The pauses before a watch of ours is begun again: short, because what it does not tell is not known,
/// and there are only a few of them.
#[derive(Debug)]
pub struct Pauses(Duration);

impl Default for Pauses {
    fn default() -> Self {
        Self(PAUSE_MIN)
    }
}

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = self.0;
        self.0 = (pause * 2).min(PAUSE_MAX);
        Some(pause)
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {
        *self = Self::default();
    }
}

/// Objects in an answer of a list. With what the API server keeps beside each, one is some tens of kilobytes
/// once it is read, and a thousand of them at once would be most of this process's memory.
pub const PAGE: u32 = 100;

/// What a watch asks for.
#[must_use]
pub fn watched() -> watcher::Config {
    watcher::Config::default().timeout(WATCH_S).page_size(PAGE)
}

/// A watch that may be interrupted: told once when it is, and once when it goes on.
#[derive(Debug)]
pub struct Watched {
    what: &'static str,
    is_away: bool,
}

impl Watched {
    /// A watch of what is named, in the plural, about to begin.
    #[must_use]
    pub fn new(what: &'static str) -> Self {
        Self { what, is_away: false }
    }

    /// The event, where there is one.
    pub fn event<T>(&mut self, told: watcher::Result<T>) -> Option<T> {
        match told {
            Ok(event) => {
                if std::mem::take(&mut self.is_away) {
                    tracing::info!("{} are watched again", self.what);
                }
                Some(event)
            }
            Err(error) => {
                if !std::mem::replace(&mut self.is_away, true) {
                    tracing::warn!(%error, "{} cannot be watched; it is tried again and again", self.what);
                }
                None
            }
        }
    }
}
