//! A folder of manifests that `serve --watch` follows: functions are registered, replaced and deleted as their
//! manifests are. Nothing is built.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::Context;

use super::scan::{absolute, is_of};
use super::watch::Watch;
use crate::error::ApiError;
use crate::instances::local::process::resolve;
use crate::registry::Registry;
use crate::spec::{FunctionSpec, Loaded, ManifestError, load_dir};

/// A folder of manifests, or one manifest.
pub(crate) struct FollowedFolder {
    root: PathBuf,
    registry: Rc<Registry>,
    watch: Watch,
    /// Functions of the folder as they were registered, each with its manifest.
    registered: BTreeMap<String, (PathBuf, FunctionSpec)>,
    /// Faults as they were told, each once until it is repaired.
    told: BTreeSet<String>,
}

impl FollowedFolder {
    /// Registers every function of the folder. A manifest that is wrong is told, and keeps no other.
    ///
    /// # Errors
    /// The folder is not there, or changes cannot be watched.
    pub(crate) async fn open(root: PathBuf, registry: Rc<Registry>) -> anyhow::Result<Self> {
        std::fs::metadata(&root)
            .with_context(|| format!("--functions {}: cannot be read", root.display()))?;
        // By itself, so that it is seen when it is moved away or put there again.
        let itself = BTreeSet::from([absolute(&root)]);
        let watch = Watch::start(itself).context("--watch: file changes cannot be watched")?;
        let mut folder = Self { root, registry, watch, registered: BTreeMap::new(), told: BTreeSet::new() };
        folder.look().await?;
        Ok(folder)
    }

    /// Follows for ever.
    ///
    /// # Errors
    /// Where reading the folder panicked.
    pub(crate) async fn run(&mut self) -> anyhow::Result<Infallible> {
        loop {
            self.watch.next().await;
            self.look().await?;
        }
    }

    /// Reads the folder until nothing changed between the look and the beginning of the watch.
    async fn look(&mut self) -> anyhow::Result<()> {
        loop {
            let root = self.root.clone();
            let found = tokio::task::spawn_blocking(move || load_dir(&root))
                .await
                .context("reading the folder of --functions failed")?;
            let (new, unwatched) = self.watch.keep(&found.folders.iter().map(absolute).collect());
            self.take(found, unwatched).await;
            if new.is_empty() {
                return Ok(());
            }
        }
    }

    /// Does what the manifests say, and tells the faults that are new.
    async fn take(&mut self, found: Loaded, mut faults: Vec<String>) {
        faults.extend(found.nothing_in(&self.root));
        faults.extend(found.passed_over);
        faults.extend(found.errors.iter().map(|fault| self.told_with_effect(fault)));
        let stays = |name: &String, manifest: &Path| {
            found.functions.iter().any(|(_, spec)| spec.name.as_str() == name)
                || found.errors.iter().any(|fault| is_of(fault, manifest))
        };
        let gone = self.registered.iter().filter(|(name, (manifest, _))| !stays(name, manifest));
        for name in gone.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
            self.registered.remove(&name);
            // Somebody may have deleted it over HTTP before; then there is nothing left to do.
            if self.registry.delete(&name).await.is_ok() {
                tracing::info!("{name}: its manifest is gone, and it is not served any more");
            }
        }
        for (manifest, spec) in found.functions {
            faults.extend(self.register(manifest, spec).await);
        }
        for fault in faults.iter().filter(|fault| !self.told.contains(*fault)) {
            tracing::warn!("--functions {fault}");
        }
        self.told = faults.into_iter().collect();
    }

    /// Registers a function that is another than before; answers why that was refused.
    async fn register(&mut self, manifest: PathBuf, spec: FunctionSpec) -> Option<String> {
        let name = spec.name.to_string();
        if let Some((file, before)) = self.registered.get_mut(&name)
            && *before == spec
        {
            *file = manifest;
            return None;
        }
        match self.registry.put(spec.clone()).await {
            Ok(is_new) => {
                if let Some(line) = not_built(&manifest, &spec) {
                    tracing::warn!("{line}");
                }
                let done = if is_new { "registered" } else { "replaced" };
                tracing::info!("{name}: {done}, as {} says", manifest.display());
                self.registered.insert(name, (manifest, spec));
                None
            }
            Err(error) => Some(format!(
                "{}: function {name}: {}{}",
                manifest.display(),
                in_a_line(&error),
                self.effect_on(self.registered.contains_key(&name))
            )),
        }
    }

    fn told_with_effect(&self, fault: &ManifestError) -> String {
        let serves = self.registered.values().any(|(manifest, _)| is_of(fault, manifest));
        format!("{fault}{}", self.effect_on(serves))
    }

    fn effect_on(&self, is_served: bool) -> &'static str {
        if is_served { "; what it said before is served until it is repaired" } else { "; it is not served" }
    }
}

/// A line that says that a function was not built, where the program that its build makes is not there. A program
/// that is looked up in `PATH` is made by no build.
pub(crate) fn not_built(manifest: &Path, spec: &FunctionSpec) -> Option<String> {
    let local = spec.local.as_ref().filter(|local| !local.build.is_empty())?;
    let program = local.command.first().filter(|program| program.contains('/'))?;
    let folder = spec.directory.as_deref().unwrap_or(Path::new("."));
    if resolve(program, folder).exists() {
        return None;
    }
    let of_manifest = manifest.parent().filter(|parent| !parent.as_os_str().is_empty());
    let of_manifest = of_manifest.unwrap_or(Path::new("."));
    Some(format!(
        "{}: was not built: {program} is not there; `picofaas build {}` makes it",
        spec.name,
        of_manifest.display()
    ))
}

/// A refusal with all of its faults.
pub(crate) fn in_a_line(error: &ApiError) -> String {
    let details = error.details.iter().map(|fault| format!("{}: {}", fault.field, fault.message));
    format!("{} {}", error.message, details.collect::<Vec<_>>().join("; ")).trim_end().to_owned()
}
