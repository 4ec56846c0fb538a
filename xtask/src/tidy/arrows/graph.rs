//! The arrows that the code has between the folders of `src/`, and their circles.

use std::collections::{BTreeMap, BTreeSet};

use super::imports::Import;

#[derive(Debug, Default)]
pub(in super::super) struct Graph {
    /// How many imports of code that is not for tests alone go from one folder to another.
    arrows: BTreeMap<(String, String), usize>,
}

impl Graph {
    pub(super) fn of(imports: &[Import<'_>]) -> Self {
        let mut graph = Self::default();
        for import in imports.iter().filter(|import| !import.in_test) {
            graph.add(import.importer_folder(), import.imported_folder());
        }
        graph
    }

    fn add(&mut self, from: &str, to: &str) {
        *self.arrows.entry((from.to_owned(), to.to_owned())).or_default() += 1;
    }

    fn folders(&self) -> BTreeSet<&str> {
        self.arrows.keys().flat_map(|(from, to)| [from.as_str(), to.as_str()]).collect()
    }

    /// Folders and how often each is imported, the most often imported one first.
    fn imported_by(&self, folder: &str) -> Vec<(&str, usize)> {
        let of_it = self.arrows.iter().filter(|((from, _), _)| from == folder);
        let mut found: Vec<(&str, usize)> = of_it.map(|((_, to), &count)| (to.as_str(), count)).collect();
        found.sort_by_key(|&(to, count)| (usize::MAX - count, to));
        found
    }

    /// Every folder that is reached from one, by one arrow or more.
    fn reached_from<'a>(&'a self, folder: &'a str) -> BTreeSet<&'a str> {
        let mut reached = BTreeSet::new();
        let mut ahead = vec![folder];
        while let Some(from) = ahead.pop() {
            for (to, _) in self.imported_by(from) {
                if reached.insert(to) {
                    ahead.push(to);
                }
            }
        }
        reached
    }

    /// Sets of folders each of which reaches all others of its set.
    fn circles(&self) -> Vec<Vec<&str>> {
        let folders = self.folders();
        let reached: BTreeMap<&str, BTreeSet<&str>> =
            folders.iter().map(|&folder| (folder, self.reached_from(folder))).collect();
        let mut circles: Vec<Vec<&str>> = Vec::new();
        for &folder in &folders {
            let is_in_one = circles.iter().any(|circle| circle.contains(&folder));
            let back = |other: &&str| reached[folder].contains(*other) && reached[*other].contains(folder);
            if !is_in_one && reached[folder].contains(folder) {
                circles.push(folders.iter().copied().filter(back).collect());
            }
        }
        circles
    }
}

/// For a person, and in the form of the table where it is to be copied.
pub(in super::super) fn report(graph: &Graph) -> String {
    let mut text = String::from("arrows, with how many imports each is of:\n");
    for folder in graph.folders() {
        let imported = graph.imported_by(folder);
        let arrows: Vec<String> = imported.iter().map(|(to, count)| format!("{to} ({count})")).collect();
        let arrows = if arrows.is_empty() { "nothing".to_owned() } else { arrows.join(", ") };
        text.push_str(&format!("  {folder} -> {arrows}\n"));
    }
    let circles = graph.circles();
    text.push_str(if circles.is_empty() { "no circles\n" } else { "circles:\n" });
    for circle in &circles {
        text.push_str(&format!("  {}\n", circle.join(", ")));
    }
    let is_leaf = |folder: &&&str| graph.imported_by(folder).is_empty();
    let folders = graph.folders();
    let leaves: Vec<&str> = folders.iter().filter(is_leaf).copied().collect();
    text.push_str(&format!("as lines of the table:\nleaves: {}\n", leaves.join(", ")));
    for folder in folders.iter().filter(|folder| !is_leaf(folder)) {
        let mut to: Vec<&str> = graph.imported_by(folder).into_iter().map(|(to, _)| to).collect();
        to.retain(|to| !leaves.contains(to));
        to.sort_unstable();
        let to = if to.is_empty() { "nothing".to_owned() } else { to.join(", ") };
        text.push_str(&format!("{folder} -> {to}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(arrows: &[(&str, &str)]) -> Graph {
        let mut graph = Graph::default();
        for (from, to) in arrows {
            graph.add(from, to);
        }
        graph
    }

    #[test]
    fn a_circle_is_every_folder_that_reaches_and_is_reached() {
        let round =
            graph(&[("a", "b"), ("b", "c"), ("c", "b"), ("c", "d"), ("e", "f"), ("f", "g"), ("g", "e")]);
        assert_eq!(round.circles(), [vec!["b", "c"], vec!["e", "f", "g"]]);
        assert!(graph(&[("a", "b"), ("a", "c")]).circles().is_empty());
    }

    #[test]
    fn the_report_counts_imports_and_ends_with_lines_of_a_table() {
        let text = report(&graph(&[("a", "b"), ("a", "c"), ("a", "c"), ("c", "b")]));
        assert!(text.contains("  a -> c (2), b (1)\n  b -> nothing\n"), "{text}");
        assert!(
            text.ends_with("no circles\nas lines of the table:\nleaves: b\na -> c\nc -> nothing\n"),
            "{text}"
        );
    }
}
