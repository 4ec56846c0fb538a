//! Counts the words of a text.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::process::ExitCode;

use picofaas_runtime::HandlerError;
use serde::{Deserialize, Serialize};

const TOP_N_MAX: f64 = 1000.0;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Input {
    text: String,
    /// A whole number, which JSON may also write as `2.0`.
    #[serde(default = "default_top_n")]
    top_n: f64,
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Stats {
    words: usize,
    unique_words: usize,
    characters: usize,
    top_words: Vec<WordCount>,
}

#[derive(Debug, PartialEq, Serialize)]
struct WordCount {
    word: String,
    count: usize,
}

fn default_top_n() -> f64 {
    10.0
}

async fn word_stats(input: Input) -> Result<Stats, HandlerError> {
    if input.top_n.fract() != 0.0 || !(0.0..=TOP_N_MAX).contains(&input.top_n) {
        let message = format!("input.topN: must be a whole number from 0 to {TOP_N_MAX}");
        return Err(HandlerError::new(400, "BAD_INPUT", message));
    }
    Ok(stats(&input.text, input.top_n as usize))
}

fn stats(text: &str, top_n: usize) -> Stats {
    let mut counts: HashMap<String, usize> = HashMap::new();
    let (mut words, mut characters) = (0, 0);
    let is_between = |c: char| c.is_ascii() && !c.is_ascii_alphanumeric();
    for word in text.split(is_between).filter(|word| !word.is_empty()) {
        words += 1;
        characters += word.chars().count();
        *counts.entry(word.to_ascii_lowercase()).or_default() += 1;
    }
    let unique_words = counts.len();
    let mut top_words: Vec<_> = counts.into_iter().map(|(word, count)| WordCount { word, count }).collect();
    top_words.sort_unstable_by(|a, b| (Reverse(a.count), &a.word).cmp(&(Reverse(b.count), &b.word)));
    top_words.truncate(top_n);
    Stats { words, unique_words, characters, top_words }
}

fn main() -> ExitCode {
    picofaas_runtime::serve(word_stats)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn top(text: &str, top_n: usize) -> Vec<(String, usize)> {
        stats(text, top_n).top_words.into_iter().map(|top| (top.word, top.count)).collect()
    }

    #[test]
    fn equally_frequent_words_come_in_the_order_of_their_characters_and_are_cut_after_sorting() {
        let expected = [("b", 2), ("c", 2), ("a", 1)].map(|(word, count)| (word.to_owned(), count));
        assert_eq!(top("c d b c b a", 3), expected);
        assert_eq!(top("c d b c b a", 0), []);
    }

    #[test]
    fn words_are_ascii_letters_and_digits_in_lower_case_and_whatever_is_not_ascii() {
        let stats = stats("Été, éTÉ don't 4x4! 東京", 99);
        assert_eq!((stats.words, stats.unique_words, stats.characters), (6, 6, 15));
        let words: Vec<_> = stats.top_words.iter().map(|top| top.word.as_str()).collect();
        assert_eq!(words, ["4x4", "don", "t", "Été", "étÉ", "東京"]);
    }

    #[test]
    fn a_text_without_words_gives_zeros() {
        for text in ["", " .!\n\0\u{7f}"] {
            let nothing = Stats { words: 0, unique_words: 0, characters: 0, top_words: vec![] };
            assert_eq!(stats(text, 10), nothing);
        }
    }
}
