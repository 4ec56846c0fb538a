//! Programs that build images: docker, podman, buildah.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use tempfile::TempDir;

use crate::child_command::ChildCommand;
use crate::client_error::ClientError;
use crate::image_reference::{ImageName, Registry};
use crate::manifest::ManifestFunction;
use crate::output;

/// Names of the file that says how an image is built.
const DOCKERFILES: [&str; 2] = ["Dockerfile", "Containerfile"];

/// A program that builds images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ImageBuilder {
    /// docker
    Docker,
    /// podman
    Podman,
    /// buildah
    Buildah,
}

/// Flags of an image that is built.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Image")]
pub(crate) struct ImageArgs {
    /// Registry of the image, HOST or HOST/PATH
    #[arg(long, value_name = "HOST/PATH")]
    pub registry: Option<Registry>,
    /// Program that builds it; else the first of docker, podman and buildah that is there and works
    #[arg(long, value_enum, value_name = "PROGRAM")]
    pub builder: Option<ImageBuilder>,
    /// Value of an ARG of the Dockerfile; may be repeated
    #[arg(long = "build-arg", value_name = "NAME=VALUE")]
    pub arguments: Vec<String>,
    /// Further arguments of the program that builds it
    #[arg(last = true, value_name = "ARGUMENT")]
    pub further: Vec<String>,
}

impl ImageArgs {
    /// Whether the arguments after `--` say where docker is to leave the image.
    fn say_where_it_goes(&self) -> bool {
        let flags = ["--load", "--push", "--output", "-o"];
        self.further.iter().any(|argument| {
            flags.iter().any(|flag| {
                argument.strip_prefix(flag).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
            })
        })
    }

    /// The first flag that was given.
    pub(crate) fn given(&self) -> Option<&'static str> {
        let flags = [
            (self.registry.is_some(), "--registry"),
            (self.builder.is_some(), "--builder"),
            (!self.arguments.is_empty(), "--build-arg"),
            (!self.further.is_empty(), "an argument after --"),
        ];
        flags.into_iter().find(|(is_given, _)| *is_given).map(|(_, flag)| flag)
    }
}

/// The file that says how the image of a function is built, in the folder of its manifest.
pub(crate) fn dockerfile(function: &ManifestFunction) -> Option<PathBuf> {
    DOCKERFILES.iter().map(|name| function.folder.join(name)).find(|path| path.is_file())
}

impl ImageBuilder {
    /// The one that is asked for, or else the first that is there and works.
    ///
    /// # Errors
    /// None does, with the reason of each.
    pub(crate) async fn find(wanted: Option<Self>) -> Result<Self, ClientError> {
        let candidates = wanted.as_ref().map_or(Self::value_variants(), std::slice::from_ref);
        let mut reasons = Vec::new();
        for candidate in candidates {
            match candidate.check().await {
                Ok(()) => return Ok(*candidate),
                Err(reason) => reasons.push(format!("\n  {}: {reason}", candidate.program())),
            }
        }
        let remedy = match wanted {
            Some(_) => "repair it, or leave --builder out to take another",
            None => "install one of them, or start docker",
        };
        let message = format!("no program builds images here; {remedy}{}", reasons.concat());
        Err(ClientError::Missing(message))
    }

