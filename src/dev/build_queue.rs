//! A queue of builds: builds that run, that wait for a place, and that a newer edit ends.
//!
//! A build can hang, so it has a limit of time, ends when its sources change, and does not keep its
//! place for good: one that has been running for [`SLOW`] lets another begin beside it.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{AbortHandle, JoinError, JoinSet};

use super::build::{BuildError, BuildRequest, build};
use super::content::Content;
use crate::clock::Nanos;
use crate::instances::local::host::ProcessHost;

/// Builds at once: they share the machine with the functions, and most use several cores.
const PLACES: usize = 2;
/// After this a build counts as slow, perhaps for ever, and its place is given to the next.
const SLOW: Duration = Duration::from_secs(20);
/// Builds at once, slow ones included.
const BUILDS_MAX: usize = 8;
/// From a change of its sources until a build is ended: what a build writes last is no edit.
const GRACE: Duration = Duration::from_millis(500);
/// Builds in a row that are ended after that. Sources that change in every build may be changed by it,
/// so each further one has four times as long to end by itself.
const ENDED_SOON_MAX: u32 = 3;
/// The longest grace, in steps of four times the one before.
const GRACE_STEPS_MAX: u32 = 6;

/// A build that ended by itself, or at its limit.
pub(crate) struct FinishedBuild {
    /// The function's name.
    pub name: String,
    /// Content that it was built of.
    pub before: Arc<Content>,
    /// Its outcome.
    pub outcome: Result<Duration, BuildError>,
    /// Builds of this round that are over with it, and all of them.
    pub progress: (usize, usize),
}

/// A build that was ended because its sources changed, or its function is gone.
#[derive(Debug)]
pub(crate) struct AbortedBuild {
    /// The function's name.
    pub name: String,
    /// A file that changed, where one did.
    pub changed: Option<PathBuf>,
}

struct RunningBuild {
    task: AbortHandle,
    begun: Nanos,
    before: Arc<Content>,
    /// Time of its end, and the file that changed.
    ends: Option<(Nanos, Option<PathBuf>)>,
}

/// The queue of all builds.
#[derive(Default)]
pub(crate) struct BuildQueue {
    tasks: JoinSet<FinishedBuild>,
    /// Functions that were to be built since there was nothing to build, and whether they were.
    round: BTreeMap<String, bool>,
    running: BTreeMap<String, RunningBuild>,
    waiting: VecDeque<String>,
    /// Builds in a row that were ended by a change, for each function.
    ended: BTreeMap<String, u32>,
}

impl BuildQueue {
    /// Whether a build of this function runs.
    #[must_use]
    pub(crate) fn builds(&self, name: &str) -> bool {
        self.running.contains_key(name)
    }

    /// Whether nothing is built.
    #[must_use]
    pub(crate) fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    /// The functions that need a build now; those that are new go to the end of the line. Answers the
    /// new ones.
    pub(crate) fn want(&mut self, needy: &[String]) -> Vec<String> {
        self.waiting.retain(|name| needy.contains(name));
        let new = |name: &&String| !self.waiting.contains(*name) && !self.running.contains_key(*name);
        let new: Vec<String> = needy.iter().filter(new).cloned().collect();
        self.waiting.extend(new.iter().cloned());
        if self.is_idle() && self.waiting.len() == new.len() {
            self.round.clear();
        }
        self.round.extend(new.iter().map(|name| (name.clone(), false)));
        new
    }

    /// The next function to build, where there is a place for it.
    pub(crate) fn next(&mut self, now: Nanos) -> Option<String> {
        let slow = |running: &&RunningBuild| now.saturating_sub(running.begun) >= nanos(SLOW);
        let slow = self.running.values().filter(slow).count();
        let has_place = self.running.len() - slow < PLACES && self.running.len() < BUILDS_MAX;
        // One whose build is just being ended has to wait for that.
        let at = self.waiting.iter().position(|name| !self.running.contains_key(name));
        at.filter(|_| has_place).and_then(|at| self.waiting.remove(at))
    }

