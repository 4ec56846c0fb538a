//! The dev server: scans, builds, serves and reports all functions below a folder.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use super::build::{BuildError, BuildRequest};
use super::build_cache::BuildCache;
use super::build_queue::{AbortedBuild, BuildQueue, FinishedBuild};
use super::example_call;
use super::process_writes::ProcessWrites;
use super::project::{Need, Project};
use super::scan::{PreviousScan, Scan, Touched, absolute, is_of, scan};
use super::summary::ReadinessSummary;
use super::terminal::{say, set_in};
use super::watch::Watch;
use crate::clock::{Clock, NANOS_PER_MS};
use crate::error::ApiError;
use crate::instances::local::host::ProcessHost;
use crate::registry::Registry;
use crate::spec::ManifestError;
use anyhow::Context;

/// Period of the check whether functions have started.
const LOOK: Duration = Duration::from_millis(20);

/// Help for a folder without a manifest.
const NO_MANIFEST: &str = "\
There is no function manifest here yet. `picofaas new NAME --lang LANGUAGE` makes a function with one.
It is a YAML file, function.yaml for example, in the folder of the function's sources:

    apiVersion: picofaas.dev/v1
    kind: Function
    metadata: {name: hello}
    spec:
      executionMode: WARM
      local:
        build: [[cargo, build, --release]]       # optional
        command: [./target/release/hello]

Waiting for one; it is served as soon as it is saved.
";

/// A dev server of the functions below one folder.
pub(crate) struct DevServer {
    root: PathBuf,
    registry: Rc<Registry>,
    host: Rc<ProcessHost>,
    clock: Clock,
    writes: ProcessWrites,
    base: String,
    watch: Watch,
    cache: BuildCache,
    projects: BTreeMap<String, Project>,
    /// The faults of manifests, as they were told.
    faults: Vec<String>,
    /// Why folders are not watched, as it was told.
    unwatched: Vec<String>,
    /// Documents that are passed over, as they were told.
    passed_over: Vec<String>,
    /// The missing manifest was told.
    told_empty: bool,
    summary: ReadinessSummary,
    builds: BuildQueue,
    /// Longest time of one build.
    build_limit: Duration,
}

impl DevServer {
    /// A dev server of the functions below `root`, which has not scanned yet. It registers them at `registry`,
    /// they run on `host`, and are called at `listen`. A build may take `build_limit`.
    ///
    /// # Errors
    /// Where changes cannot be watched.
    pub(crate) fn open(
        root: PathBuf,
        registry: Rc<Registry>,
        host: Rc<ProcessHost>,
        listen: SocketAddr,
        build_limit: Duration,
    ) -> anyhow::Result<Self> {
        let files = host.values.files().map(absolute).collect();
        Ok(Self {
            root,
            registry,
            writes: ProcessWrites::of(host.clone(), host.clock),
            clock: host.clock,
            host,
            base: example_call::base_url(listen),
            watch: Watch::start(files).context("file changes cannot be watched")?,
            cache: BuildCache::of_user(std::env::var_os("XDG_CACHE_HOME"), std::env::var_os("HOME")),
            projects: BTreeMap::new(),
            faults: Vec::new(),
            unwatched: Vec::new(),
            passed_over: Vec::new(),
            told_empty: false,
            summary: ReadinessSummary::default(),
            builds: BuildQueue::default(),
            build_limit,
        })
    }

    /// Base URL of the functions.
    #[must_use]
    pub(crate) fn base_url(&self) -> &str {
        &self.base
    }

