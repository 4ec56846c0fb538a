//! The sources of the runtimes, which come into the folder of a function, below `vendor`. They are not published.

use std::path::{Path, PathBuf};

use super::Language;

// Made by build.rs: for each language, places below `vendor` and what is there.
include!(concat!(env!("OUT_DIR"), "/vendored.rs"));

/// Where they lie in the folder of a function.
pub(crate) const FOLDER: &str = "vendor";

const LICENSE: (&str, &str) = ("LICENSE", include_str!("../../LICENSE"));
const README: (&str, &str) = ("README.md", include_str!("templates/vendor/README.md.in"));
const WORKSPACE: (&str, &str) = ("Cargo.toml", include_str!("templates/vendor/Cargo.toml.in"));
const POM: (&str, &str) = ("pom.xml", include_str!("templates/vendor/pom.xml.in"));

const PYPROJECT: (&str, &str) =
    ("picofaas-runtime/pyproject.toml", include_str!("../../pyruntime/pyproject.toml"));

/// Blank in these for the version of this picofaas.
const VERSION: &str = "{{version}}";

/// Begin of the part of a file that has its tests, which is the last one.
const TESTS: &str = "#[cfg(test)]\nmod tests";

/// Tests of a crate that fill files of their own.
const SIMULATION: &str = "#[cfg(test)]\nmod simulation;\n";

/// Sections of a manifest that are about checks of this project.
const CHECKS: [&str; 3] = ["[lints]", "[dev-dependencies]", "[tool."];

/// The page that a package of Python shows; ours has links into the source tree.
const PAGE: &str = "readme = \"README.md\"\n";

/// Paths below `vendor`, and the text of each; none where the language needs no runtime.
pub(super) fn files(language: Language) -> Vec<(PathBuf, String)> {
    let version = env!("CARGO_PKG_VERSION");
    let with = |more: &[(&str, &str)], sources: &[(&str, &str)]| {
        let more = more.iter().map(|(place, text)| (place.into(), text.replace(VERSION, version)));
        let sources = sources.iter().map(|(place, text)| (place.into(), without_tests(place, text)));
        more.chain(sources).collect()
    };
    match language {
        Language::Rust => with(&[LICENSE, README, WORKSPACE], RUST),
        Language::Java => with(&[LICENSE, README, POM], JAVA),
        Language::Python => {
            let mut files: Vec<_> = with(&[LICENSE, README], &[PYPROJECT]);
            let package = Path::new("picofaas-runtime/src").join(picofaas_watchdog::PYTHON_PACKAGE);
            let modules = picofaas_watchdog::python_modules().iter();
            files.extend(modules.map(|(name, text)| (package.join(name), (*text).to_owned())));
            files
        }
        Language::Shell => Vec::new(),
    }
}

/// The source of a file as a function needs it.
fn without_tests(place: &str, text: &str) -> String {
    if place.ends_with(".toml") {
        return without_checks(text).replace(PAGE, "");
    }
    if !place.ends_with(".rs") {
        return text.to_owned();
    }
    let code = text.find(TESTS).map_or(text, |at| &text[..at]);
    code.replace(SIMULATION, "").trim_end().to_owned() + "\n"
}

