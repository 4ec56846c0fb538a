//! Changed paths, told when it has been quiet for a moment.

#![expect(
    clippy::disallowed_types,
    reason = "notify calls back on a thread of its own; nothing that serves waits for this channel"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc::{Receiver, channel, error::TrySendError};
use tokio::time::Instant;

use super::scan::Touched;

/// A save is several changes; it is over when nothing has come for this long.
const QUIET: Duration = Duration::from_millis(50);
/// Something that never stops changing is told after this long all the same.
const LONGEST: Duration = Duration::from_millis(500);
/// Changed paths that wait to be looked at; beyond them, everything counts as changed.
const WAITING_MAX: usize = 4096;

/// The folders that are watched, each by itself: what is not kept costs nothing.
#[derive(Debug)]
pub(crate) struct Watch {
    watcher: RecommendedWatcher,
    /// Files by themselves. Their folders are watched, as a save may put another file of the name there.
    files: BTreeSet<PathBuf>,
    /// Folders in which every change counts.
    wanted: BTreeSet<PathBuf>,
    /// Folders that are watched.
    folders: BTreeSet<PathBuf>,
    changes: Receiver<PathBuf>,
    pending: BTreeSet<PathBuf>,
    /// Time at which it is quiet, unless something comes.
    quiet: Instant,
    /// Time at which pending paths are told in any case; `None` without any.
    latest: Option<Instant>,
    /// Set by notify's thread before it wakes us with a path, where it could not tell all.
    missed: Arc<AtomicBool>,
}

impl Watch {
    /// Is to watch these files at any time; watches nothing yet.
    ///
    /// # Errors
    /// Where the system has no more notifications to give.
    pub(crate) fn start(files: BTreeSet<PathBuf>) -> notify::Result<Self> {
        let (tell, changes) = channel(WAITING_MAX);
        let missed = Arc::new(AtomicBool::new(false));
        let not_told = missed.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            let paths = match event {
                Ok(event) if is_no_change(&event) => return,
                Ok(event) if !event.need_rescan() => event.paths,
                Ok(_) | Err(_) => {
                    not_told.store(true, Ordering::Release);
                    vec![PathBuf::new()]
                }
            };
            for path in paths {
                // It must not wait: the receiver may be waiting for this thread. A closed channel
                // means that nobody watches any more.
                if let Err(TrySendError::Full(_)) = tell.try_send(path) {
                    not_told.store(true, Ordering::Release);
                }
            }
        })?;
        Ok(Self {
            watcher,
            files,
            wanted: BTreeSet::new(),
            folders: BTreeSet::new(),
            changes,
            pending: BTreeSet::new(),
            quiet: Instant::now(),
            latest: None,
            missed,
        })
    }

    /// Watches exactly these folders from now on, and the files. Answers which of them are new: what happened in
    /// those before is not told. With each that cannot be watched comes the reason.
    pub(crate) fn keep(&mut self, wanted: &BTreeSet<PathBuf>) -> (BTreeSet<PathBuf>, Vec<String>) {
        self.wanted.clone_from(wanted);
        let beside = self.files.iter().filter_map(|file| file.parent()).map(Path::to_owned);
        let wanted: BTreeSet<PathBuf> = wanted.iter().cloned().chain(beside).collect();
        for gone in self.folders.difference(&wanted) {
            // One that was removed is not watched any more.
            let _ = self.watcher.unwatch(gone);
        }
        self.folders.retain(|folder| wanted.contains(folder));
        let (mut new, mut faults) = (BTreeSet::new(), Vec::new());
        for folder in wanted {
            if self.folders.contains(&folder) {
                continue;
            }
            match self.watcher.watch(&folder, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.folders.insert(folder.clone());
                    new.insert(folder);
                }
                Err(notify::Error { kind: notify::ErrorKind::PathNotFound, .. }) => {}
                Err(error) => faults.push(explain(&error, &folder)),
            }
        }
        (new, faults)
    }

    /// Waits for a change and for the quiet after it. Nothing is lost when it is dropped early,
    /// not even the time that was waited.
    pub(crate) async fn next(&mut self) -> Touched {
        while let Some(path) = self.one_more().await {
            if !self.counts(&path) {
                continue;
            }
            let now = Instant::now();
            self.quiet = now + QUIET;
            self.latest.get_or_insert(now + LONGEST);
            self.pending.insert(path);
        }
        self.latest = None;
        let paths = std::mem::take(&mut self.pending);
        // A folder that was removed and made again has lost its watch.
        self.folders.retain(|folder| !paths.contains(folder));
        if self.missed.swap(false, Ordering::AcqRel) {
            self.folders.clear();
            return Touched::Everything;
        }
        Touched::Paths(paths)
    }

    /// Whether a change of this path is one of what is watched, and not of another file beside one of the files.
    fn counts(&self, path: &Path) -> bool {
        path.as_os_str().is_empty()
            || self.files.contains(path)
            || self.folders.contains(path)
            || path.parent().is_some_and(|folder| self.wanted.contains(folder))
    }

    /// The next changed path; `None` when those that came are to be told.
    async fn one_more(&mut self) -> Option<PathBuf> {
        let Some(latest) = self.latest else {
            return match self.changes.recv().await {
                Some(path) => Some(path),
                // The sender lives in the watcher, so this does not come; if it did, nothing changes.
                None => std::future::pending().await,
            };
        };
        tokio::time::timeout_at(self.quiet.min(latest), self.changes.recv()).await.ok().flatten()
    }
}