    /// Begins a build.
    pub(crate) fn begin(
        &mut self,
        request: BuildRequest,
        before: Arc<Content>,
        host: &ProcessHost,
        now: Nanos,
    ) {
        let (children, runs) = (host.children.clone(), host.builds.begin(&request.name));
        let (name, content) = (request.name.clone(), before.clone());
        let task = self.tasks.spawn_local(async move {
            let outcome = build(&request, before.build(), &children).await;
            drop(runs);
            FinishedBuild { name: request.name, before, outcome, progress: (0, 0) }
        });
        self.running.insert(name, RunningBuild { task, begun: now, before: content, ends: None });
    }

    /// Compares what a function is made of with what it is being built of. `program` is made by the
    /// build, so that a change of it is none.
    pub(crate) fn compare(&mut self, name: &str, content: &Content, program: Option<&Path>, now: Nanos) {
        let Some(running) = self.running.get_mut(name) else { return };
        let changed = content.changed_since(&running.before, program);
        if changed.is_empty() && content.is_built_by(running.before.build()) {
            running.ends = None;
        } else if running.ends.is_none() {
            let ended = self.ended.get(name).copied().unwrap_or(0);
            running.ends = Some((now + nanos(grace(ended)), changed.into_iter().next()));
        }
    }

    /// Ends the builds whose time has come. [`BuildQueue::ended`] tells of them.
    pub(crate) fn end_overtaken(&mut self, now: Nanos) {
        for running in self.running.values() {
            if running.ends.as_ref().is_some_and(|(at, _)| *at <= now) {
                running.task.abort();
            }
        }
    }

    /// The last build of a function is of its present content: its next build ends at the first change again.
    pub(crate) fn settled(&mut self, name: &str) {
        self.ended.remove(name);
    }

    /// Ends the build of a function that is gone.
    pub(crate) fn remove(&mut self, name: &str) {
        self.ended.remove(name);
        self.round.remove(name);
        if let Some(running) = self.running.get(name) {
            running.task.abort();
        }
    }

    /// Waits for the next end of a build; none where nothing is built. Nothing is lost when it is
    /// dropped early.
    ///
    /// # Errors
    /// A build that panicked.
    pub(crate) async fn ended(&mut self) -> Option<Result<Result<FinishedBuild, AbortedBuild>, JoinError>> {
        let ended = self.tasks.join_next_with_id().await?;
        Some(match ended {
            Ok((_, built)) => {
                self.running.remove(&built.name);
                self.round.insert(built.name.clone(), true);
                let over = self.round.values().filter(|over| **over).count();
                Ok(Ok(FinishedBuild { progress: (over, self.round.len()), ..built }))
            }
            Err(error) => {
                let name = self
                    .running
                    .iter()
                    .find_map(|(name, running)| (running.task.id() == error.id()).then(|| name.clone()));
                match name.filter(|_| error.is_cancelled()) {
                    Some(name) => Ok(Err(self.overtaken(name))),
                    None => Err(error),
                }
            }
        })
    }

    fn overtaken(&mut self, name: String) -> AbortedBuild {
        let running = self.running.remove(&name);
        let changed = running.and_then(|running| running.ends).and_then(|(_, changed)| changed);
        *self.ended.entry(name.clone()).or_default() += 1;
        AbortedBuild { name, changed }
    }

    /// Ends everything.
    pub(crate) async fn close(&mut self) {
        self.tasks.shutdown().await;
        self.running.clear();
    }
}

/// Time for which a build may go on after a change of its sources that ended so many builds before it.
fn grace(ended: u32) -> Duration {
    GRACE * 4_u32.pow(ended.saturating_sub(ENDED_SOON_MAX - 1).min(GRACE_STEPS_MAX))
}

