//! All findings, for people and for programs.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::finding::{Finding, Verdict};

/// Columns that a line of the table takes at most, but for a word that is longer.
const COLUMNS_MAX: usize = 110;

/// The findings, in the order in which they are looked at.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) findings: Vec<Finding>,
}

impl Report {
    /// The worst verdict.
    #[must_use]
    pub(crate) fn verdict(&self) -> Verdict {
        self.findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Ok)
    }

    /// The report for programs. Names of findings and fields stay; later versions may add some.
    ///
    /// # Panics
    /// Never: findings are texts, numbers and lists of them.
    #[must_use]
    pub(crate) fn json(&self) -> Value {
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "verdict": self.verdict(),
            "findings": self.findings,
        })
    }

    /// The report for people: a row for each finding, and below those that are not fine why it matters and what
    /// to do. With `colours`, verdicts are coloured for a terminal.
    #[must_use]
    pub(crate) fn table(&self, colours: bool) -> String {
        let name_width = self.findings.iter().map(|finding| finding.name.len()).max().unwrap_or(0);
        let verdict_width = Verdict::Warning.as_str().len();
        let indent = verdict_width + name_width + 4;
        let mut text = String::new();
        for finding in &self.findings {
            let verdict = format!("{:verdict_width$}", finding.verdict.as_str());
            let verdict = if colours { coloured(finding.verdict, &verdict) } else { verdict };
            let seen = wrapped(&finding.seen, indent, indent);
            // Writes to a string do not fail.
            let _ = writeln!(text, "{verdict}  {:name_width$}  {seen}", finding.name);
            for line in &finding.details {
                let _ = writeln!(text, "{:indent$}{line}", "");
            }
            if finding.verdict != Verdict::Ok {
                let more = [Some(("why: ", finding.why)), finding.advice.as_deref().map(|it| ("do:  ", it))];
                for (label, sentence) in more.into_iter().flatten() {
                    let sentence = wrapped(sentence, indent + label.len(), indent + label.len());
                    let _ = writeln!(text, "{:indent$}{label}{sentence}", "");
                }
            }
        }
        let count = |verdict| self.findings.iter().filter(|finding| finding.verdict == verdict).count();
        let _ = write!(
            text,
            "\n{} ok, {}, {}, {} unknown",
            count(Verdict::Ok),
            counted(count(Verdict::Warning), "warning"),
            counted(count(Verdict::Problem), "problem"),
            count(Verdict::Unknown),
        );
        text
    }
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// A text with line breaks between its words; `used` columns of its first line are taken, and the next ones
/// begin after `indent` spaces.
fn wrapped(text: &str, used: usize, indent: usize) -> String {
    let (mut wrapped, mut column) = (String::new(), used);
    for word in text.split(' ') {
        let width = word.chars().count();
        if column > indent && column + 1 + width > COLUMNS_MAX {
            // Writes to a string do not fail.
            let _ = write!(wrapped, "\n{:indent$}", "");
            column = indent;
        } else if column > indent {
            wrapped.push(' ');
            column += 1;
        }
        wrapped.push_str(word);
        column += width;
    }
    wrapped
}

fn coloured(verdict: Verdict, text: &str) -> String {
    let colour = match verdict {
        Verdict::Ok => 32,
        Verdict::Unknown => 2,
        Verdict::Warning => 33,
        Verdict::Problem => 31,
    };
    format!("\x1b[{colour}m{text}\x1b[0m")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Complaint;

    fn report() -> Report {
        let fine = Finding::new("a", "It matters.", "all is well", json!({ "readNs": 25 }));
        let faulty = Finding::new("longer", "It matters.", "seen ".repeat(40), Value::Null)
            .with([Complaint::warning("Mend it.")]);
        Report { findings: vec![fine, faulty] }
    }

    #[test]
    fn the_table_is_aligned_says_why_and_what_to_do_where_something_is_wrong_and_fits() {
        let table = report().table(false);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[0], "ok       a       all is well");
        assert!(lines[1].starts_with("warning  longer  seen seen "), "{table}");
        assert!(lines[2].starts_with("                 seen"), "{table}");
        assert!(lines.iter().all(|line| line.chars().count() <= COLUMNS_MAX), "{table}");
        assert!(table.contains("\n                 why: It matters.\n                 do:  Mend it.\n"));
        assert!(table.ends_with("\n1 ok, 1 warning, 0 problems, 0 unknown"), "{table}");
        assert!(!table.contains('\x1b') && report().table(true).contains("\x1b[33mwarning\x1b[0m  longer"));
    }

    #[test]
    fn the_json_has_the_worst_verdict_and_every_field_of_each_finding() {
        let json = report().json();
        assert_eq!(json["verdict"], "warning");
        let first = json!({
            "name": "a", "verdict": "ok", "seen": "all is well", "why": "It matters.", "advice": null,
            "data": { "readNs": 25 },
        });
        assert_eq!(json["findings"][0], first);
        assert_eq!(json["findings"][1]["advice"], "Mend it.");
    }
}