    fn program(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Buildah => "buildah",
        }
    }

    /// Asks for more than its own version: a docker without its daemon builds nothing.
    async fn check(self) -> Result<(), String> {
        let question = match self {
            Self::Docker => "version",
            Self::Podman | Self::Buildah => "info",
        };
        let what = format!("asking {}", self.program());
        match self.command().arg(question).run(&what).await {
            Ok(_) => Ok(()),
            Err(ClientError::Program { how, output, .. }) => {
                let last = output.lines().next_back().unwrap_or(&how).trim();
                Err(if output.is_empty() { how } else { last.to_owned() })
            }
            Err(other) => Err(other.to_string()),
        }
    }

    /// Whether docker builds with a builder of buildx that leaves no image behind unless it is told to (`--load`), as
    /// one in a container does. A docker without buildx does not know the flag.
    async fn docker_keeps_no_image() -> bool {
        if std::env::var_os("DOCKER_BUILDKIT").is_some_and(|value| value == "0") {
            return false;
        }
        let builder = Self::Docker.command().args(["buildx", "inspect"]).run("asking docker").await;
        let driver = builder.ok().and_then(|said| {
            said.lines().find_map(|line| line.strip_prefix("Driver:").map(|driver| driver.trim().to_owned()))
        });
        driver.is_some_and(|driver| driver != "docker")
    }

    fn command(self) -> ChildCommand {
        ChildCommand::new(self.program())
    }

    /// Builds the image of a function, with what the program writes shown as it comes or not, and tags it by its
    /// content.
    ///
    /// # Errors
    /// The build fails, which is the function's failure.
    pub(crate) async fn build(
        self,
        function: &ManifestFunction,
        dockerfile: &Path,
        flags: &ImageArgs,
        is_shown: bool,
    ) -> Result<ImageName, ClientError> {
        let folder = scratch_folder()?;
        let id_file = folder.path().join("id");
        let mut command = self.command().arg("build");
        if self == Self::Buildah {
            // As the others do it, so that what is unchanged is the same image again.
            command = command.arg("--layers");
        }
        command = command.arg("--iidfile").arg(&id_file).arg("--file").arg(dockerfile);
        for argument in &flags.arguments {
            command = command.arg("--build-arg").arg(argument);
        }
        if self == Self::Docker && !flags.say_where_it_goes() && Self::docker_keeps_no_image().await {
            command = command.arg("--load");
        }
        command = command.args(&flags.further).arg(&function.folder).of_function().shown_if(is_shown);
        let what = format!("building the image of {}", function.name);
        output::say(&format!("{what}: {} build {}", self.program(), function.folder.display()));
        command.run(&what).await?;
        let id = std::fs::read_to_string(&id_file).map_err(|source| ClientError::File {
            path: id_file,
            verb: "read",
            source,
        })?;
        let id = id.trim().trim_start_matches("sha256:");
        let image = flags.registry.clone().unwrap_or_default().image(&function.name, id);
        self.command().args(["tag", id, &image.to_string()]).run(&what).await?;
        Ok(image)
    }

    /// Pushes an image to its registry, and answers the digest that it has there.
    ///
    /// # Errors
    /// The registry does not take it.
    #[cfg(feature = "cluster")]
    pub(crate) async fn push(self, image: &ImageName, registry: &Registry) -> Result<String, ClientError> {
        let name = image.to_string();
        let what = format!("pushing {name}");
        output::say(&what);
        let said = match self {
            Self::Docker => {
                self.command().args(["push", &name]).run(&what).await?;
                let format = "{{range .RepoDigests}}{{println .}}{{end}}";
                let digests = self.command().args(["image", "inspect", "--format", format, &name]);
                let digests = digests.run(&what).await?;
                registry.digest_of(image, &digests).unwrap_or_default().to_owned()
            }
            Self::Podman | Self::Buildah => {
                let folder = scratch_folder()?;
                let file = folder.path().join("digest");
                let mut command = self.command().arg("push");
                if registry.is_on_this_machine() {
                    // Docker does so by itself.
                    command = command.arg("--tls-verify=false");
                }
                command.arg("--digestfile").arg(&file).arg(&name).run(&what).await?;
                std::fs::read_to_string(&file).map_err(|source| ClientError::File {
                    path: file,
                    verb: "read",
                    source,
                })?
            }
        };
        let digest = crate::image_reference::digest_in(&said).ok_or_else(|| {
            ClientError::Missing(format!("{} did not say which digest {name} has there", self.program()))
        })?;
        Ok(digest.to_owned())
    }

    /// Writes an image to a file that containerd imports.
    ///
    /// # Errors
    /// It cannot be written.
    #[cfg(feature = "cluster")]
    pub(crate) async fn save(self, image: &ImageName, path: &Path) -> Result<(), ClientError> {
        let name = image.to_string();
        let command = match self {
            Self::Docker => self.command().args(["save", "--output"]).arg(path).arg(&name),
            Self::Podman => {
                self.command().args(["save", "--format", "docker-archive", "--output"]).arg(path).arg(&name)
            }
            Self::Buildah => {
                let target = format!("docker-archive:{}:{name}", path.display());
                self.command().args(["push", "--quiet", &name, &target])
            }
        };
        command.run(&format!("writing {name}")).await.map(drop)
    }
}

impl fmt::Display for ImageBuilder {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.program())
    }
}

/// A folder for files between programs, which goes with the value.
pub(crate) fn scratch_folder() -> Result<TempDir, ClientError> {
    tempfile::Builder::new().prefix("picofaas-").tempdir().map_err(|source| ClientError::File {
        path: std::env::temp_dir(),
        verb: "written",
        source,
    })
}
