//! One function that is being written: what is known of it, and what to do next.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::build_cache::BuildCache;
use super::content::{Content, FileState};
use super::own_writes::OwnWrites;
use super::process_writes::Evidence;
use super::scan::{ScannedFunction, absolute};
use crate::clock::Nanos;
use crate::error::ApiError;
use crate::instances::local::process::resolve;
use crate::spec::{ExecutionMode, FunctionSpec};

/// Endings of files that programs are made of, and that functions hardly write.
const SOURCE_ENDINGS: [&str; 47] = [
    "c",
    "cc",
    "cfg",
    "conf",
    "cpp",
    "cs",
    "css",
    "ejs",
    "env",
    "erb",
    "ftl",
    "go",
    "gradle",
    "graphql",
    "h",
    "hbs",
    "html",
    "ini",
    "j2",
    "java",
    "jinja",
    "js",
    "jsx",
    "kt",
    "lock",
    "md",
    "mjs",
    "mustache",
    "php",
    "pl",
    "properties",
    "proto",
    "py",
    "rb",
    "rs",
    "scala",
    "sh",
    "sql",
    "svg",
    "tmpl",
    "toml",
    "ts",
    "tsx",
    "txt",
    "xml",
    "yaml",
    "yml",
];
/// Names of files that people write though their ending is one of data.
const SOURCE_NAMES: [&str; 4] = ["package.json", "package-lock.json", "tsconfig.json", "Makefile"];
/// Builds in a row during which the sources changed, after which it is the build that changes them.
const UNSETTLED_MAX: u32 = 3;

/// The next need of a project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// It is served as it is written, or waits for a change.
    Nothing,
    /// Its sources are other than those that were built.
    Build,
    /// It is other than what is served.
    Serve,
}

/// Form of a function that is served: another specification, other sources and other values of its references
/// are each another one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ServedForm {
    spec: FunctionSpec,
    sources: u64,
    values: u64,
}

/// One function.
#[derive(Debug)]
pub(crate) struct Project {
    /// Its manifest, its specification and its sources, as last seen.
    pub found: ScannedFunction,
    /// Digest of the sources that the last good build was made of.
    built: Option<u64>,
    /// Digest of the sources whose build failed.
    failed: Option<u64>,
    /// Builds in a row during which the sources changed.
    unsettled: u32,
    /// Failure of the last build, in one line.
    failure: Option<String>,
    /// Files that it writes itself.
    own: OwnWrites,
    /// Form that was last handed to control; none where it was built again since.
    served: Option<ServedForm>,
    /// An earlier version was handed to control.
    was_served: bool,
    /// Form that control cannot run.
    refused: Option<ServedForm>,
    /// Something changed, at this time, that is not served yet.
    pub changed_at: Option<Nanos>,
    /// Its version in force was announced.
    pub announced: bool,
    /// The failed start of its version in force was told.
    pub troubled: bool,
    /// The last block of curl lines that was printed.
    pub shown: String,
}

impl Project {
    /// A message about the missing program of a function whose processes are started when it is called. A
    /// function with standing instances shows it by itself.
    #[must_use]
    pub(crate) fn missing_program(&self) -> Option<String> {
        let spec = &self.found.spec;
        let missing = program(spec).filter(|program| !program.exists());
        missing.filter(|_| spec.execution_mode == ExecutionMode::Job).map(|program| {
            format!(
                "its program is not there: {} (local.command); a call fails until it is",
                program.display()
            )
        })
    }

    /// A function that has just been found.
    #[must_use]
    pub(crate) fn new(found: ScannedFunction, cache: &BuildCache) -> Self {
        let name = found.spec.name.as_str();
        let made = program(&found.spec).is_none_or(|program| program.exists());
        let built = cache.read(&found.manifest, name).filter(|_| made);
        Self {
            found,
            built,
            failed: None,
            unsettled: 0,
            failure: None,
            own: OwnWrites::default(),
            served: None,
            was_served: false,
            refused: None,
            changed_at: None,
            announced: false,
            troubled: false,
            shown: String::new(),
        }
    }

    /// Leaves out of what was found now what the function wrote itself. Answers its files that are to be told,
    /// as a person would name them.
    pub(crate) fn take_out_own_writes(
        &mut self,
        found: &mut ScannedFunction,
        evidence: impl FnMut(&Path, Option<FileState>) -> Evidence,
    ) -> Vec<PathBuf> {
        // Nothing was read anew where nothing was touched.
        if Arc::ptr_eq(&found.content, &self.found.content) {
            return Vec::new();
        }
        let (before, program) = (self.found.content.clone(), self.program());
        let (content, told) =
            self.own.take_out(&before, &found.content, program.as_deref(), looks_like_a_source, evidence);
        found.content = Arc::new(content);
        let folder = absolute(self.directory());
        let shown = |path: PathBuf| path.strip_prefix(&folder).map(Path::to_owned).unwrap_or(path);
        told.into_iter().map(shown).collect()
    }

