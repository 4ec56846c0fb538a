//! `build`: functions of a folder are built, as programs of this machine or as images.

use std::path::PathBuf;

use clap::Args;

use crate::apply::Outcomes;
use crate::client_error::ClientError;
use crate::image_builder::{self, ImageArgs, ImageBuilder};
use crate::{output, project_function};

/// Flags of `build`.
#[derive(Args, Clone, Debug)]
#[command(mut_group("ImageArgs", |group| group.requires("image")))]
pub struct BuildArgs {
    /// Folder with manifests of functions, also in the folders below it, or one manifest
    #[arg(default_value = ".", value_name = "DIR", value_hint = clap::ValueHint::AnyPath)]
    dir: PathBuf,
    /// Build the image by the Dockerfile, and not what `local.build` builds
    #[arg(long)]
    image: bool,
    /// Show what the programs that build write, as it comes
    #[arg(long)]
    verbose: bool,
    #[command(flatten)]
    image_args: ImageArgs,
}

/// Builds each function in turn. One that fails does not keep the others.
pub(crate) async fn run(arguments: &BuildArgs, program: &str) -> Result<(), ClientError> {
    let functions = project_function::read(&arguments.dir)?;
    let builder = match arguments.image {
        true => Some(ImageBuilder::find(arguments.image_args.builder).await?),
        false => None,
    };
    let mut outcomes = Outcomes::default();
    for function in &functions {
        let built = async {
            let Some(builder) = builder else {
                let said =
                    if function.build(arguments.verbose).await? { "built" } else { "has nothing to build" };
                return Ok(format!("function/{} {said}", function.name));
            };
            let dockerfile = image_builder::dockerfile(function).ok_or_else(no_dockerfile)?;
            let flags = &arguments.image_args;
            let image = builder.build(function, &dockerfile, flags, arguments.verbose).await?;
            Ok(image.to_string())
        };
        let what = || format!("{}: {}", function.file, function.name);
        if let Some(line) = outcomes.take(built.await, what, program)? {
            output::write(line + "\n")?;
        }
    }
    outcomes.end()
}

fn no_dockerfile() -> ClientError {
    let message = "there is no Dockerfile beside its manifest, so there is no image to build; `picofaas new` writes one";
    ClientError::UnfitFunction(message.to_owned())
}
