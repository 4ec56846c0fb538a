//! Counts the words of a text.
//!
//! A word is a longest run of characters that Unicode calls alphabetic or numeric, in
//! lower case: `Don't` is `don` and `t`. Nothing is normalized beyond that.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::convert::Infallible;
use std::process::ExitCode;

use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Input {
    text: String,
    #[serde(default = "default_top_n")]
    top_n: usize,
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Stats {
    words: usize,
    unique_words: usize,
    /// The most frequent first, equally frequent ones in alphabetical order.
    top_words: Vec<WordCount>,
    /// Characters per word; 0 for a text without words.
    average_length: f64,
}

#[derive(Debug, PartialEq, Serialize)]
struct WordCount {
    word: String,
    count: usize,
}

fn default_top_n() -> usize {
    10
}

async fn word_stats(input: Input) -> Result<Stats, Infallible> {
    Ok(stats(&input.text, input.top_n))
}

fn stats(text: &str, top_n: usize) -> Stats {
    let mut counts: HashMap<String, usize> = HashMap::new();
    let (mut words, mut characters) = (0, 0);
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        words += 1;
        characters += word.chars().count();
        *counts.entry(word.to_lowercase()).or_default() += 1;
    }
    let unique_words = counts.len();
    let mut top_words: Vec<_> = counts.into_iter().map(|(word, count)| WordCount { word, count }).collect();
    top_words.sort_unstable_by(|a, b| (Reverse(a.count), &a.word).cmp(&(Reverse(b.count), &b.word)));
    top_words.truncate(top_n);
    let average_length = if words == 0 { 0.0 } else { characters as f64 / words as f64 };
    Stats { words, unique_words, top_words, average_length }
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
    fn equally_frequent_words_come_in_alphabetical_order_and_are_cut_after_sorting() {
        let expected = [("b", 2), ("c", 2), ("a", 1)].map(|(word, count)| (word.to_owned(), count));
        assert_eq!(top("c d b c b a", 3), expected);
        assert_eq!(top("c d b c b a", 0), []);
    }

    #[test]
    fn words_are_runs_of_letters_and_digits_of_any_script_in_lower_case() {
        let stats = stats("Été, ÉTÉ – don't 4x4! 東京", 99);
        assert_eq!((stats.words, stats.unique_words), (6, 5));
        assert_eq!(stats.top_words[0], WordCount { word: "été".to_owned(), count: 2 });
        assert_eq!(stats.average_length, (3 + 3 + 3 + 1 + 3 + 2) as f64 / 6.0);
    }

    #[test]
    fn a_text_without_words_gives_zeros() {
        for text in ["", " …!\n"] {
            let nothing = Stats { words: 0, unique_words: 0, top_words: vec![], average_length: 0.0 };
            assert_eq!(stats(text, 10), nothing);
        }
    }
}
