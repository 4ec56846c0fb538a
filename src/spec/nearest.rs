//! The known word that a misspelt one probably meant.

/// The word of `known` that `word` is nearest to, if it is near enough to be worth suggesting: one in
/// three of its letters may differ, and letter case does not count.
///
/// Words whose lengths differ by more than that are not compared, so the work for a hostile word of
/// a megabyte is that of reading its length.
pub(crate) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
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

/// Levenshtein's distance in bytes, without regard to letter case.
fn distance(left: &str, right: &str) -> usize {
    let bytes = |word: &str| word.to_ascii_lowercase().into_bytes();
    strsim::generic_levenshtein(&bytes(left), &bytes(right))
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
            ("IMÄGE", Some("image")),
            ("imÄÄe", None),
            ("colour", None),
            ("", None),
            ("im", None),
        ] {
            assert_eq!(nearest(word, &known), meant, "{word:?}");
        }
    }
}