    /// Works for ever.
    ///
    /// # Errors
    /// Where reading the folder panicked.
    pub(crate) async fn run(&mut self) -> anyhow::Result<Infallible> {
        self.look(Touched::Everything).await?;
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            self.go_on().await;
            tokio::select! {
                touched = self.watch.next() => self.look(touched).await?,
                Some(ended) = self.builds.ended() => match ended.context("a build failed unexpectedly")? {
                    Ok(built) => self.built(built).await?,
                    Err(ended) => self.overtaken(&ended),
                },
                _ = looks.tick() => {}
            }
            self.writes.sample();
            self.builds.end_overtaken(self.clock.now());
            self.report_starts();
            if self.registry.is_loaded() {
                self.summary.tell(&self.projects, self.faults.len());
            }
        }
    }

    /// Ends what is being built.
    pub(crate) async fn close(&mut self) {
        self.builds.close().await;
    }

    /// Scans the folder until nothing changed between the look and the beginning of the watch.
    async fn look(&mut self, mut touched: Touched) -> anyhow::Result<()> {
        loop {
            let known = |(name, project): (&String, &Project)| {
                let found = &project.found;
                (name.clone(), (found.spec.directory.clone(), found.content.clone()))
            };
            let before: PreviousScan = self.projects.iter().map(known).collect();
            let (root, values) = (self.root.clone(), self.host.values.clone());
            let found = tokio::task::spawn_blocking(move || scan(&root, &before, &touched, &values))
                .await
                .context("reading the folder failed")?;
            let (new, faults) = self.watch.keep(&found.folders);
            for fault in &faults {
                if !self.unwatched.contains(fault) {
                    say(fault);
                }
            }
            self.unwatched = faults;
            self.take(found).await;
            if new.is_empty() {
                return Ok(());
            }
            touched = Touched::Paths(new);
        }
    }

    /// Takes what a scan found.
    async fn take(&mut self, found: Scan) {
        let now = self.clock.now();
        self.tell_faults(&found.faults);
        for line in found.passed_over.iter().filter(|line| !self.passed_over.contains(line)) {
            say(line);
        }
        self.passed_over = found.passed_over;
        let gone = |(name, project): (&String, &Project)| {
            let kept = found.functions.contains_key(name)
                || found.faults.iter().any(|fault| is_of(fault, &project.found.manifest));
            (!kept).then(|| name.clone())
        };
        for name in self.projects.iter().filter_map(gone).collect::<Vec<_>>() {
            self.remove(&name).await;
        }
        for (name, mut found) in found.functions {
            match self.projects.get_mut(&name) {
                Some(project) => {
                    let evidence = |path: &Path, before| self.writes.evidence(&name, path, before);
                    for file in project.take_out_own_writes(&mut found, evidence) {
                        say(&format!(
                            "{name} writes {} itself, so a change of it begins no build; name it in .gitignore, or have it written outside of the function's folder",
                            file.display()
                        ));
                    }
                    project.update(found, now);
                    let (content, program) = (&project.found.content, project.program());
                    self.builds.compare(&name, content, program.as_deref(), now);
                }
                None => {
                    self.projects.insert(name, Project::new(found, &self.cache));
                }
            }
        }
        let empty = self.projects.is_empty() && self.faults.is_empty();
        if empty && !self.told_empty {
            say(NO_MANIFEST);
        }
        self.told_empty = empty;
    }

    /// Tells what is wrong with manifests, each fault once until it is repaired.
    fn tell_faults(&mut self, faults: &[ManifestError]) {
        let texts: Vec<String> = faults.iter().map(ToString::to_string).collect();
        for (fault, text) in faults.iter().zip(&texts) {
            if self.faults.contains(text) {
                continue;
            }
            let served = self
                .projects
                .values()
                .any(|project| project.was_served() && is_of(fault, &project.found.manifest));
            let meanwhile =
                if served { "what it said before is served until then" } else { "it is not served" };
            say(&format!("{text}\n    it is read again when it is saved; {meanwhile}"));
        }
        self.faults = texts;
    }

    async fn remove(&mut self, name: &str) {
        self.builds.remove(name);
        self.registry.await_function(name, None).await;
        let was_served = self.projects.remove(name).is_some_and(|project| project.was_served());
        // Somebody may have deleted it over HTTP before; then there is nothing left to do.
        if was_served && self.registry.delete(name).await.is_ok() {
            say(&format!("{name}: its manifest is gone, and it is not served any more"));
        }
    }

    /// Begins what can be begun.
    async fn go_on(&mut self) {
        let needy = |(name, project): (&String, &Project)| {
            let need = if self.builds.builds(name) { Need::Nothing } else { project.need() };
            (need != Need::Nothing).then(|| (name.clone(), need))
        };
        let needs: Vec<(String, Need)> = self.projects.iter().filter_map(needy).collect();
        let mut to_build = Vec::new();
        for (name, need) in &needs {
            let Some(project) = self.projects.get_mut(name) else { continue };
            if let Err(error) = self.registry.check_supported(&project.found.spec) {
                refuse(project, &error);
                continue;
            }
            match need {
                Need::Build => to_build.push(name.clone()),
                Need::Serve => match self.registry.put(project.found.spec.clone()).await {
                    Ok(_) => project.is_served(),
                    Err(error) => refuse(project, &error),
                },
                Need::Nothing => {}
            }
        }
        self.begin_builds(&to_build);
        for (name, project) in &self.projects {
            self.registry.await_function(name, project.awaited(self.builds.builds(name))).await;
        }
        if needs.is_empty() && self.builds.is_idle() {
            self.registry.set_loaded();
        }
    }

    /// Builds these as far as there are places.
    fn begin_builds(&mut self, needy: &[String]) {
        let mut waiting = self.builds.want(needy);
        let now = self.clock.now();
        while let Some(name) = self.builds.next(now) {
            waiting.retain(|other| *other != name);
            let Some(project) = self.projects.get_mut(&name) else { continue };
            if let Err(error) = self.cache.forget(&project.found.manifest, &name) {
                tell_cache_error(&name, &error);
            }
            project.build_begins();
            let request = BuildRequest { name, directory: project.directory(), limit: self.build_limit };
            self.builds.begin(request, project.found.content.clone(), &self.host, now);
        }
        if !waiting.is_empty() {
            say(&format!("waiting until other builds end or have taken long: {}", waiting.join(", ")));
        }
    }

    /// A build was ended; where its function is still there, it begins anew.
    fn overtaken(&self, ended: &AbortedBuild) {
        let AbortedBuild { name, changed } = ended;
        if self.projects.contains_key(name) {
            let what = changed.as_ref().map_or("its manifest".into(), |file| file.to_string_lossy());
            say(&format!("{name}: {what} changed, so its build was ended and begins anew"));
        }
    }

    /// A build ended; what it was made of may have changed meanwhile.
    async fn built(&mut self, built: FinishedBuild) -> anyhow::Result<()> {
        let FinishedBuild { name, before, outcome, progress: (over, all) } = built;
        let progress = if all > 1 { format!(" ({over} of {all})") } else { String::new() };
        let Some(folder) = self.projects.get(&name).map(Project::directory) else { return Ok(()) };
        self.look(Touched::Paths([absolute(folder)].into())).await?;
        let Some(project) = self.projects.get_mut(&name) else { return Ok(()) };
        let changing = project.build_ended(&before, outcome.as_ref().err().map(BuildError::in_a_line));
        if let Some(file) = changing.first() {
            say(&format!(
                "{name}: its build seems to change its own sources, {} for one; name what it makes in .gitignore",
                file.display()
            ));
        }
        if project.need() != Need::Build {
            self.builds.settled(&name);
        }
        match &outcome {
            Ok(took) => say(&format!("built {name} in {:.1} s{progress}", took.as_secs_f64())),
            Err(failure) => tell_failure(&name, project, failure, &progress),
        }
        if let Some(digest) = project.digest_built()
            && let Err(error) = self.cache.write(&project.found.manifest, &name, digest)
        {
            tell_cache_error(&name, &error);
        }
        Ok(())
    }

    /// Tells of versions that have begun to serve, and of those that do not start.
    fn report_starts(&mut self) {
        let now = self.clock.now();
        for (name, project) in &mut self.projects {
            let Some((serves, problem)) =
                serving_state(&self.registry, name).filter(|_| project.was_served())
            else {
                continue;
            };
            let looked_for = !project.announced || project.troubled;
            let missing = || if looked_for { project.missing_program() } else { None };
            if let Some(problem) = problem.or_else(missing) {
                if !project.troubled {
                    let meanwhile =
                        if serves { "" } else { "\n    the version before is served until it starts" };
                    say(&format!("{name}: {problem}{meanwhile}"));
                    (project.troubled, project.changed_at) = (true, None);
                }
            } else if serves && (!project.announced || project.troubled) {
                (project.announced, project.troubled) = (true, false);
                let since = project.changed_at.take().map(|changed| (now - changed) / NANOS_PER_MS);
                announce(&self.base, project, since);
            } else if project.announced && project.need() == Need::Nothing {
                project.changed_at = None;
            }
        }
    }
}