fn nanos(duration: Duration) -> Nanos {
    Nanos::try_from(duration.as_nanos()).unwrap_or(Nanos::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::future::pending;

    use super::*;

    const SECOND: Nanos = 1_000_000_000;
    /// Only what hangs takes so long.
    const PATIENCE: Duration = Duration::from_secs(60);

    fn content(root: &Path, text: &str) -> Arc<Content> {
        fs::write(root.join("source"), text).unwrap();
        Arc::new(Content::read(root, &[], &BTreeSet::new()))
    }

    /// Calls `test` where builds can be begun that never end.
    fn with_queue(test: impl AsyncFnOnce(&mut BuildQueue, &Path)) {
        let root = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let mut queue = BuildQueue::default();
            tokio::time::timeout(PATIENCE, test(&mut queue, root.path()))
                .await
                .expect("a build ends in time");
        });
    }

    fn begin(queue: &mut BuildQueue, name: &str, before: Arc<Content>, now: Nanos) {
        let task = queue.tasks.spawn_local(pending());
        queue.running.insert(name.to_owned(), RunningBuild { task, begun: now, before, ends: None });
    }

    /// Begins what there are places for; answers their names.
    fn begin_all(queue: &mut BuildQueue, before: &Arc<Content>, now: Nanos) -> Vec<String> {
        let mut begun = Vec::new();
        while let Some(name) = queue.next(now) {
            begin(queue, &name, before.clone(), now);
            begun.push(name);
        }
        begun
    }

    fn names(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn a_slow_build_gives_its_place_to_the_next_and_there_is_a_most() {
        with_queue(async |queue, root| {
            let before = content(root, "1");
            let all = names("a b c d e f g h i j");
            assert_eq!(queue.want(&all), all);
            assert_eq!(begin_all(queue, &before, 0), names("a b"));
            assert!(begin_all(queue, &before, 19 * SECOND).is_empty());
            assert_eq!(begin_all(queue, &before, 20 * SECOND), names("c d"));
            assert_eq!(begin_all(queue, &before, 40 * SECOND), names("e f"));
            assert_eq!(begin_all(queue, &before, 60 * SECOND), names("g h"));
            assert!(begin_all(queue, &before, 80 * SECOND).is_empty());
            queue.remove("a");
            let ended = queue.ended().await.unwrap().unwrap().err().unwrap();
            assert_eq!(ended.name, "a");
            assert_eq!(begin_all(queue, &before, 81 * SECOND), names("i"));
        });
    }

    #[test]
    fn who_waits_longest_is_built_next() {
        with_queue(async |queue, root| {
            let before = content(root, "1");
            assert_eq!(queue.want(&names("x y z")), names("x y z"));
            assert_eq!(begin_all(queue, &before, 0), names("x y"));
            // A function that comes later, and one before it by its name.
            assert_eq!(queue.want(&names("a z")), names("a"));
            queue.remove("x");
            queue.ended().await;
            assert_eq!(begin_all(queue, &before, 0), names("z"));
            // A function that needs no build any more does not wait for one.
            assert!(queue.want(&[]).is_empty());
            queue.remove("y");
            queue.ended().await;
            assert!(begin_all(queue, &before, 0).is_empty());
        });
    }

    #[test]
    fn each_build_in_a_row_that_its_sources_end_has_longer() {
        with_queue(async |queue, root| {
            let mut now = 0;
            for grace_ms in [500, 500, 500, 2000, 8000, 32_000] {
                begin(queue, "f", content(root, "1"), now);
                queue.compare("f", &content(root, "2"), None, now);
                let ends = queue.running["f"].ends.clone().unwrap();
                assert_eq!(ends, (now + grace_ms * 1_000_000, Some(root.join("source"))));
                queue.end_overtaken(ends.0 - 1);
                assert!(!queue.running["f"].task.is_finished());
                now = ends.0;
                queue.end_overtaken(now);
                let ended = queue.ended().await.unwrap().unwrap().err().unwrap();
                assert_eq!((ended.name.as_str(), ended.changed), ("f", Some(root.join("source"))));
            }
            queue.settled("f");
            begin(queue, "f", content(root, "1"), now);
            queue.compare("f", &content(root, "2"), None, now);
            assert_eq!(queue.running["f"].ends.as_ref().unwrap().0, now + SECOND / 2);
        });
    }

    #[test]
    fn what_changed_back_ends_nothing() {
        with_queue(async |queue, root| {
            let before = content(root, "1");
            begin(queue, "f", before.clone(), 0);
            queue.compare("f", &content(root, "2"), None, 0);
            queue.compare("f", &before, None, 1);
            assert!(queue.running["f"].ends.is_none());
            // Nor does what it makes itself.
            queue.compare("f", &content(root, "3"), Some(&root.join("source")), 2);
            assert!(queue.running["f"].ends.is_none());
        });
    }
}
