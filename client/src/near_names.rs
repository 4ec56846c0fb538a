//! Names that may have been meant.

use strsim::damerau_levenshtein;

/// How many are offered.
const NAMES_MAX: usize = 3;

/// The known names that are nearest to one that there is not: a slip or two away, or the beginning of each
/// other.
pub(crate) fn near(name: &str, known: &[String]) -> Vec<String> {
    let slips_max = (name.chars().count() / 3).clamp(1, 3);
    let mut found: Vec<(usize, &String)> = known
        .iter()
        .map(|candidate| (damerau_levenshtein(name, candidate), candidate))
        .filter(|(slips, candidate)| {
            *slips <= slips_max
                || name.len() >= 3 && (candidate.starts_with(name) || name.starts_with(*candidate))
        })
        .collect();
    found.sort();
    found.into_iter().take(NAMES_MAX).map(|(_, candidate)| candidate.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::near;

    #[test]
    fn a_slip_and_a_part_of_a_name_are_understood_and_others_not_offered() {
        let known = ["word-stats-rust", "word-stats-java", "greet", "a"].map(str::to_owned);
        assert_eq!(near("wrod-stats-rust", &known), ["word-stats-rust"]);
        assert_eq!(near("word-stats", &known), ["word-stats-java", "word-stats-rust"]);
        assert_eq!(near("gret", &known), ["greet"]);
        assert_eq!(near("thumbnails", &known), [""; 0]);
    }
}