/// Whether the version that was put last is the one that serves, and what is wrong with it.
fn serving_state(registry: &Registry, name: &str) -> Option<(bool, Option<String>)> {
    let functions = registry.functions();
    let registered = functions.get(name)?;
    let wanted = &registered.wanted;
    let serves = registered.serving == Some(wanted.index);
    let problem = wanted.problem.load().as_ref().map(|problem| problem.to_string());
    if problem.is_none() && !registry.can_serve(wanted) {
        return None;
    }
    Some((serves, problem))
}

/// Tells that a version serves: how to call it, unless the same was told before.
fn announce(base: &str, project: &mut Project, since_ms: Option<u64>) {
    let spec = &project.found.spec;
    let name = &spec.name;
    let (lines, complaint) = match example_call::lines(base, spec) {
        Ok(lines) => (lines, None),
        Err(complaint) => (example_call::with_input(base, name.as_str(), "{}"), Some(complaint)),
    };
    let [invoke, enqueue] = lines;
    let how = match spec.web {
        Some(_) => {
            format!("  # it answers HTTP itself, at every path below this one\n  curl -s {base}/fn/{name}/\n")
        }
        None => format!(
            "  # call it and wait for its answer\n  {invoke}\n  # enqueue it, then read the result\n  {enqueue}\n"
        ),
    };
    let manifest = project.found.manifest.display();
    let shown = format!("{name} is ready ({}, {manifest})\n{how}", spec.execution_mode);
    if shown == project.shown {
        let since = since_ms.map_or_else(String::new, |ms| {
            format!(", {}.{:03} s after the change was seen", ms / 1000, ms % 1000)
        });
        say(&format!("{name}: the new version is served{since}"));
        return;
    }
    say(&format!("\n{shown}"));
    if let Some(complaint) = complaint {
        say(&format!("{name}: {complaint}"));
    }
    project.shown = shown;
}

