//! The arrows that are allowed.
//!
//! A line is one of these; `#` begins a comment:
//!
//! ```text
//! leaves: clock, error
//! gateway -> api, store
//! store -> nothing
//! startup -> everything
//! ```
//!
//! A name is a path of modules below `src/`, as `dispatch` or `dispatch::job`. Of two lines that are about a
//! module the one with the longer path decides. Everybody may import leaves, and leaves import only leaves.

/// The names of lines that are no names of modules.
const LEAVES: &str = "leaves: ";
const EVERYTHING: &str = "everything";
const NOTHING: &str = "nothing";

#[derive(Debug, Default)]
pub(super) struct Table {
    leaves: Vec<Name>,
    folders: Vec<ArrowLine>,
    /// The lines a person is to know.
    lines: Vec<String>,
}

/// A name with its line, from 0.
#[derive(Debug)]
struct Name {
    line: usize,
    text: String,
}

#[derive(Debug)]
struct ArrowLine {
    name: Name,
    /// `None` where it imports everything.
    imports: Option<Vec<String>>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Permission {
    Allowed,
    /// Nothing is said of the folder.
    NoLine,
    Refused {
        /// The name of the line that decides.
        line: String,
        allowed: String,
    },
}

impl Table {
    /// An error has the line that is at fault, from 0.
    pub(super) fn parse(content: &str) -> Result<Self, (usize, String)> {
        let mut table = Self::default();
        for (line, text) in content.lines().enumerate() {
            let name = |text: &str| Name { line, text: text.trim().to_owned() };
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            table.lines.push(text.to_owned());
            if let Some(names) = text.strip_prefix(LEAVES) {
                table.leaves.extend(names.split(',').map(name));
            } else if let Some((from, to)) = text.split_once(" -> ") {
                let imports = match to {
                    EVERYTHING => None,
                    NOTHING => Some(Vec::new()),
                    _ => Some(to.split(',').map(|to| to.trim().to_owned()).collect()),
                };
                table.folders.push(ArrowLine { name: name(from), imports });
            } else {
                return Err((line, format!("`{text}` is no `a -> b, c` and no `{LEAVES}…`")));
            }
        }
        let mut names: Vec<&Name> = table.all_names().collect();
        names.sort_by_key(|name| (&name.text, name.line));
        if let Some(pair) = names.windows(2).find(|pair| pair[0].text == pair[1].text) {
            return Err((pair[1].line, format!("`{}` has a line already", pair[1].text)));
        }
        Ok(table)
    }

    /// Lines as they are, without comments.
    pub(super) fn lines(&self) -> &[String] {
        &self.lines
    }

    /// Every name that lines are about.
    pub(super) fn names(&self) -> impl Iterator<Item = (usize, &str)> {
        self.all_names().map(|name| (name.line, name.text.as_str()))
    }

    fn all_names(&self) -> impl Iterator<Item = &Name> {
        let folders = self.folders.iter().map(|folder| &folder.name);
        self.leaves.iter().chain(folders)
    }

    /// Every arrow with its line.
    pub(super) fn arrows(&self) -> impl Iterator<Item = (usize, &str, &str)> {
        self.folders.iter().flat_map(|ArrowLine { name, imports }| {
            imports.iter().flatten().map(|to| (name.line, name.text.as_str(), to.as_str()))
        })
    }

    pub(super) fn allows(&self, from: &[String], to: &[String]) -> Permission {
        let is_of = |name: &Name| starts_with(from, &name.text);
        let Some(line) = self.all_names().filter(|name| is_of(name)).max_by_key(|name| name.text.len())
        else {
            return Permission::NoLine;
        };
        let to_leaf = self.leaves.iter().any(|leaf| starts_with(to, &leaf.text));
        if to_leaf || starts_with(to, &line.text) {
            return Permission::Allowed;
        }
        let folder = self.folders.iter().find(|folder| folder.name.text == line.text);
        let mut allowed = match folder {
            Some(ArrowLine { imports: None, .. }) => return Permission::Allowed,
            Some(ArrowLine { imports: Some(imports), .. }) => imports.clone(),
            None => Vec::new(),
        };
        if allowed.iter().any(|name| starts_with(to, name)) {
            return Permission::Allowed;
        }
        allowed.push("the leaves".to_owned());
        Permission::Refused { line: line.text.clone(), allowed: allowed.join(", ") }
    }
}

/// Whether a path is of the module `name` or below it.
fn starts_with(path: &[String], name: &str) -> bool {
    let mut parts = path.iter();
    name.split("::").all(|part| parts.next().is_some_and(|found| found == part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(table: &str, from: &str, to: &str) -> Permission {
        let path = |text: &str| -> Vec<String> { text.split("::").map(str::to_owned).collect() };
        Table::parse(table).unwrap().allows(&path(from), &path(to))
    }

    #[test]
    fn of_two_lines_about_a_module_the_longer_one_decides() {
        let table = "dispatch -> store\ndispatch::job -> queue\n";
        assert_eq!(answer(table, "dispatch::pool", "store"), Permission::Allowed);
        assert_eq!(answer(table, "dispatch::job::life", "queue::ring"), Permission::Allowed);
        let refused = |line: &str, allowed: &str| Permission::Refused {
            line: line.to_owned(),
            allowed: format!("{allowed}, the leaves"),
        };
        assert_eq!(answer(table, "dispatch::job", "store"), refused("dispatch::job", "queue"));
        assert_eq!(answer(table, "dispatch", "queue"), refused("dispatch", "store"));
        assert_eq!(answer(table, "dispatch", "dispatch::job"), Permission::Allowed);
        assert_eq!(answer(table, "dispatched", "store"), Permission::NoLine);
    }

    #[test]
    fn a_line_that_is_none_and_a_second_one_are_refused_with_their_line() {
        assert_eq!(Table::parse("a -> b\na, b\n").unwrap_err().0, 1);
        assert_eq!(
            Table::parse("# a\na -> b\n\na -> c\n").unwrap_err(),
            (3, "`a` has a line already".to_owned())
        );
        assert!(Table::parse("leaves: a, b\nb -> nothing\n").is_err());
    }
}
