//! The line that says how many functions are served, once nothing is under way any more.

use std::collections::BTreeMap;

use super::project::Project;
use super::terminal::say;

/// The last such line, so that it is not repeated after each edit.
#[derive(Debug, Default)]
pub(crate) struct ReadinessSummary {
    told: String,
}

impl ReadinessSummary {
    /// Tells how many functions are served where nothing is under way and that is news. `faults` are manifests
    /// that cannot be read.
    pub(crate) fn tell(&mut self, projects: &BTreeMap<String, Project>, faults: usize) {
        if projects.is_empty() || !projects.values().all(Project::is_settled) {
            return;
        }
        let names = projects.iter().filter(|(_, project)| !project.is_available());
        let unserved: Vec<&str> = names.map(|(name, _)| name.as_str()).collect();
        let text = line(projects.len(), &unserved, faults);
        if self.told != text {
            say(&text);
            self.told = text;
        }
    }
}

fn line(functions: usize, unserved: &[&str], faults: usize) -> String {
    let mut line = match (functions, unserved.len()) {
        (1, 0) => "the only function is served".to_owned(),
        (_, 0) => format!("all {functions} functions are served"),
        (_, missing) => {
            let served = functions - missing;
            format!("{served} of {functions} functions are served; not {}", unserved.join(", "))
        }
    };
    if faults > 0 {
        line.push_str(&format!("; {faults} of the manifests cannot be read, see above"));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn one_line_counts_what_is_served_and_names_the_rest() {
        assert_eq!(line(1, &[], 0), "the only function is served");
        assert_eq!(line(5, &[], 0), "all 5 functions are served");
        assert_eq!(line(3, &["a", "b"], 0), "1 of 3 functions are served; not a, b");
        assert!(line(2, &[], 1).ends_with("served; 1 of the manifests cannot be read, see above"));
    }
}
