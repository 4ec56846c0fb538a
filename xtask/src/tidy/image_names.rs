//! The rule for names of images: those of this project are below a host that no registry can be.
//!
//! A name on a registry that the project does not hold is anybody's to register, and an image of theirs would then
//! run wherever a manifest of the tree was applied.

use super::{Fault, Text};
use crate::image::{self, HOST};

/// How the names of this project begin, of images and of much else.
const OURS: &str = "picofaas";

/// Registry that a name without a host means.
const UNNAMED: &str = "docker.io/";

/// Looks at the names that a manifest or a Dockerfile gives to images, and at names in any text that can only be
/// those of ours.
pub(super) fn check(text: &Text<'_>, faults: &mut Vec<Fault>) {
    for (index, line) in text.lines() {
        let mut names = Vec::new();
        if is_dockerfile(text) {
            names.extend(names_in_dockerfile(line));
        } else if is_manifest(text) {
            names.extend(names_in_manifest(line));
        }
        names.extend(plain_names(line));
        // The same name may be there in both ways.
        if let Some(name) = names.iter().find(|name| is_image_of_ours(name) && !is_out_of_reach(name)) {
            faults.push(Fault::of_line(
                text,
                index,
                format!("a registry could answer `{name}`: put images of this project below `{HOST}/`"),
            ));
        }
    }
}

/// `Dockerfile`, and `Dockerfile.in` of a scaffold.
fn is_dockerfile(text: &Text<'_>) -> bool {
    text.path.file_stem().is_some_and(|stem| stem == "Dockerfile")
}

/// YAML, also as a template of a scaffold or under the name that kustomize knows.
fn is_manifest(text: &Text<'_>) -> bool {
    let name = text.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let name = name.strip_suffix(".in").unwrap_or(name);
    [".yaml", ".yml"].iter().any(|end| name.ends_with(end)) || name == "Kustomization"
}

/// Names in comments count, too: they are copied from there.
fn names_in_dockerfile(line: &str) -> Vec<String> {
    let words: Vec<&str> = line.trim_start_matches(['#', ' ']).split_whitespace().collect();
    let mut names = Vec::new();
    if words.first() == Some(&"FROM") {
        names.extend(words[1..].iter().find(|word| !word.starts_with("--")).map(|word| (*word).to_owned()));
    }
    for (at, word) in words.iter().enumerate() {
        names.extend(word.strip_prefix("--from=").map(str::to_owned));
        // The rest of a name stands where the argument is used.
        names.extend(word.strip_prefix("REGISTRY=").map(|registry| format!("{registry}/{OURS}")));
        if *word == "--tag" {
            names.extend(words.get(at + 1).map(|word| (*word).to_owned()));
        }
    }
    names.retain(|name| !name.starts_with('$'));
    names
}

fn names_in_manifest(line: &str) -> Vec<String> {
    let mut names = Vec::new();
    for key in ["image:", "newName:"] {
        for (at, _) in line.match_indices(key) {
            let value = line[at + key.len()..].trim_start().trim_start_matches(['"', '\'']);
            let end = value.find(|c: char| c.is_whitespace() || "\"',}".contains(c)).unwrap_or(value.len());
            names.push(value[..end].to_owned());
        }
    }
    names
}

/// Words that begin as an image of ours would and have a tag, or end in the name of one.
fn plain_names(line: &str) -> Vec<String> {
    let words = line.split(|c: char| !c.is_ascii_alphanumeric() && !"._-/:@".contains(c));
    let words = words.map(|word| word.trim_end_matches(['.', ':']));
    let begins = |word: &&str| word.strip_prefix(UNNAMED).unwrap_or(word).starts_with(OURS);
    let is_whole = |word: &&str| {
        word.rsplit_once('/').is_some_and(|(_, last)| last.contains(':') || image::is_built_here(last))
    };
    words.filter(begins).filter(is_whole).map(str::to_owned).collect()
}

/// Whether a part of the name is this project's, or the last one an image that is built here.
fn is_image_of_ours(name: &str) -> bool {
    let name = name.split('@').next().unwrap_or_default();
    let (parents, last) = name.rsplit_once('/').unwrap_or(("", name));
    let last = last.split(':').next().unwrap_or_default();
    image::is_built_here(last) || parents.split('/').chain([last]).any(|part| part.starts_with(OURS))
}