    /// Takes what was found of it now.
    pub(crate) fn update(&mut self, found: ScannedFunction, now: Nanos) {
        let before = &self.found;
        if found.spec != before.spec || found.content != before.content || found.values != before.values {
            self.changed_at.get_or_insert(now);
        }
        self.found = found;
    }

    /// Its next need.
    #[must_use]
    pub(crate) fn need(&self) -> Need {
        let digest = self.found.content.digest();
        if self.is_of_now(self.refused.as_ref()) {
            return Need::Nothing;
        }
        if !self.found.content.build().is_empty() && self.built != Some(digest) {
            return if self.failed == Some(digest) { Need::Nothing } else { Need::Build };
        }
        if self.is_of_now(self.served.as_ref()) { Need::Nothing } else { Need::Serve }
    }

    fn is_of_now(&self, form: Option<&ServedForm>) -> bool {
        let ScannedFunction { spec, content, values, .. } = &self.found;
        form.is_some_and(|form| {
            form.sources == content.digest() && form.values == *values && form.spec == *spec
        })
    }

    fn form(&self) -> ServedForm {
        let ScannedFunction { spec, content, values, .. } = &self.found;
        ServedForm { spec: spec.clone(), sources: content.digest(), values: *values }
    }

    /// The answer to a call of it where no version was ever handed to control: its first build is not over, or
    /// has failed.
    #[must_use]
    pub(crate) fn awaited(&self, is_being_built: bool) -> Option<ApiError> {
        let name = self.found.spec.name.as_str();
        if self.was_served {
            return None;
        }
        match (&self.failure, self.need()) {
            (_, Need::Build) => Some(ApiError::building_function(name)),
            _ if is_being_built => Some(ApiError::building_function(name)),
            (Some(failure), Need::Nothing) => Some(ApiError::unbuilt_function(name, failure)),
            (_, Need::Nothing | Need::Serve) => None,
        }
    }

    /// Whether nothing is under way: it is served as it is written, or cannot be.
    #[must_use]
    pub(crate) fn is_settled(&self) -> bool {
        let starts = self.was_served && !self.announced && !self.troubled && self.refused.is_none();
        self.need() == Need::Nothing && (!starts || self.failed.is_some())
    }

    /// Whether some version of it has shown that it serves.
    #[must_use]
    pub(crate) fn is_available(&self) -> bool {
        self.was_served && !self.shown.is_empty()
    }

    /// Whether an earlier version was handed to control.
    #[must_use]
    pub(crate) fn was_served(&self) -> bool {
        self.was_served
    }

    /// The folder in which its commands run.
    #[must_use]
    pub(crate) fn directory(&self) -> PathBuf {
        self.found.spec.directory.clone().unwrap_or_else(|| PathBuf::from("."))
    }

    /// The absolute path of what its build makes.
    #[must_use]
    pub(crate) fn program(&self) -> Option<PathBuf> {
        program(&self.found.spec).map(absolute)
    }

    /// A build begins, after which nothing is certain until it ends well.
    pub(crate) fn build_begins(&mut self) {
        self.built = None;
        self.own.build_begins();
    }

    /// A build of `before` ended, and `found` is as it is now. Answers the files that have been
    /// changing during each build of late, where this has to be the build itself.
    ///
    /// The build is served as another version, though it may be made of the sources of the one that is
    /// served: that one's program may have been gone meanwhile, and its starts pause.
    pub(crate) fn build_ended(&mut self, before: &Content, failure: Option<String>) -> Vec<PathBuf> {
        let now = self.found.content.clone();
        let mut changed = now.changed_since(before, self.program().as_deref());
        let settled = changed.is_empty() && now.is_built_by(before.build());
        self.unsettled = if settled { 0 } else { self.unsettled + 1 };
        // Sources that changed meanwhile are built again.
        let is_of_now = settled || self.unsettled >= UNSETTLED_MAX;
        let digest = if is_of_now { now.digest() } else { before.digest() };
        (self.built, self.failed) = match failure {
            None => (Some(digest), None),
            Some(_) => (None, Some(digest)),
        };
        if failure.is_none() {
            self.served = None;
        }
        self.failure = failure;
        if self.unsettled < UNSETTLED_MAX {
            changed.clear();
        } else {
            self.unsettled = 0;
        }
        changed
    }

    /// The digest to remember, where what was built last is what is there.
    #[must_use]
    pub(crate) fn digest_built(&self) -> Option<u64> {
        self.built.filter(|built| *built == self.found.content.digest())
    }

    /// Control has taken it as it is.
    pub(crate) fn is_served(&mut self) {
        if self.found.content.build().is_empty() {
            self.own.build_begins();
        }
        if !self.was_served {
            self.own.runs_first(&self.found.content);
        }
        self.served = Some(self.form());
        (self.was_served, self.refused) = (true, None);
        (self.announced, self.troubled) = (false, false);
    }

    /// Control cannot run it as it is.
    pub(crate) fn is_refused(&mut self) {
        self.refused = Some(self.form());
    }
}

