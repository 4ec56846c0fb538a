//! Every image: its Dockerfile, and what goes into it.

use anyhow::{Result, bail};

use super::base::{Base, DEBIAN, JAVA, PYTHON};
use super::program::{self, Program};

/// An image of this repository.
pub(super) struct Image {
    pub name: &'static str,
    /// Description for `--list`.
    pub what: &'static str,
    pub dockerfile: &'static str,
    /// The folder that the Dockerfile copies from.
    pub context: &'static str,
    /// Files and folders that it copies out of the context, relative to the root of the tree.
    pub copied: &'static [&'static str],
    pub programs: &'static [&'static Program],
    pub bases: &'static [&'static Base],
    /// Images of this table that it begins with or copies from; they come before it.
    pub parents: &'static [&'static str],
}

const IMAGES: [Image; 11] = [
    Image {
        name: "picofaas",
        what: "the control plane",
        dockerfile: "Dockerfile",
        context: ".",
        copied: &[],
        programs: &[&program::PICOFAAS],
        bases: &[],
        parents: &[],
    },
    Image {
        name: "picofaas-watchdog",
        what: "the watchdog, for other images to copy from",
        dockerfile: "runtime/watchdog/Dockerfile",
        context: "runtime/watchdog",
        copied: &[],
        programs: &[&program::WATCHDOG],
        bases: &[],
        parents: &[],
    },
    Image {
        name: "runtime-python",
        what: "Python with the runtime, for functions in Python to begin with",
        dockerfile: "pyruntime/Dockerfile",
        context: "pyruntime",
        copied: &["pyruntime/src/picofaas_runtime"],
        programs: &[&program::WATCHDOG],
        bases: &[&PYTHON],
        parents: &[],
    },
    Image {
        name: "runtime-java",
        what: "a JRE set up to run /function/function.jar, for functions in Java to begin with",
        dockerfile: "runtime/java/Dockerfile",
        context: "runtime/java",
        copied: &[],
        programs: &[],
        bases: &[&JAVA],
        parents: &[],
    },
    Image {
        name: "hello",
        what: "the example that a newcomer begins with",
        dockerfile: "examples/hello/Dockerfile",
        context: "examples/hello",
        copied: &["examples/hello/hello.py"],
        programs: &[],
        bases: &[],
        parents: &["runtime-python"],
    },
    Image {
        name: "word-stats-rust",
        what: "the example in Rust",
        dockerfile: "examples/word-stats-rust/Dockerfile",
        context: "examples/word-stats-rust",
        copied: &[],
        programs: &[&program::WORD_STATS_RUST],
        bases: &[],
        parents: &[],
    },
    Image {
        name: "json-transform",
        what: "the example of a JOB",
        dockerfile: "examples/json-transform/Dockerfile",
        context: "examples/json-transform",
        copied: &[],
        programs: &[&program::JSON_TRANSFORM],
        bases: &[],
        parents: &[],
    },
    Image {
        name: "word-stats-python",
        what: "the example in Python",
        dockerfile: "examples/word-stats-python/Dockerfile",
        context: "examples/word-stats-python",
        copied: &["examples/word-stats-python/word_stats.py"],
        programs: &[],
        bases: &[],
        parents: &["runtime-python"],
    },
    Image {
        name: "word-stats-shell",
        what: "the example in shell",
        dockerfile: "examples/word-stats-shell/Dockerfile",
        context: "examples/word-stats-shell",
        copied: &["examples/word-stats-shell/word-stats"],
        programs: &[],
        bases: &[&DEBIAN],
        parents: &["picofaas-watchdog"],
    },
    Image {
        name: "word-stats-java",
        what: "the example in Java",
        dockerfile: "examples/word-stats-java/Dockerfile",
        context: "examples/word-stats-java",
        copied: &[],
        programs: &[&program::WORD_STATS_JAVA],
        bases: &[],
        parents: &["runtime-java"],
    },
    Image {
        name: "picofaas-test-function",
        what: "the function of tests: it goes wrong in the way its HANDLER says",
        dockerfile: "runtime/rust/examples/faulty/Dockerfile",
        context: "runtime/rust/examples/faulty",
        copied: &[],
        programs: &[&program::TEST_FUNCTION],
        bases: &[],
        parents: &[],
    },
];

/// Whether there is an image of this name.
pub(super) fn has(name: &str) -> bool {
    IMAGES.iter().any(|image| image.name == name)
}

/// The named images with all that they begin with, or every one, in the order to build them.
pub(super) fn select(names: &[String]) -> Result<Vec<&'static Image>> {
    if let Some(unknown) = names.iter().find(|name| !has(name)) {
        let known: Vec<&str> = IMAGES.iter().map(|image| image.name).collect();
        bail!("{unknown}: no such image, there are {}", known.join(", "));
    }
    let named = |image: &Image| names.is_empty() || names.iter().any(|name| name == image.name);
    let parents: Vec<&str> =
        IMAGES.iter().filter(|image| named(image)).flat_map(|image| image.parents.iter().copied()).collect();
    let wanted = |image: &&Image| named(image) || parents.contains(&image.name);
    Ok(IMAGES.iter().filter(wanted).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(asked: &[&str]) -> Vec<&'static str> {
        let asked: Vec<String> = asked.iter().map(|&name| name.to_owned()).collect();
        select(&asked).unwrap().iter().map(|image| image.name).collect()
    }

    #[test]
    fn an_image_brings_those_that_it_begins_with_and_they_come_first() {
        assert_eq!(names(&["word-stats-shell"]), ["picofaas-watchdog", "word-stats-shell"]);
        assert_eq!(names(&["picofaas"]), ["picofaas"]);
        let all = names(&[]);
        for image in &IMAGES {
            let place = |name: &str| all.iter().position(|other| *other == name).unwrap();
            for parent in image.parents {
                assert!(place(parent) < place(image.name), "{parent} is built after {}", image.name);
                let grand = IMAGES.iter().find(|other| other.name == *parent).unwrap();
                assert!(grand.parents.is_empty(), "{parent} has parents, which `select` does not look for");
            }
        }
    }

    #[test]
    fn an_unknown_image_is_refused_with_the_names_there_are() {
        let error = select(&["picofas".to_owned()]).err().unwrap().to_string();
        assert!(error.starts_with("picofas: no such image") && error.contains("picofaas,"), "{error}");
    }
}
