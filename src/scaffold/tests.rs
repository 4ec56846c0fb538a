//! Scaffolds as they come out, but not built: `cargo xtask test --only scaffold` does that.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::*;
use crate::spec::load_dir;

const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");

fn make(parent: &Path, name: &str, language: Language) -> anyhow::Result<Scaffold> {
    Scaffold::make(parent, &name.parse().unwrap(), language)
}

/// Every file below a folder, relative to it.
fn files(folder: &Path) -> BTreeSet<PathBuf> {
    let (mut found, mut waiting) = (BTreeSet::new(), vec![folder.to_owned()]);
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                found.insert(path.strip_prefix(folder).unwrap().to_owned());
            }
        }
    }
    found
}

#[test]
fn in_every_language_any_name_gives_the_same_function_without_a_blank_left() {
    let root = tempfile::tempdir().unwrap();
    for language in Language::value_variants() {
        let parent = root.path().join(language.title());
        fs::create_dir(&parent).unwrap();
        for name in ["greet", "match", "class", "import", "null", "true", "deps", "a--1", &"x".repeat(40)] {
            let scaffold = make(&parent, name, *language).unwrap();
            assert_eq!(scaffold.folder, parent.join(name));
            let vendored = vendored::files(*language).into_iter();
            let vendored = vendored.map(|(path, _)| Path::new(vendored::FOLDER).join(path));
            let is_file = |path: &&PathBuf| *path != Path::new(vendored::FOLDER);
            let own: Vec<PathBuf> = scaffold.files.iter().filter(is_file).cloned().collect();
            assert_eq!(files(&scaffold.folder), own.iter().cloned().chain(vendored).collect());
            for file in &own {
                let text = fs::read_to_string(scaffold.folder.join(file)).unwrap();
                assert!(!text.contains("{{"), "{}: {text}", file.display());
                assert!(text.ends_with('\n') && !text.ends_with("\n\n"), "{}", file.display());
            }
            let loaded = load_dir(&scaffold.folder);
            assert!(loaded.errors.is_empty(), "{:?}", loaded.errors);
            let [(_, spec)] = loaded.functions.as_slice() else { panic!("{name}: no one manifest") };
            assert_eq!(spec.name.as_str(), name);
            assert_eq!(spec.annotations[crate::dev::example_call::EXAMPLE_INPUT], r#"{"name":"Ada"}"#);
            assert!(spec.local.as_ref().is_some_and(|local| !local.build.is_empty()));
        }
    }
}

#[test]
fn every_template_is_in_the_list_of_its_language() {
    let count: usize = Language::value_variants().iter().map(|language| language.templates().len()).sum();
    let templates = Path::new(REPOSITORY).join("src/scaffold/templates");
    assert_eq!(files(&templates).len() - files(&templates.join("vendor")).len(), count);
}

#[test]
fn no_file_names_a_place_of_this_machine() {
    let root = tempfile::tempdir().unwrap();
    for language in Language::value_variants() {
        let name = language.title().to_lowercase();
        let folder = make(root.path(), &name, *language).unwrap().folder;
        for file in files(&folder) {
            let text = fs::read_to_string(folder.join(&file)).unwrap();
            for place in [root.path().to_str().unwrap(), REPOSITORY] {
                assert!(!text.contains(place), "{}: {place}", file.display());
            }
        }
    }
}

#[test]
fn an_update_brings_the_runtime_back_and_leaves_the_function_alone() {
    let root = tempfile::tempdir().unwrap();
    for language in [Language::Rust, Language::Python, Language::Java] {
        let folder = make(root.path(), &language.title().to_lowercase(), language).unwrap().folder;
        let all = files(&folder);
        fs::write(folder.join("function.yaml"), "mine").unwrap();
        fs::write(folder.join("vendor/README.md"), "old").unwrap();
        fs::remove_dir_all(folder.join("vendor/picofaas-runtime")).unwrap();
        assert_eq!(update(&folder).unwrap(), language);
        assert_eq!(files(&folder), all);
        assert_ne!(fs::read_to_string(folder.join("vendor/README.md")).unwrap(), "old");
        assert_eq!(fs::read_to_string(folder.join("function.yaml")).unwrap(), "mine");
    }
    let shell = make(root.path(), "shell", Language::Shell).unwrap().folder;
    let before = files(root.path());
    let refused = update(&shell).unwrap_err().to_string();
    assert!(
        refused.starts_with(&format!("--update {}: has none of Cargo.toml, ", shell.display())),
        "{refused}"
    );
    assert_eq!(files(root.path()), before);
}

#[test]
fn an_update_leaves_a_vendor_alone_that_others_made() {
    let root = tempfile::tempdir().unwrap();
    let other = root.path().join("vendor/serde");
    fs::create_dir_all(&other).unwrap();
    fs::write(root.path().join("Cargo.toml"), "").unwrap();
    let refused = update(root.path()).unwrap_err().to_string();
    assert!(refused.contains("there is no runtime of picofaas in vendor"), "{refused}");
    let left: Vec<_> =
        fs::read_dir(root.path().join("vendor")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(left, [other]);
}

#[test]
fn an_update_does_not_follow_a_link_out_of_the_function() {
    let root = tempfile::tempdir().unwrap();
    let folder = make(root.path(), "greet", Language::Rust).unwrap().folder;
    let elsewhere = root.path().join("elsewhere");
    fs::rename(folder.join("vendor"), &elsewhere).unwrap();
    fs::write(elsewhere.join("Cargo.toml"), "of others").unwrap();
    std::os::unix::fs::symlink("../elsewhere", folder.join("vendor")).unwrap();
    let refused = update(&folder).unwrap_err().to_string();
    let vendor = folder.join("vendor");
    assert!(refused.starts_with(&format!("{}: is no folder", vendor.display())), "{refused}");
    assert_eq!(fs::read_to_string(elsewhere.join("Cargo.toml")).unwrap(), "of others");
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 2);
}

#[test]
fn what_is_refused_leaves_nothing_behind() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let gone = root.join("gone");
    let refused = make(&gone, "greet", Language::Rust).unwrap_err();
    assert!(refused.to_string().starts_with(&format!("--dir {}: is no folder", gone.display())));
    assert!(files(root).is_empty());
    make(root, "greet", Language::Shell).unwrap();
    let before = files(root);
    let refused = make(root, "greet", Language::Rust).unwrap_err().to_string();
    assert!(refused.contains("is there already and is not an empty folder"), "{refused}");
    assert_eq!(files(root), before);
}