/// Whether a file is most likely somebody's own work: by its ending or name, or because it can be run. That the manifest
/// names it says nothing, since a command names what it writes as well.
fn looks_like_a_source(path: &Path) -> bool {
    let ending = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    SOURCE_ENDINGS.contains(&ending)
        || SOURCE_NAMES.contains(&name)
        || fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o111 != 0)
}

/// The file that `local.command` starts, where a build can have made it.
fn program(spec: &FunctionSpec) -> Option<PathBuf> {
    let local = spec.local.as_ref()?;
    let program = local.command.first().filter(|program| program.contains('/'))?;
    Some(resolve(program, spec.directory.as_deref()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::parse_function;
    use std::collections::BTreeSet;

    fn found(root: &Path) -> ScannedFunction {
        let text = br#"{"name":"f","executionMode":"WARM","image":"i",
            "local":{"build":[["make"]],"command":["./server"]}}"#;
        let mut spec = parse_function(text).unwrap();
        spec.directory = Some(root.to_owned());
        let build = spec.local.as_ref().unwrap().build.clone();
        let content = Arc::new(Content::read(root, &build, &BTreeSet::new()));
        ScannedFunction { manifest: root.join("function.yaml"), spec, content, values: 0 }
    }

    fn project(root: &Path) -> Project {
        fs::write(root.join("source"), "1").unwrap();
        Project::new(found(root), &BuildCache::of_user(None, None))
    }

    fn build(project: &mut Project, root: &Path, succeeded: bool, writes: &[(&str, &str)]) -> Vec<PathBuf> {
        let before = project.found.content.clone();
        project.build_begins();
        for (file, text) in writes {
            fs::write(root.join(file), text).unwrap();
        }
        project.update(found(root), 0);
        project.build_ended(&before, (!succeeded).then(|| "make: no luck".to_owned()))
    }

    #[test]
    fn the_program_that_a_build_makes_is_no_change_of_the_sources() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let mut project = project(root);
        assert_eq!(project.need(), Need::Build);
        build(&mut project, root, true, &[("server", "made")]);
        assert_eq!(project.need(), Need::Serve);
        assert_eq!(project.digest_built(), Some(project.found.content.digest()));
        project.is_served();
        assert_eq!(project.need(), Need::Nothing);
    }

    #[test]
    fn a_source_that_changes_during_a_build_is_built_again() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let mut project = project(root);
        build(&mut project, root, true, &[("source", "2")]);
        assert_eq!(project.need(), Need::Build);
        build(&mut project, root, true, &[]);
        assert_eq!(project.need(), Need::Serve);
    }

    #[test]
    fn a_build_that_changes_its_own_sources_does_not_go_on_for_ever() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let mut project = project(root);
        for time in ["1", "2"] {
            assert!(build(&mut project, root, true, &[("stamp.txt", time)]).is_empty());
            assert_eq!(project.need(), Need::Build);
        }
        let changing = build(&mut project, root, true, &[("stamp.txt", "3")]);
        assert_eq!(changing, [root.join("stamp.txt")]);
        assert_eq!(project.need(), Need::Serve);
    }

    #[test]
    fn what_is_built_again_of_the_sources_that_are_served_is_served_again() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let mut project = project(root);
        build(&mut project, root, true, &[]);
        project.is_served();
        fs::write(root.join("source"), "typo").unwrap();
        project.update(found(root), 0);
        build(&mut project, root, false, &[]);
        fs::write(root.join("source"), "1").unwrap();
        project.update(found(root), 0);
        assert_eq!(project.need(), Need::Build);
        build(&mut project, root, true, &[]);
        assert_eq!(project.need(), Need::Serve);
    }

    #[test]
    fn what_people_write_is_told_from_data_by_its_name() {
        for source in ["pom.xml", "package.json", "a.yaml", "requirements.txt", "q.sql", "a.properties"]
            .into_iter()
            .chain(["Cargo.lock", "a.proto", "page.tmpl", "app.py"])
        {
            assert!(looks_like_a_source(Path::new(source)), "{source}");
        }
        for data in ["server.pid", "state.json", "lock", "own.log", "data.db", "data.db-journal", "tmpab12"] {
            assert!(!looks_like_a_source(Path::new(data)), "{data}");
        }
    }

    #[test]
    fn other_values_of_references_are_served_without_a_build() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let mut project = project(root);
        build(&mut project, root, true, &[]);
        project.is_refused();
        assert_eq!(project.need(), Need::Nothing);
        for values in [1, 2] {
            project.update(ScannedFunction { values, ..found(root) }, 0);
            assert_eq!(project.need(), Need::Serve);
            project.is_served();
            assert_eq!(project.need(), Need::Nothing);
        }
    }

    #[test]
    fn a_failed_build_is_tried_again_when_the_sources_change_and_not_before() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let mut project = project(root);
        build(&mut project, root, false, &[]);
        assert_eq!(project.need(), Need::Nothing);
        fs::write(root.join("source"), "2").unwrap();
        project.update(found(root), 0);
        assert_eq!(project.need(), Need::Build);
    }
}
