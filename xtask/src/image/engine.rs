//! Engines that build images: buildah with a storage of its own under the target folder, else docker or podman.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::repository::Repository;
use crate::toolbox::{self, BUILDAH, Unavailable};

/// How long a registry may take to give a base image.
const PULL_PATIENCE_S: &str = "600";

/// Everything is taken, as docker does it. Buildah refuses to work without a policy.
const POLICY: &str = "{\"default\":[{\"type\":\"insecureAcceptAnything\"}]}\n";

/// Short names mean what they mean to docker.
const REGISTRIES: &str = "unqualified-search-registries = [\"docker.io\"]\n";

/// A program that builds images.
pub(crate) enum Engine {
    /// Needs no daemon. All of its images are in this folder; elsewhere it keeps only which registry had
    /// which layer (`/var/lib/containers/cache`).
    Buildah { folder: PathBuf },
    /// Docker or podman, whose command lines agree in what is needed here. Images go where its user's are.
    Daemon { program: &'static str },
}

/// How an image is built.
pub(crate) struct Recipe<'r> {
    pub dockerfile: &'r Path,
    /// Folder that `COPY` copies from.
    pub context: &'r Path,
    /// Folder that `COPY --from=binaries` copies from.
    pub binaries: &'r Path,
    pub arguments: &'r [(&'r str, &'r str)],
    /// Name of the image, with its tag.
    pub reference: &'r str,
}

impl Engine {
    /// Finds an engine that is there, or else installs buildah from Debian's archive.
    pub(crate) fn find(repository: &Repository) -> Result<Result<Self, Unavailable>> {
        if !toolbox::is_on_path(BUILDAH.name) {
            // A client alone is no engine: this asks the server.
            if toolbox::runs(Command::new("docker").args(["buildx", "ls"]))
                && toolbox::runs(Command::new("docker").arg("info"))
            {
                return Ok(Ok(Self::Daemon { program: "docker" }));
            }
            if toolbox::is_on_path("podman") {
                return Ok(Ok(Self::Daemon { program: "podman" }));
            }
            if let Err(Unavailable(why)) = toolbox::debian_programs(&[BUILDAH]) {
                return Ok(Err(Unavailable(format!(
                    "there is neither buildah nor docker nor podman to build images with: {why}"
                ))));
            }
        }
        let folder = super::folder(repository).join("storage");
        for part in ["images", "run", "tmp"] {
            let path = folder.join(part);
            fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        }
        let storage = format!(
            "[storage]\ndriver = \"vfs\"\ngraphroot = {:?}\nrunroot = {:?}\n",
            folder.join("images"),
            folder.join("run")
        );
        for (name, text) in
            [("policy.json", POLICY), ("registries.conf", REGISTRIES), ("storage.conf", &storage)]
        {
            let path = folder.join(name);
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(Ok(Self::Buildah { folder }))
    }

    /// Builds an image.
    pub(crate) fn build(&self, recipe: &Recipe<'_>) -> Result<()> {
        let mut command = match self {
            Self::Buildah { .. } => {
                let mut command = self.signed("build");
                command.args(["--pull-never", "--quiet"]);
                command
            }
            Self::Daemon { .. } => {
                let mut command = self.command("build");
                command.arg("--quiet");
                command
            }
        };
        command.arg("--build-context").arg(with("binaries=", recipe.binaries));
        for (name, value) in recipe.arguments {
            command.arg("--build-arg").arg(format!("{name}={value}"));
        }
        command.arg("--tag").arg(recipe.reference).arg("--file").arg(recipe.dockerfile).arg(recipe.context);
        passes(&mut command)
    }

    /// Whether it has an image of this name.
    pub(crate) fn has(&self, reference: &str) -> bool {
        self.id(reference).is_ok()
    }

    /// Id that tells this image from any other that may have its name.
    pub(crate) fn id(&self, reference: &str) -> Result<String> {
        match self {
            Self::Buildah { .. } => self.inspect(reference, "{{.FromImageID}}"),
            Self::Daemon { .. } => self.inspect(reference, "{{.Id}}"),
        }
    }

    /// The value of one of an image's labels; empty where it has none of that name.
    pub(crate) fn label(&self, reference: &str, label: &str) -> Result<String> {
        match self {
            Self::Buildah { .. } => {
                self.inspect(reference, &format!("{{{{index .OCIv1.Config.Labels {label:?}}}}}"))
            }
            Self::Daemon { .. } => {
                self.inspect(reference, &format!("{{{{index .Config.Labels {label:?}}}}}"))
            }
        }
    }

    fn inspect(&self, reference: &str, format: &str) -> Result<String> {
        let mut command = match self {
            Self::Buildah { .. } => {
                let mut command = self.command("inspect");
                command.args(["--type", "image"]);
                command
            }
            Self::Daemon { .. } => {
                let mut command = self.command("image");
                command.arg("inspect");
                command
            }
        };
        let output = command
            .args(["--format", format, reference])
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("cannot run {}", self.program()))?;
        if !output.status.success() {
            bail!("{reference}: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Fetches an image from its registry. The error is what the engine says.
    pub(crate) fn pull(&self, reference: &str) -> Result<()> {
        let inner = match self {
            Self::Buildah { .. } => self.signed("pull"),
            Self::Daemon { .. } => self.command("pull"),
        };
        // A registry that is silently out of reach would keep us for ever.
        let mut command = Command::new("timeout");
        command.arg(PULL_PATIENCE_S).arg(inner.get_program()).args(inner.get_args());
        for (name, value) in inner.get_envs() {
            if let Some(value) = value {
                command.env(name, value);
            }
        }
        let output = command.arg(reference).stdin(Stdio::null()).output().context("cannot run timeout")?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        bail!("{}", said.lines().next_back().unwrap_or("no answer in time"))
    }

    /// Writes an image to a file that `ctr images import`, `docker load` and `podman load` take.
    pub(crate) fn save(&self, reference: &str, path: &Path) -> Result<()> {
        // Neither program writes over an archive.
        match fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}", path.display()));
            }
            _ => {}
        }
        let mut command = match self {
            Self::Buildah { .. } => {
                let mut command = self.signed("push");
                let target = with("docker-archive:", path);
                command.args(["--quiet", reference]).arg(with(&target, Path::new(&format!(":{reference}"))));
                command
            }
            Self::Daemon { .. } => {
                let mut command = self.command("save");
                command.arg("--output").arg(path).arg(reference);
                command
            }
        };
        passes(&mut command)
    }