/// Whether its host is the project's, or one of `.example`, which stands for a reader's own registry. Both are
/// reserved by RFC 6761.
fn is_out_of_reach(name: &str) -> bool {
    name.split_once('/').is_some_and(|(host, _)| host == HOST || host.ends_with(".example"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn messages(path: &str, content: &str) -> Vec<String> {
        let mut faults = Vec::new();
        check(&Text { path: Path::new(path), content }, &mut faults);
        faults.iter().map(Fault::to_string).collect()
    }

    /// The host and folder of images before they had a host of their own, in halves for this rule's sake.
    const HUB: &str = concat!("docker", ".io/", "pico", "faas");
    const SHORT: &str = concat!("pico", "faas");

    #[test]
    fn an_image_of_ours_that_a_registry_could_answer_is_found_in_manifests_and_dockerfiles() {
        for (path, line) in [
            ("k8s/50-deployment.yaml", format!("          image: {SHORT}/picofaas:0.1.0")),
            ("k8s/50-deployment.yaml", "  image: picofaas:0.1.0".to_owned()),
            ("k8s/Kustomization", format!("  - newName: ghcr.io/{SHORT}/picofaas")),
            ("examples/a/function.yaml", "  image: 'somebody/word-stats-rust:1'".to_owned()),
            ("src/scaffold/templates/a/function.yaml.in", "  image: \"word-stats-rust\"".to_owned()),
            ("tests/list.yml", format!("spec: {{image: quay.io/{SHORT}-x/y@sha256:0}}")),
            ("Dockerfile", format!("#   docker build --tag {SHORT}/picofaas .")),
            ("runtime/java/Dockerfile", format!("#   FROM {HUB}/runtime-java:0.1.0")),
            ("a/Dockerfile", "FROM --platform=linux/amd64 somebody/runtime-java:1 AS base".to_owned()),
            ("a/Dockerfile", "COPY --from=somebody/picofaas-watchdog /a /b".to_owned()),
            ("src/scaffold/templates/a/Dockerfile.in", format!("ARG REGISTRY={HUB}")),
        ] {
            let found = messages(path, &format!("\n{line}\n"));
            assert_eq!(found.len(), 1, "{path}: {line}: {found:?}");
            assert!(found[0].starts_with(&format!("{path}:2: a registry could answer")), "{found:?}");
        }
    }

    #[test]
    fn it_is_found_in_code_and_on_pages_too() {
        for line in [
            format!("    let missing = json!({{ \"image\": \"{SHORT}/there-is-none:1\" }});"),
            format!("const IMAGE: &str = concat!(\"{SHORT}/picofaas-test-function:\", VERSION);"),
            format!("It begins with `{SHORT}/runtime-java`."),
            format!("They are called `{HUB}/picofaas:VERSION`."),
            format!("const PAUSE_IMAGE: &str = \"{SHORT}.dev/pause:1\";"),
        ] {
            assert_eq!(messages("a.rs", &line).len(), 1, "{line}");
        }
    }

    #[test]
    fn names_out_of_reach_images_of_others_and_other_names_of_ours_are_fine() {
        for (path, line) in [
            ("a.yaml", "  image: picofaas.invalid/picofaas:0.1.0"),
            ("a.yaml", "  newName: registry.example/picofaas/picofaas"),
            ("a.yaml.in", "  image: \"registry.example/{{name}}:1\""),
            ("a.yaml", "                image:"),
            ("a.yaml", "  image: a # any"),
            ("a.yaml", "apiVersion: picofaas.dev/v1"),
            ("a.yaml", "    picofaas.dev/example-input: '{}'"),
            ("Dockerfile", "FROM scratch"),
            ("Dockerfile", "ARG REGISTRY=picofaas.invalid"),
            ("Dockerfile", "FROM ${REGISTRY}/runtime-java:${VERSION}"),
            ("Dockerfile", "FROM docker.io/library/debian:bookworm-slim"),
            ("Dockerfile", "COPY --from=watchdog /picofaas-watchdog /usr/local/bin/"),
            ("a.rs", "cache.join(\"picofaas/builds\")"),
            ("a.md", "`http://picofaas.picofaas:8080/v1` and target/release/picofaas"),
        ] {
            assert_eq!(messages(path, line), Vec::<String>::new(), "{path}: {line}");
        }
    }
}
