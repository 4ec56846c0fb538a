//! The images of others that ours begin with, and their stand-ins where none can be pulled.
//!
//! A stand-in is made of Debian's packages and has the name of what it stands for, so that the Dockerfiles
//! are the same. It says in a label that it is one, and each use of it is told.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::engine::{Engine, Recipe};
use crate::toolbox::{self, MMDEBSTRAP, Unavailable};

/// Label of a stand-in that tells its ingredients.
const STAND_IN: &str = "dev.picofaas.stand-in";

/// The Debian that stand-ins are of.
const SUITE: &str = "bookworm";

/// An image that somebody else publishes.
pub(super) struct Base {
    /// As it stands in Dockerfiles.
    pub reference: &'static str,
    /// Packages of a stand-in beside the few of every Debian.
    packages: &'static [&'static str],
    /// Commands on its root file system, `$1`, at the end.
    hook: Option<&'static str>,
}

pub(super) const DEBIAN: Base =
    Base { reference: "docker.io/library/debian:bookworm-slim", packages: &[], hook: None };

pub(super) const PYTHON: Base = Base {
    reference: "docker.io/library/python:3.12-slim-bookworm",
    packages: &["python3", "python3-pip"],
    // Debian's pip leaves the system's packages alone; that of the image which is stood in for does not.
    hook: Some("rm -f \"$1\"/usr/lib/python3*/EXTERNALLY-MANAGED"),
};

pub(super) const JAVA: Base = Base {
    reference: "docker.io/library/eclipse-temurin:17-jre",
    packages: &["openjdk-17-jre-headless"],
    hook: None,
};

/// The bases that were looked for.
pub(super) struct Bases {
    folder: PathBuf,
    /// Their ids, by reference.
    found: BTreeMap<&'static str, String>,
}

impl Bases {
    /// `folder` is where stand-ins are put together.
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.join("stand-ins"), found: BTreeMap::new() }
    }

    /// Makes sure that the engine has a base, and gives its id.
    pub(super) fn get(&mut self, engine: &Engine, base: &Base) -> Result<String> {
        if let Some(id) = self.found.get(base.reference) {
            return Ok(id.clone());
        }
        if !engine.has(base.reference)
            && let Err(error) = engine.pull(base.reference)
        {
            println!("{} cannot be pulled: {error:#}", base.reference);
            self.make_stand_in(engine, base)?;
        }
        let packages = engine.label(base.reference, STAND_IN)?;
        if !packages.is_empty() && packages != "<no value>" {
            println!("{}: a stand-in from Debian's packages ({packages})", base.reference);
        }
        let id = engine.id(base.reference)?;
        self.found.insert(base.reference, id.clone());
        Ok(id)
    }

    fn make_stand_in(&self, engine: &Engine, base: &Base) -> Result<()> {
        if let Err(Unavailable(why)) = toolbox::debian_programs(&[MMDEBSTRAP]) {
            bail!("{} is neither here nor can it be pulled or stood in for: {why}", base.reference);
        }
        println!("making a stand-in for {} (once, up to a minute)", base.reference);
        fs::create_dir_all(&self.folder)
            .with_context(|| format!("cannot create {}", self.folder.display()))?;
        let root = self.folder.join("root.tar");
        let mut bootstrap = Command::new("mmdebstrap");
        bootstrap.args(["--quiet", "--variant=minbase"]);
        // The published images leave these out as well.
        for path in ["/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*"] {
            bootstrap.arg(format!("--dpkgopt=path-exclude={path}"));
        }
        // Packages that name their pages as alternatives fail without the folder of them.
        bootstrap.arg("--essential-hook=mkdir --parents \"$1\"/usr/share/man/man1");
        if !base.packages.is_empty() {
            bootstrap.arg(format!("--include={}", base.packages.join(",")));
        }
        if let Some(hook) = base.hook {
            bootstrap.arg(format!("--customize-hook={hook}"));
        }
        let status =
            bootstrap.arg(SUITE).arg(&root).stdin(Stdio::null()).status().context("cannot run mmdebstrap")?;
        if !status.success() {
            bail!("mmdebstrap ended with {status}: no stand-in for {}", base.reference);
        }
        let dockerfile = self.folder.join("Dockerfile");
        fs::write(&dockerfile, stand_in_dockerfile(base))
            .with_context(|| format!("cannot write {}", dockerfile.display()))?;
        engine.build(&Recipe {
            dockerfile: &dockerfile,
            context: &self.folder,
            binaries: &self.folder,
            arguments: &[],
            reference: base.reference,
        })?;
        fs::remove_dir_all(&self.folder).with_context(|| format!("cannot remove {}", self.folder.display()))
    }
}

fn stand_in_dockerfile(base: &Base) -> String {
    let mut packages = vec![SUITE];
    packages.extend(base.packages);
    format!(
        "FROM scratch\nADD root.tar /\nLABEL {STAND_IN}={:?}\nENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nCMD [\"/bin/bash\"]\n",
        packages.join(" ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stand_in_says_what_it_is_made_of() {
        let text = stand_in_dockerfile(&PYTHON);
        assert!(text.contains("LABEL dev.picofaas.stand-in=\"bookworm python3 python3-pip\"\n"), "{text}");
    }
}