/// Tells of a build that failed, and what is served meanwhile.
fn tell_failure(name: &str, project: &mut Project, failure: &BuildError, progress: &str) {
    project.changed_at = None;
    let BuildError { command, how, output } = failure;
    let meanwhile =
        if project.was_served() { "the version before is served until then" } else { "it is not served" };
    say(&format!(
        "{name}: its build failed: {command}: {how}{progress}\n{}\n{name}: it is built again when a file of it changes; {meanwhile}",
        set_in(output)
    ));
}

fn refuse(project: &mut Project, error: &ApiError) {
    let details: Vec<String> = error.details.iter().map(|fault| format!("\n    {fault}")).collect();
    let meanwhile = if project.was_served() { "\n    the version before is served until then" } else { "" };
    say(&format!(
        "{}: {}: {}{}{meanwhile}",
        project.found.manifest.display(),
        project.found.spec.name,
        error.message,
        details.concat()
    ));
    project.is_refused();
}

fn tell_cache_error(name: &str, error: &std::io::Error) {
    say(&format!(
        "{name}: it cannot be remembered what was built, so the next start may build it again: {error}"
    ));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::read_manifests;

    #[test]
    fn the_manifest_that_a_newcomer_is_shown_is_a_good_one() {
        let example: String = NO_MANIFEST
            .lines()
            .filter_map(|line| line.strip_prefix("    "))
            .map(|line| format!("{line}\n"))
            .collect();
        let functions = read_manifests(Path::new("function.yaml"), &example).unwrap();
        assert_eq!(functions.len(), 1);
        assert_eq!(functions[0].local.as_ref().unwrap().command, ["./target/release/hello"]);
    }
}
