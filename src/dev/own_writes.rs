//! Files in a function's folder that the function itself writes: a log, a pid, a database. A change of one is
//! no edit, and builds nothing.
//!
//! One that the function has open is known at once. Of one that it opens and closes there is only evidence, which
//! may be wrong while it has much to do: it counts after [`SUSPECTED_MAX`] builds that were begun by nothing else. Of
//! a file that was there before the function first ran, or looks like a source, it takes many more. As soon as somebody else is seen to change it, it is a source
//! again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::content::{Content, FileState};
use super::process_writes::Evidence;

/// Builds that are begun by a file that the function seems to write, after the one that it is served of.
const SUSPECTED_MAX: u32 = 2;
/// The same of a file that was there before, or looks like a source: a lost edit would be worse than a build.
const SUSPECTED_SOURCE_MAX: u32 = 10;
/// Files of one function that are told; it may write each under a new name.
const TOLD_MAX: usize = 5;
/// Files that change at once and are looked at one by one. So many are somebody's, such as those of a commit.
const CHANGED_MAX: usize = 64;

/// The files that one function writes itself.
#[derive(Debug, Default)]
pub(crate) struct OwnWrites {
    /// Files that were there before the function first ran: somebody else has written them.
    sources: BTreeSet<PathBuf>,
    /// States of its own files, as last seen; none of one that was gone.
    files: BTreeMap<PathBuf, Option<FileState>>,
    /// Files that the function seems to have changed since the last build began; none where somebody else
    /// changed one as well.
    suspects: BTreeSet<PathBuf>,
    /// Builds that were begun by nothing but such files, for each since somebody else changed it.
    builds_of: BTreeMap<PathBuf, u32>,
    /// Builds in a row for such files.
    builds: u32,
    /// Files that were told.
    told: usize,
}

impl OwnWrites {
    /// The function is about to run for the first time, of this.
    pub(crate) fn runs_first(&mut self, content: &Content) {
        self.sources = content.paths().map(Path::to_owned).collect();
    }

    /// Looks at what changed between two contents of a function. Answers the present one with the
    /// function's own files as they were, and those of them that are to be told. `program` is made by its build.
    pub(crate) fn take_out(
        &mut self,
        before: &Content,
        now: &Content,
        program: Option<&Path>,
        is_source: impl Fn(&Path) -> bool,
        mut evidence: impl FnMut(&Path, Option<FileState>) -> Evidence,
    ) -> (Content, Vec<PathBuf>) {
        self.look_again(now, &mut evidence);
        let changed = now.changed_since(before, program);
        let (mut own, mut suspects, mut passing) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
        let mut edited = changed.len() > CHANGED_MAX;
        let changed = if edited { Vec::new() } else { changed };
        for path in changed.into_iter().filter(|path| !self.files.contains_key(path)) {
            match evidence(&path, before.state(&path)) {
                Evidence::Open => own.push(path),
                Evidence::Likely if self.is_known(&path, before, now, &is_source) => own.push(path),
                Evidence::Likely => drop(suspects.insert(path)),
                Evidence::Passing => drop(passing.insert(path)),
                Evidence::Foreign => {
                    self.builds_of.remove(&path);
                    edited = true;
                }
            }
        }
        if edited {
            self.suspects.clear();
            self.builds = 0;
        } else {
            self.suspects.append(&mut suspects);
        }
        for path in &own {
            self.files.insert(path.clone(), now.state(path));
        }
        own.truncate(TOLD_MAX.saturating_sub(self.told));
        self.told += own.len();
        let is_former = |path: &Path| self.files.contains_key(path) || passing.contains(path);
        (now.with_former(before, is_former), own)
    }

    /// Whether builds enough were begun by a file, or by others when it has come or gone.
    fn is_known(
        &self,
        path: &Path,
        before: &Content,
        now: &Content,
        is_source: impl Fn(&Path) -> bool,
    ) -> bool {
        let builds = self.builds_of.get(path).copied().unwrap_or(0);
        if self.sources.contains(path) || is_source(path) {
            return builds >= SUSPECTED_SOURCE_MAX;
        }
        let was_and_is = before.state(path).is_some() && now.state(path).is_some();
        builds >= SUSPECTED_MAX || (self.builds >= SUSPECTED_MAX && !was_and_is)
    }

    /// Files that somebody else has changed since are none of its own any more.
    fn look_again(&mut self, now: &Content, evidence: &mut impl FnMut(&Path, Option<FileState>) -> Evidence) {
        self.files.retain(|path, state| {
            let before = std::mem::replace(state, now.state(path));
            // Its removal, by whomever, is no edit.
            before == *state || state.is_none() || evidence(path, before) != Evidence::Foreign
        });
    }