#[test]
fn the_pom_takes_the_versions_that_the_runtime_is_tested_with() {
    let versions = |pom: &str| -> BTreeSet<(String, String)> {
        let value = |text: &str, tag: &str| -> Option<String> {
            Some(text.split_once(&format!("<{tag}>"))?.1.split_once('<')?.0.to_owned())
        };
        let filled =
            |version: String| match version.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) {
                Some("project.version") => value(pom, "version"),
                Some(property) => value(pom, property),
                None => Some(version),
            };
        pom.split("<artifactId>")
            .skip(1)
            .filter_map(|rest| {
                let name = rest.split_once('<')?.0.to_owned();
                let version = rest.split_once("</artifactId>")?.1.trim_start();
                Some((name, filled(value(version.lines().next()?, "version")?)?))
            })
            .collect()
    };
    let theirs = versions(&fs::read_to_string(Path::new(REPOSITORY).join("runtime/java/pom.xml")).unwrap());
    let files = vendored::files(Language::Java);
    let (_, ours) = files.iter().find(|(path, _)| path == Path::new("pom.xml")).unwrap();
    let ours = versions(ours);
    // The runtime has its sources where Maven looks for them.
    let mine = ["build-helper-maven-plugin"];
    let unknown: Vec<_> =
        ours.iter().filter(|pair| !mine.contains(&&*pair.0) && !theirs.contains(*pair)).collect();
    assert!(ours.len() == 10 && unknown.is_empty(), "{unknown:?} of {ours:?}");
}

