//! `cargo xtask test --only manifests`: what is in `k8s/`, without a cluster.
//!
//! | part | what it is |
//! |---|---|
//! | `api` | every object read strictly, the definition of the resource, Pod Security, and functions that the definition takes and refuses: by the code of the API server, in `xtask/manifests` |
//! | `lint` | kube-score |
//! | `prometheus` | promtool on the configurations of Prometheus |
//!
//! A test on a cluster asks the same of a real API server.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::ends::Ends;
use crate::folder::Folder;
use crate::repository::Repository;
use crate::toolbox::{self, PROMTOOL, Unavailable};

/// The manifests of the whole install, in the order of `kubectl apply -f k8s/`.
const INSTALL: [&str; 6] = [
    "00-namespace.yaml",
    "10-crd.yaml",
    "20-rbac.yaml",
    "30-services.yaml",
    "40-networkpolicies.yaml",
    "50-deployment.yaml",
];

/// Advice of kube-score that is not followed, with the reasons.
const NOT_FOLLOWED: [(&str, &str); 5] = [
    ("container-image-pull-policy", "images have fixed versions and may have been imported by hand"),
    ("deployment-replicas", "two control planes would be two sets of executions"),
    ("deployment-strategy", "so the old one ends before the new one starts"),
    (
        "pod-networkpolicy",
        "it wants a rule for what goes out; the API server's address is another in each cluster",
    ),
    ("networkpolicy-targets-pod", "pods of functions are in no manifest"),
];

type Part = fn(&Repository) -> Result<Result<(), Unavailable>>;

pub(crate) fn run(repository: &Repository) -> Result<Ends> {
    let mut ends = Ends::default();
    let parts: [(&str, Part); 3] = [("api", api), ("lint", lint), ("prometheus", prometheus)];
    for (name, part) in parts {
        println!("-- {name}");
        match part(repository) {
            Ok(Ok(())) => {}
            Ok(Err(Unavailable(why))) => ends.skipped.push(format!("{name}: {why}")),
            Err(error) => ends.failed.push(format!("{name}: {error:#}")),
        }
    }
    Ok(ends)
}

fn api(repository: &Repository) -> Result<Result<(), Unavailable>> {
    let program = match toolbox::go_program(&repository.root().join("xtask/manifests"), "manifests") {
        Ok(program) => program,
        Err(unavailable) => return Ok(Err(unavailable)),
    };
    let mut command = Command::new(program);
    passes(command.current_dir(repository.root()).args(["k8s", "tests/cluster/functions"]))?;
    Ok(Ok(()))
}

fn lint(repository: &Repository) -> Result<Result<(), Unavailable>> {
    let program = match toolbox::kube_score() {
        Ok(program) => program,
        Err(unavailable) => return Ok(Err(unavailable)),
    };
    let mut command = Command::new(program);
    command.current_dir(repository.root().join("k8s"));
    command.args(["score", "--output-format", "ci", "--exit-one-on-warning"]);
    for (name, _) in NOT_FOLLOWED {
        command.args(["--ignore-test", name]);
    }
    passes(command.args(INSTALL))?;
    Ok(Ok(()))
}

fn prometheus(repository: &Repository) -> Result<Result<(), Unavailable>> {
    if let Err(unavailable) = toolbox::debian_programs(&[PROMTOOL]) {
        return Ok(Err(unavailable));
    }
    let source = repository.root().join("k8s/observability");
    let folder = Folder::make("promtool")?;
    for name in ["prometheus.yml", "prometheus-files.yml"] {
        let text = fs::read_to_string(source.join(name)).with_context(|| format!("cannot read {name}"))?;
        let path = folder.path().join(name);
        fs::write(&path, without_discovery(&text))
            .with_context(|| format!("cannot write {}", path.display()))?;
        passes(Command::new(PROMTOOL.name).args(["check", "config"]).arg(&path))?;
    }
    Ok(Ok(()))
}

/// A configuration with fixed targets in place of the discovery of Kubernetes, which Debian's promtool does
/// not know: it checks the rest, which is the relabelling.
fn without_discovery(text: &str) -> String {
    let depth = |line: &str| line.len() - line.trim_start().len();
    let mut kept = String::new();
    let mut within: Option<usize> = None;
    for line in text.lines() {
        if let Some(at) = within {
            if depth(line) > at {
                continue;
            }
            within = None;
        }
        if line.trim() == "kubernetes_sd_configs:" {
            let at = depth(line);
            within = Some(at);
            kept.push_str(&format!("{:at$}static_configs: [{{targets: [\"127.0.0.1:1\"]}}]\n", ""));
        } else {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

fn passes(command: &mut Command) -> Result<()> {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default().to_os_string();
    let program = program.to_string_lossy();
    let status = command.stdin(Stdio::null()).status().with_context(|| format!("cannot run {program}"))?;
    if !status.success() {
        bail!("{program} ended with {status}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_discovery_of_kubernetes_gives_way_to_fixed_targets_and_nothing_else_does() {
        let text =
            "a:\n  - job: x\n    kubernetes_sd_configs:\n      - role: pod\n        b: c\n    rest: y\n";
        let expected = "a:\n  - job: x\n    static_configs: [{targets: [\"127.0.0.1:1\"]}]\n    rest: y\n";
        assert_eq!(without_discovery(text), expected);
        assert_eq!(without_discovery(expected), expected);
    }

    #[test]
    fn every_manifest_of_the_install_is_linted_in_the_order_in_which_kubectl_applies_them() {
        let folder = Repository::find().unwrap().root().join("k8s");
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
        names.retain(|name| [".yaml", ".yml", ".json"].iter().any(|end| name.ends_with(end)));
        names.sort();
        assert_eq!(names, INSTALL);
    }
}
