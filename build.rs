//! Lists the sources of the runtimes, which `picofaas new` writes into the folder of a new function.
//!
//! Their tests are left out: modules of the names below, and what lies beside `src`. The list is made here, so that
//! a new file of a runtime is in it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// For each constant: folders or files of this tree, and where they lie in `vendor/` of a function.
const VENDORED: [(&str, &[(&str, &str)]); 2] = [
    (
        "RUST",
        &[
            ("frames/Cargo.toml", "picofaas-frames/Cargo.toml"),
            ("frames/src", "picofaas-frames/src"),
            ("runtime/rust/Cargo.toml", "picofaas-runtime/Cargo.toml"),
            ("runtime/rust/src", "picofaas-runtime/src"),
            ("trace-context/Cargo.toml", "picofaas-trace-context/Cargo.toml"),
            ("trace-context/src", "picofaas-trace-context/src"),
        ],
    ),
    ("JAVA", &[("runtime/java/library/src/main", "picofaas-runtime/src/main")]),
];

/// Modules that are there for tests alone, as files or folders.
const TESTS: [&str; 2] = ["simulation", "tests"];

fn main() -> io::Result<()> {
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let mut list = String::new();
    for (constant, parts) in VENDORED {
        let mut files = Vec::new();
        for (from, to) in parts {
            // Cargo looks into folders.
            println!("cargo::rerun-if-changed={from}");
            collect(&root.join(from), Path::new(to), &mut files)?;
        }
        files.sort();
        let _infallible = writeln!(list, "pub(super) const {constant}: &[(&str, &str)] = &[");
        for (place, source) in files {
            let _infallible = writeln!(list, "    ({place:?}, include_str!({source:?})),");
        }
        list.push_str("];\n");
    }
    fs::write(Path::new(&variable("OUT_DIR")?).join("vendored.rs"), list)
}

/// Adds a file, or what is in a folder.
fn collect(source: &Path, place: &Path, files: &mut Vec<(PathBuf, PathBuf)>) -> io::Result<()> {
    if !source.is_dir() {
        files.push((place.to_owned(), source.to_owned()));
        return Ok(());
    }
    for entry in fs::read_dir(source)? {
        let path = entry?.path();
        let is_test = path.file_stem().is_some_and(|stem| TESTS.iter().any(|test| stem == *test));
        let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if let (false, false, Some(name)) = (is_test, is_hidden, path.file_name()) {
            collect(&path, &place.join(name), files)?;
        }
    }
    Ok(())
}

/// A variable that cargo sets.
fn variable(name: &str) -> io::Result<String> {
    env::var(name).map_err(|error| io::Error::other(format!("{name}: {error}")))
}
