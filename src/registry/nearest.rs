//! The known word that a misspelt one probably meant.

/// The word of `known` that `word` is nearest to, if it is near enough to be worth suggesting: one in
/// three of its letters may differ, and letter case does not count.
///
/// Words whose lengths differ by more than that are not compared, so the work for a hostile word of
/// a megabyte is that of reading its length.
pub(super) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    known
        .iter()
        .filter_map(|&candidate| {
            let allowed = candidate.len().div_ceil(3);
            let near_in_length = candidate.len().abs_diff(word.len()) <= allowed;
            near_in_length.then(|| (distance(word, candidate), allowed, candidate))
        })
        .filter(|(distance, allowed, _)| distance <= allowed)
        .min_by_key(|(distance, ..)| *distance)
        .map(|(.., candidate)| candidate)
}

/// Levenshtein's distance in bytes, by the two-row form of the Wagner–Fischer table.
fn distance(left: &str, right: &str) -> usize {
    let right = right.as_bytes();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    for (row, left_byte) in left.bytes().enumerate() {
        let mut current = Vec::with_capacity(above.len());
        current.push(row + 1);
        for (column, right_byte) in right.iter().enumerate() {
            let replaced = above[column] + usize::from(!left_byte.eq_ignore_ascii_case(right_byte));
            let removed = above[column + 1] + 1;
            let added = current[column] + 1;
            current.push(replaced.min(removed).min(added));
        }
        above = current;
    }
    above[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_its_field_and_a_strange_word_does_not() {
        let known = ["timeoutMs", "maxQueueMs", "args", "image"];
        for (word, meant) in [
            ("timeoutms", Some("timeoutMs")),
            ("timeOut", Some("timeoutMs")),
            ("tiemoutMs", Some("timeoutMs")),
            ("arg", Some("args")),
            ("imgae", Some("image")),
            ("images", Some("image")),
            ("colour", None),
            ("", None),
            ("im", None),
        ] {
            assert_eq!(nearest(word, &known), meant, "{word:?}");
        }
    }
}