/// A manifest without the sections that name what is not there.
fn without_checks(manifest: &str) -> String {
    let mut kept = Vec::new();
    for section in manifest.split("\n\n") {
        if !CHECKS.iter().any(|check| section.starts_with(check)) {
            kept.push(section.trim_end());
        }
    }
    kept.join("\n\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_left_out_and_nothing_else() {
        for (given, expected) in [
            ("fn a() {}\n", "fn a() {}\n"),
            ("fn a() {}\n\n#[cfg(test)]\nmod tests {\n    use super::*;\n}\n", "fn a() {}\n"),
            ("fn a() {}\n\n#[cfg(test)]\nmod tests;\n", "fn a() {}\n"),
            ("mod a;\n#[cfg(test)]\nmod simulation;\nmod b;\n", "mod a;\nmod b;\n"),
            (
                "mod a {\n    #[cfg(test)]\n    fn b() {}\n}\n",
                "mod a {\n    #[cfg(test)]\n    fn b() {}\n}\n",
            ),
        ] {
            assert_eq!(without_tests("picofaas-a/src/lib.rs", given), expected);
        }
        let manifest = "[package]\nname = \"a\"\n\n[lints]\nworkspace = true\n\n[dependencies]\nb = \"1\"\n\n[dev-dependencies]\nc = \"1\"\n";
        let expected = "[package]\nname = \"a\"\n\n[dependencies]\nb = \"1\"\n";
        assert_eq!(without_tests("picofaas-a/Cargo.toml", manifest), expected);
    }

    #[test]
    fn every_module_that_is_declared_is_there_and_no_test_is() {
        let files = files(Language::Rust);
        let code = files.iter().filter(|(place, _)| place.extension().is_some_and(|end| end == "rs"));
        for (place, text) in code {
            let folder = match place.file_name().unwrap().to_str().unwrap() {
                "lib.rs" | "mod.rs" => place.parent().unwrap().to_owned(),
                _ => place.with_extension(""),
            };
            let declared = text.lines().filter_map(|line| line.strip_suffix(';')?.split_once("mod "));
            for (_, module) in declared.filter(|(before, _)| ["", "pub ", "pub(crate) "].contains(before)) {
                let wanted = [folder.join(format!("{module}.rs")), folder.join(module).join("mod.rs")];
                assert!(files.iter().any(|(path, _)| wanted.contains(path)), "{}: {module}", place.display());
            }
            for test in ["#[test]", "mod tests", "include_str!", "simulation;"] {
                assert!(!text.contains(test), "{}: {test}", place.display());
            }
        }
    }

    #[test]
    fn each_says_its_version_and_licence() {
        for language in [Language::Rust, Language::Java, Language::Python] {
            let files = files(language);
            let text = |name: &str| &files.iter().find(|(path, _)| path == Path::new(name)).unwrap().1;
            assert!(text("README.md").contains(concat!("picofaas ", env!("CARGO_PKG_VERSION"), ",")));
            assert!(text("LICENSE").contains("Apache License"));
            assert!(files.len() > 20 && files.iter().all(|(_, text)| !text.contains(VERSION)));
        }
    }

    #[test]
    fn the_package_of_python_names_no_file_that_is_not_there() {
        let files = files(Language::Python);
        let (_, project) = files.iter().find(|(path, _)| path.ends_with("pyproject.toml")).unwrap();
        assert!(PYPROJECT.1.contains(PAGE) && !project.contains("README"), "{project}");
        assert!(project.contains("[build-system]") && !project.contains("[tool."), "{project}");
        assert!(project.contains(concat!("version = \"", env!("CARGO_PKG_VERSION"), "\"")), "{project}");
    }

    #[test]
    fn the_crates_take_from_their_workspace_what_they_have_here() {
        let root = include_str!("../../Cargo.toml");
        let workspace = WORKSPACE.1.replace(VERSION, env!("CARGO_PKG_VERSION"));
        let (_, shared) = workspace.split_once("[workspace.package]").unwrap();
        let here = |line: &str| match line.split_once(" = ") {
            Some((ours, _)) if ours.starts_with("picofaas-") => root.contains(&format!("\n{ours} = ")),
            Some(_) | None => root.lines().any(|other| other == line),
        };
        for line in shared.lines().filter(|line| !line.is_empty()) {
            assert!(here(line), "{line}: the workspace of this project has another");
        }
        for (place, text) in files(Language::Rust).iter().filter(|(place, _)| place.ends_with("Cargo.toml")) {
            for key in text
                .lines()
                .filter_map(|line| line.split_once("workspace = true")?.0.split(['.', ' ']).next())
            {
                assert!(shared.contains(&format!("\n{key} = ")), "{}: {key}", place.display());
            }
        }
    }
}
