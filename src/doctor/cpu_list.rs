//! Lists of CPUs, as the kernel writes them: `0-3,8`.

/// Reads one; `None` where it is none, or is empty.
pub(super) fn parse(text: &str) -> Option<Vec<usize>> {
    let mut cpus = Vec::new();
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        cpus.extend(first.parse::<usize>().ok()?..=last.parse().ok()?);
    }
    Some(cpus).filter(|cpus| !cpus.is_empty())
}

/// Writes one of CPUs in ascending order; `none` where there is none.
pub(super) fn write(cpus: &[usize]) -> String {
    let ranges = cpus.chunk_by(|one, next| one + 1 == *next).map(|range| match range {
        [first, .., last] => format!("{first}-{last}"),
        one => one.iter().map(usize::to_string).collect(),
    });
    let text = ranges.collect::<Vec<_>>().join(",");
    if text.is_empty() { "none".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_and_written_as_the_kernel_does() {
        for (text, cpus) in [("0-3,8\n", &[0, 1, 2, 3, 8][..]), ("5", &[5]), ("0-1,3-4", &[0, 1, 3, 4])] {
            assert_eq!(parse(text).as_deref(), Some(cpus));
            assert_eq!(write(cpus), text.trim());
        }
        for wrong in ["", "a", "1-", "3-1"] {
            assert_eq!(parse(wrong), None, "{wrong:?}");
        }
        assert_eq!(write(&[]), "none");
    }
}
