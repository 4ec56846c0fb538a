//! The image of the process that holds a pod's namespaces: one static program, packed by tar.

use std::env::consts::ARCH;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, anyhow, bail};

use super::layout::PAUSE_IMAGE;
use crate::digest::sha256;
use crate::toolbox::{self, Unavailable};

pub(super) const SOURCE: &str = include_str!("../../cluster/pause.rs");

/// Compiles it and packs it as `image`, in the form that `docker save` writes.
pub(super) fn make_image(folder: &Path, image: &Path) -> Result<()> {
    let work = folder.join("pause");
    fs::create_dir_all(&work).with_context(|| format!("cannot create {}", work.display()))?;
    compile(&work)?;
    tar(&work, "layer.tar", &["pause"])?;
    let digest = sha256(&work.join("layer.tar"))?;
    let configuration = serde_json::json!({
        "architecture": if ARCH == "x86_64" { "amd64" } else { "arm64" },
        "os": "linux",
        "config": { "Entrypoint": ["/pause"], "User": "65535:65535" },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{digest}")] },
    });
    let manifest = serde_json::json!([
        { "Config": "config.json", "RepoTags": [PAUSE_IMAGE], "Layers": ["layer.tar"] }
    ]);
    fs::write(work.join("config.json"), configuration.to_string()).context("cannot write config.json")?;
    fs::write(work.join("manifest.json"), manifest.to_string()).context("cannot write manifest.json")?;
    tar(&work, "image.tar", &["manifest.json", "config.json", "layer.tar"])?;
    fs::rename(work.join("image.tar"), image).with_context(|| format!("cannot write {}", image.display()))?;
    fs::remove_dir_all(&work).with_context(|| format!("cannot remove {}", work.display()))
}

fn compile(work: &Path) -> Result<()> {
    let target = format!("{ARCH}-unknown-linux-musl");
    toolbox::rustup_target(&target).map_err(|Unavailable(why)| anyhow!(why))?;
    fs::write(work.join("pause.rs"), SOURCE).context("cannot write pause.rs")?;
    let mut rustc = Command::new("rustc");
    rustc.args(["--edition", "2024", "--target", &target, "-C", "opt-level=s", "-C", "panic=abort"]);
    rustc.args(["-C", "strip=symbols", "-o", "pause", "pause.rs"]).current_dir(work);
    run(&mut rustc)
}

fn tar(work: &Path, archive: &str, files: &[&str]) -> Result<()> {
    let mut tar = Command::new("tar");
    tar.args(["--create", "--format=ustar", "--owner=0", "--group=0", "--mtime=@0", "--file", archive]);
    run(tar.args(files).current_dir(work))
}

fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| format!("cannot run {program}"))?;
    if status.success() { Ok(()) } else { bail!("{program} ended with {status}") }
}
