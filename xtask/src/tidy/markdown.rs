//! The rule for Markdown files: a relative link leads somewhere.

use std::path::{Component, Path, PathBuf};

use super::{Fault, Text};

/// `exists` is asked about paths relative to the root.
pub(super) fn check(text: &Text<'_>, exists: impl Fn(&Path) -> bool, faults: &mut Vec<Fault>) {
    let mut in_code = false;
    for (index, line) in text.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        for link in links(line) {
            let Some(target) = relative_target(link) else { continue };
            let broken = match resolve(text.path, target) {
                Some(path) => !exists(&path),
                None => true,
            };
            if broken {
                faults.push(Fault::of_line(text, index, format!("the link to `{target}` leads nowhere")));
            }
        }
    }
}

/// The targets of `[text](target)` and `[name]: target` in a line, without those in inline code.
pub(super) fn links(line: &str) -> Vec<&str> {
    let mut found = Vec::new();
    if line.starts_with('[')
        && let Some((_, target)) = line.split_once("]: ")
    {
        found.push(target.trim());
    }
    // Every second piece between backticks is code; a link's text may itself be code, which leaves `](…)`
    // at the start of the piece after it.
    for piece in line.split('`').step_by(2) {
        for (at, opening) in piece.match_indices("](") {
            let rest = &piece[at + opening.len()..];
            if let Some((target, _)) = rest.split_once(')') {
                found.push(target.trim());
            }
        }
    }
    found
}

/// The path in a link's target, without title and anchor; `None` for what leads out of the tree or stays
/// in the page.
fn relative_target(link: &str) -> Option<&str> {
    let target = match link.strip_prefix('<') {
        Some(quoted) => quoted.split('>').next()?,
        None => link.split_whitespace().next()?,
    };
    let path = target.split(['#', '?']).next()?;
    let scheme = path.split_once(':').map(|(scheme, _)| scheme);
    let is_url =
        scheme.is_some_and(|scheme| scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c)));
    if path.is_empty() || is_url { None } else { Some(path) }
}

/// The target relative to the root; `None` when it climbs out of the repository. A leading `/` means the
/// root, as on code hosts.
pub(super) fn resolve(page: &Path, target: &str) -> Option<PathBuf> {
    let joined = match target.strip_prefix('/') {
        Some(from_root) => PathBuf::from(from_root),
        None => page.parent().unwrap_or(Path::new("")).join(target),
    };
    let mut resolved = PathBuf::new();
    for part in joined.components() {
        match part {
            Component::ParentDir => {
                if !resolved.pop() {
                    return None;
                }
            }
            Component::CurDir => {}
            Component::Normal(name) => resolved.push(name),
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(resolved)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pages at fault in a tree that holds `README.md`, `docs/` and `docs/design.md`.
    fn broken(page: &str, content: &str) -> Vec<usize> {
        let tree = ["README.md", "docs", "docs/design.md", ""];
        let mut faults = Vec::new();
        let text = Text { path: Path::new(page), content };
        check(&text, |path| tree.iter().any(|there| path == Path::new(there)), &mut faults);
        faults.iter().map(|fault| fault.line).collect()
    }

    #[test]
    fn links_are_resolved_from_the_page_they_stand_on() {
        assert!(broken("README.md", "[d](docs/design.md) and [f](docs/)\n").is_empty());
        assert!(
            broken("docs/design.md", "[r](../README.md), [root](/README.md), [.](./design.md#part)\n")
                .is_empty()
        );
        assert_eq!(broken("docs/design.md", "fine\n[r](README.md)\n"), [2]);
        assert_eq!(broken("README.md", "[out](../other/README.md)\n"), [1]);
    }

    #[test]
    fn a_second_link_a_titled_link_a_code_link_and_a_reference_are_seen() {
        assert_eq!(broken("README.md", "[a](docs) [b](gone.md)\n"), [1]);
        assert_eq!(broken("README.md", "[a](gone.md \"title\")\n"), [1]);
        assert_eq!(broken("README.md", "[`a`](gone.md)\n"), [1]);
        assert_eq!(broken("README.md", "[a]: gone.md\n"), [1]);
        assert_eq!(broken("README.md", "[a](<gone file.md>)\n"), [1]);
    }

    #[test]
    fn urls_anchors_and_code_are_not_links_into_the_tree() {
        assert!(
            broken("README.md", "[a](https://example.org/x) [b](#part) [c](mailto:a@example.org)\n")
                .is_empty()
        );
        assert!(broken("README.md", "`[a](gone.md)`\n```\n[a](gone.md)\n```\n").is_empty());
    }
}
