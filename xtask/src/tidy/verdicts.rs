//! The rule for pages of flame graphs: each has its verdict, and the list of them names it.

use std::path::Path;

use super::{Fault, Text};

const FOLDER: &str = "flamegraphs";
const HEADING: &str = "## Verdict";

/// Looks at every page in a folder of `flamegraphs/`.
pub(super) fn check(texts: &[Text<'_>], faults: &mut Vec<Fault>) {
    let list = texts.iter().find(|text| text.path == Path::new(FOLDER).join("README.md"));
    for page in texts.iter().filter(|text| text.path.starts_with(FOLDER) && text.has_extension("md")) {
        let Some(name) = page.path.parent().and_then(|folder| folder.strip_prefix(FOLDER).ok()) else {
            continue;
        };
        if name.as_os_str().is_empty() {
            continue;
        }
        let mut behind = page.content.lines().skip_while(|line| *line != HEADING).skip(1);
        if !behind.any(|line| !line.trim().is_empty() && !line.starts_with('#')) {
            faults.push(Fault::of_file(
                page,
                format!("no verdict: say under `{HEADING}` what the graph shows"),
            ));
        }
        let link = format!("]({}/README.md)", name.display());
        if !list.is_some_and(|list| list.content.contains(&link)) {
            faults.push(Fault::of_file(page, format!("not in the list of {FOLDER}/README.md")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(page: &str, list: &str) -> Vec<String> {
        let texts = [
            Text { path: Path::new("flamegraphs/README.md"), content: list },
            Text { path: Path::new("flamegraphs/2026-01-02-job/README.md"), content: page },
        ];
        let mut faults = Vec::new();
        check(&texts, &mut faults);
        faults.iter().map(Fault::to_string).collect()
    }

    #[test]
    fn a_page_without_a_verdict_or_out_of_the_list_is_found() {
        let list = "| [2026-01-02-job](2026-01-02-job/README.md) | fine |\n";
        assert!(messages("# job\n\n## Verdict\n\nNothing to win.\n", list).is_empty());
        for page in ["# job\n", "# job\n\n## Verdict\n", "## Verdict\n\n## CPU time\n"] {
            let found = messages(page, list);
            assert!(found.len() == 1 && found[0].contains("no verdict"), "{page}: {found:?}");
        }
        let found = messages("## Verdict\n\nNothing.\n", "no list\n");
        assert!(found.len() == 1 && found[0].contains("not in the list"), "{found:?}");
    }
}