    /// A build begins, or a version without one is served.
    pub(crate) fn build_begins(&mut self) {
        let suspects = std::mem::take(&mut self.suspects);
        self.builds += u32::from(!suspects.is_empty());
        for path in suspects {
            *self.builds_of.entry(path).or_default() += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A folder, what is served of it, and how often it was built.
    struct Served {
        folder: tempfile::TempDir,
        own: OwnWrites,
        content: Content,
        builds: u32,
    }

    impl Served {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("source"), "1").unwrap();
            let content = Content::read(folder.path(), &[], &BTreeSet::new());
            let mut own = OwnWrites::default();
            own.runs_first(&content);
            Self { folder, own, content, builds: 1 }
        }

        /// Writes a file; answers those that are told as the function's own.
        fn write(&mut self, file: &str, text: &str, evidence: Evidence) -> Vec<String> {
            fs::write(self.folder.path().join(file), text).unwrap();
            self.look(evidence)
        }

        /// Removes a file; answers the same.
        fn remove(&mut self, file: &str, evidence: Evidence) -> Vec<String> {
            fs::remove_file(self.folder.path().join(file)).unwrap();
            self.look(evidence)
        }

        fn look(&mut self, evidence: Evidence) -> Vec<String> {
            let now = Content::read(self.folder.path(), &[], &BTreeSet::new());
            let (content, told) = {
                let is_source = |path: &Path| path.extension().is_some_and(|ending| ending == "py");
                self.own.take_out(&self.content, &now, None, is_source, |_, _| evidence)
            };
            if content.digest() != self.content.digest() {
                self.own.build_begins();
                self.builds += 1;
            }
            self.content = content;
            let name = |path: PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
            told.into_iter().map(name).collect()
        }
    }

    #[test]
    fn what_a_function_has_open_builds_nothing_and_is_told_once() {
        let mut served = Served::new();
        assert_eq!(served.write("log", "1", Evidence::Open), ["log"]);
        assert!(served.write("log", "12", Evidence::Open).is_empty());
        assert!(served.write("log", "123", Evidence::Likely).is_empty());
        assert_eq!(served.builds, 1);
        served.write("source", "2", Evidence::Foreign);
        assert_eq!(served.builds, 2);
    }

    #[test]
    fn what_it_seems_to_write_builds_three_times_with_the_first_and_is_told_then() {
        let mut served = Served::new();
        for text in ["1", "2"] {
            assert!(served.write("pid", text, Evidence::Likely).is_empty());
        }
        assert_eq!(served.builds, 3);
        assert_eq!(served.write("pid", "3", Evidence::Likely), ["pid"]);
        assert!(served.write("pid", "4", Evidence::Likely).is_empty());
        // Others of the kind, each under a new name.
        assert_eq!(served.write("result-1", "1", Evidence::Likely), ["result-1"]);
        assert_eq!(served.builds, 3);
        // An edit is built, and what was known stays known.
        served.write("source", "2", Evidence::Foreign);
        served.write("pid", "5", Evidence::Likely);
        assert_eq!(served.builds, 4);
    }

    #[test]
    fn what_it_makes_and_removes_is_known_as_soon_as_what_it_writes() {
        let mut served = Served::new();
        served.write("lock", "", Evidence::Likely);
        assert!(served.remove("lock", Evidence::Likely).is_empty());
        assert_eq!(served.builds, 3);
        assert_eq!(served.write("lock", "", Evidence::Likely), ["lock"]);
        assert!(served.remove("lock", Evidence::Likely).is_empty());
        // Each under a new name.
        assert_eq!(served.write("tmp-1", "1", Evidence::Likely), ["tmp-1"]);
        assert!(served.remove("tmp-1", Evidence::Likely).is_empty());
        assert_eq!(served.builds, 3);
        // Nor does a name that is gone before it is looked at.
        assert!(served.write("state.tmp", "1", Evidence::Passing).is_empty());
        assert!(served.remove("state.tmp", Evidence::Passing).is_empty());
        assert_eq!(served.builds, 3);
        // A removal by somebody else is an edit, and so is what they make of such a file.
        served.remove("source", Evidence::Foreign);
        served.write("lock", "mine", Evidence::Foreign);
        assert_eq!(served.builds, 5);
    }

    #[test]
    fn an_edit_of_what_looks_like_a_source_is_built_though_the_function_writes_much() {
        let mut served = Served::new();
        for text in ["1", "2", "3"] {
            served.write("database", text, Evidence::Likely);
        }
        let builds = served.builds;
        for text in ["1", "2", "3", "4", "5"] {
            assert!(served.write("app.py", text, Evidence::Likely).is_empty());
        }
        assert_eq!(served.builds, builds + 5);
        // Nor one that was there before the function ran, whatever it is.
        for text in ["2", "3", "4", "5", "6"] {
            assert!(served.write("source", text, Evidence::Likely).is_empty());
        }
        assert_eq!(served.builds, builds + 10);
    }

    #[test]
    fn edits_of_somebody_else_are_never_counted_and_make_a_file_a_source_again() {
        let mut served = Served::new();
        for text in ["2", "3", "4", "5", "6"] {
            assert!(served.write("source", text, Evidence::Foreign).is_empty());
        }
        assert_eq!(served.builds, 6);
        for text in ["1", "2", "3", "4"] {
            served.write("data", text, Evidence::Likely);
        }
        assert_eq!(served.builds, 8);
        assert!(served.write("data", "5", Evidence::Foreign).is_empty());
        assert_eq!(served.builds, 9);
    }
}