#[test]
fn a_function_becomes_a_job_as_the_comment_in_its_manifest_says() {
    let root = tempfile::tempdir().unwrap();
    for language in Language::value_variants() {
        let name = language.title().to_lowercase();
        let manifest = make(root.path(), &name, *language).unwrap().folder.join("function.yaml");
        let text = fs::read_to_string(&manifest).unwrap();
        let lines = text.lines().filter(|line| !line.trim_start().starts_with("replicas:"));
        let job = lines.collect::<Vec<_>>().join("\n").replace("executionMode: WARM", "executionMode: JOB");
        fs::write(&manifest, job).unwrap();
        let loaded = load_dir(&manifest);
        assert!(loaded.errors.is_empty(), "{:?}", loaded.errors);
        assert_eq!(loaded.functions[0].1.execution_mode, crate::spec::ExecutionMode::Job);
        assert!(text.contains("`replicas` goes then"), "{text}");
    }
}

/// Stands in for Python: makes an environment, whose `pip` fails where a requirement is broken.
const PYTHON: &str = r#"#!/bin/sh
[ "$1 $2" = "-m venv" ] || exit 9
shift 2
if [ "$1" = --clear ]; then shift; rm -rf "$1"; fi
mkdir -p "$1/bin"
printf '#!/bin/sh\n! grep broken requirements.txt && cp requirements.txt "%s/packages"\n' "$PWD/$1" > "$1/bin/python"
chmod +x "$1/bin/python"
"#;

#[test]
fn a_python_environment_that_cannot_be_made_leaves_the_one_that_is_there_whole() {
    let root = tempfile::tempdir().unwrap();
    let folder = make(root.path(), "greet", Language::Python).unwrap().folder;
    let python = root.path().join("python3");
    fs::write(&python, PYTHON).unwrap();
    fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", root.path().display(), std::env::var("PATH").unwrap());
    let prepare = |requirements: &str| {
        fs::write(folder.join("requirements.txt"), requirements).unwrap();
        let mut script = std::process::Command::new("./prepare.sh");
        script.current_dir(&folder).env("PATH", &path).env("XDG_CACHE_HOME", root.path());
        script.status().unwrap().success()
    };
    let packages = || fs::read_to_string(folder.join(".venv/packages")).unwrap_or_default();
    assert!(prepare("one\n"));
    assert_eq!(packages(), "one\n");
    assert!(!prepare("broken\n"));
    assert_eq!(packages(), "one\n");
    assert!(folder.join(".venv/bin/python").exists());
    assert!(prepare("two\n"));
    assert_eq!(packages(), "two\n");
    // Folders of the failure and of the first are gone but for the last one before.
    let kept = fs::read_dir(&folder).unwrap().flatten();
    let kept = kept.filter(|entry| entry.file_name().to_string_lossy().starts_with(".venv-")).count();
    assert!(kept <= 2, "{kept}");
    // A folder that an earlier version of the script made is replaced, too.
    fs::remove_file(folder.join(".venv")).unwrap();
    fs::create_dir(folder.join(".venv")).unwrap();
    assert!(prepare("three\n"));
    assert_eq!(packages(), "three\n");
}

#[test]
fn a_shell_function_without_jq_names_it_and_is_not_tried_again() {
    let root = tempfile::tempdir().unwrap();
    let folder = make(root.path(), "greet", Language::Shell).unwrap().folder;
    let programs = root.path().join("programs");
    fs::create_dir(&programs).unwrap();
    std::os::unix::fs::symlink("/bin/cat", programs.join("cat")).unwrap();
    let ended = std::process::Command::new("/bin/sh")
        .arg("function.sh")
        .current_dir(&folder)
        .env("PATH", &programs)
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    let written = String::from_utf8(ended.stderr).unwrap();
    assert!(written.contains("jq is in no folder of PATH: install it"), "{written}");
    assert_eq!(ended.status.code(), Some(70));
}