/// Reading a file, which a scan does itself, is none.
fn is_no_change(event: &Event) -> bool {
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => false,
        EventKind::Access(_) => !event.need_rescan(),
        EventKind::Any
        | EventKind::Create(_)
        | EventKind::Modify(_)
        | EventKind::Remove(_)
        | EventKind::Other => false,
    }
}

fn explain(error: &notify::Error, folder: &Path) -> String {
    let remedy = if matches!(error.kind, notify::ErrorKind::MaxFilesWatch) {
        "; raise the sysctl fs.inotify.max_user_watches, or name large folders in .gitignore"
    } else {
        ""
    };
    format!("{}: changes in it will not be seen: {error}{remedy}", folder.display())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(120);

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { tokio::time::timeout(PATIENCE, future).await.expect("a change in time") })
    }

    #[test]
    fn a_burst_of_changes_is_told_once_with_all_its_paths() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().to_owned();
        block_on(async {
            let mut watch = Watch::start(BTreeSet::new()).unwrap();
            let (new, faults) = watch.keep(&BTreeSet::from([root.clone()]));
            assert_eq!((new.len(), faults.len()), (1, 0));
            // A busy machine may leave more than a moment between two writes, but not each time.
            for round in 0..10 {
                let paths = ["a", "b"].map(|name| root.join(format!("{name}-{round}")));
                for path in &paths {
                    fs::write(path, "1").unwrap();
                }
                let mut told = vec![watch.next().await];
                while !paths.iter().all(|path| told.iter().any(|touched| touched.below(path))) {
                    told.push(watch.next().await);
                }
                if let [one] = told.as_slice() {
                    assert_eq!(*one, Touched::Paths(paths.into()));
                    return;
                }
            }
            panic!("two changes are never told together");
        });
    }

    #[test]
    fn reading_is_no_change() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().to_owned();
        fs::write(root.join("read"), "1").unwrap();
        block_on(async {
            let mut watch = Watch::start(BTreeSet::new()).unwrap();
            watch.keep(&BTreeSet::from([root.clone()]));
            fs::read(root.join("read")).unwrap();
            // Told in the order they happen, so the first one tells whether the reading counted.
            fs::write(root.join("written"), "1").unwrap();
            assert_eq!(watch.next().await, Touched::Paths([root.join("written")].into()));
        });
    }

    #[test]
    fn a_file_by_itself_is_watched_however_it_is_saved_and_others_beside_it_are_not() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().to_owned();
        let file = root.join("values");
        fs::write(&file, "1").unwrap();
        block_on(async {
            let mut watch = Watch::start(BTreeSet::from([file.clone()])).unwrap();
            watch.keep(&BTreeSet::new());
            fs::write(root.join("other"), "1").unwrap();
            fs::write(&file, "2").unwrap();
            assert_eq!(watch.next().await, Touched::Paths([file.clone()].into()));
            fs::write(root.join("values.new"), "3").unwrap();
            fs::rename(root.join("values.new"), &file).unwrap();
            assert_eq!(watch.next().await, Touched::Paths([file.clone()].into()));
        });
    }

    #[test]
    fn a_folder_that_is_removed_and_made_again_is_new() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().to_owned();
        let inner = root.join("inner");
        fs::create_dir(&inner).unwrap();
        block_on(async {
            let mut watch = Watch::start(BTreeSet::new()).unwrap();
            let wanted = BTreeSet::from([root.clone(), inner.clone()]);
            watch.keep(&wanted);
            fs::remove_dir(&inner).unwrap();
            fs::create_dir(&inner).unwrap();
            assert!(watch.next().await.below(&inner));
            assert_eq!(watch.keep(&wanted).0, BTreeSet::from([inner.clone()]));
            fs::write(inner.join("file"), "1").unwrap();
            assert!(watch.next().await.below(&inner.join("file")));
        });
    }
}