    /// Pushes an image to a registry under another name.
    pub(crate) fn push(&self, reference: &str, target: &str) -> Result<()> {
        match self {
            Self::Buildah { .. } => {
                let mut command = self.signed("push");
                if is_on_this_machine(target) {
                    command.arg("--tls-verify=false");
                }
                passes(command.args(["--quiet", reference, &format!("docker://{target}")]))
            }
            Self::Daemon { .. } => {
                passes(self.command("tag").args([reference, target]))?;
                passes(self.command("push").arg(target))
            }
        }
    }

    fn program(&self) -> &'static str {
        match self {
            Self::Buildah { .. } => BUILDAH.name,
            Self::Daemon { program } => program,
        }
    }

    fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(self.program());
        if let Self::Buildah { folder } = self {
            self.of(&mut command).env("TMPDIR", folder.join("tmp"));
        }
        command.arg(verb);
        command
    }

    /// The command with the environment by which a program of this name, which it may start, has the same images.
    pub(crate) fn of<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        if let Self::Buildah { folder } = self {
            command.env("CONTAINERS_STORAGE_CONF", folder.join("storage.conf"));
            command.env("CONTAINERS_REGISTRIES_CONF", folder.join("registries.conf"));
            // Neither namespaces nor a runtime are needed, so that it works in a container, too.
            command.env("BUILDAH_ISOLATION", "chroot");
        }
        command
    }

    /// A command of buildah that reads a policy, which may be ours.
    fn signed(&self, verb: &str) -> Command {
        let mut command = self.command(verb);
        if let Self::Buildah { folder } = self {
            command.arg("--signature-policy").arg(folder.join("policy.json"));
        }
        command
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.program())
    }
}

/// Docker, too, speaks to a registry on the same machine without TLS.
fn is_on_this_machine(target: &str) -> bool {
    let host = target.split(['/', ':']).next().unwrap_or_default();
    host == "localhost" || host.starts_with("127.")
}

fn with(prefix: impl AsRef<std::ffi::OsStr>, path: &Path) -> std::ffi::OsString {
    let mut text = prefix.as_ref().to_owned();
    text.push(path);
    text
}

/// Runs a command that says nothing where it succeeds.
fn passes(command: &mut Command) -> Result<()> {
    let shown = format!("{} {}", command.get_program().to_string_lossy(), first_argument(command));
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {shown}"))?;
    if !output.status.success() {
        bail!(
            "{shown} ended with {}:\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}

fn first_argument(command: &Command) -> String {
    command.get_args().next().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_registry_on_this_machine_is_spoken_to_without_tls() {
        for target in ["127.0.0.1:5000/picofaas/x:1", "localhost/picofaas/x:1", "localhost:5000/x"] {
            assert!(is_on_this_machine(target), "{target}");
        }
        for target in ["registry.example/localhost:1", "localhost.example/x", "10.0.0.1:5000/x"] {
            assert!(!is_on_this_machine(target), "{target}");
        }
    }
}
