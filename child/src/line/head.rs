//! The head of a line: what a logger writes before the words of a message.
//!
//! It is made of times and numbers, levels, text in brackets, `key=value`, dashes and bars, and names of loggers. A
//! name is a word with a dot or `::` within; one behind a level and a colon (`INFO:root:`); or, behind something of
//! the head, one with a colon at its end, or one before a level in capitals. The first other word ends it.

use super::{end_of_string, is_id, is_usual};

/// Names of log levels, in lower case.
const LEVELS: [&str; 18] = [
    "trace",
    "debug",
    "dbg",
    "info",
    "inf",
    "information",
    "notice",
    "warn",
    "wrn",
    "warning",
    "error",
    "err",
    "severe",
    "crit",
    "critical",
    "fatal",
    "ftl",
    "panic",
];

/// The value of `name=…` in the part of the head before any name of a logger.
pub(super) fn named<'a>(mut line: &'a str, name: &str) -> Option<&'a str> {
    loop {
        let (word, rest) = first_word(line);
        if let Some((key, value)) = word.split_once('=')
            && key == name
        {
            return Some(value.trim_matches('"'));
        }
        if !is_plain_part(word) || rest.is_empty() {
            return None;
        }
        line = rest;
    }
}

/// The first id in the head: under a usual name, or by itself, bare or in brackets.
pub(super) fn by_itself(mut line: &str) -> Option<&str> {
    let mut is_first = true;
    loop {
        let (word, rest) = first_word(line);
        if let Some(id) = id_in(word) {
            return Some(id);
        }
        let is_part = is_part_before(word, false)
            || is_rule(word)
            || !is_first && (is_name_with_colon(word) || is_before_level(word, rest));
        if !is_part || rest.is_empty() {
            return None;
        }
        is_first = false;
        line = rest;
    }
}

/// The id in a word, which may be one with the name of its logger (`INFO:root:[<id>]`).
fn id_in(word: &str) -> Option<&str> {
    let bare = word.trim_matches(|character| "[]()<>:,;|-".contains(character));
    if word.starts_with('[') {
        return bare
            .split([' ', ','])
            .find_map(|part| Some(part).filter(|id| is_id(id)).or_else(|| under_name(part)));
    }
    if is_id(bare) {
        return Some(bare);
    }
    if word.contains('=') {
        return under_name(word);
    }
    let mut begin = 0;
    for part in bare.split([':', '|']) {
        let id = part.trim_matches(|character| "[]()".contains(character));
        if is_id(id) {
            let before = &bare[..begin.max(1) - 1];
            return (begin == 0 || is_part_before(before, true) || is_usual(before)).then_some(id);
        }
        begin += part.len() + 1;
    }
    None
}

/// The id in `requestId=<id>` or `requestId:<id>`.
fn under_name(word: &str) -> Option<&str> {
    let (key, value) = word.split_once(['=', ':'])?;
    Some(value.trim_matches('"')).filter(|id| is_id(id) && is_usual(key))
}

/// The text up to white space that is not in quotes behind a `=`, nor in brackets at the beginning, or up to the
/// next brackets behind these; and the rest behind that.
fn first_word(line: &str) -> (&str, &str) {
    let blank = line.find(char::is_whitespace).unwrap_or(line.len());
    let end = match line[..blank].find("=\"") {
        _ if line.starts_with('[') => line.find(']'),
        Some(at) => end_of_string(line, at + 2),
        None => Some(0),
    };
    // A quote or bracket that is never closed goes on to the end of the line.
    let from = end.unwrap_or(line.len());
    if line[from..].starts_with("][") {
        return line.split_at(from + 1);
    }
    let end = line[from..].find(char::is_whitespace).map_or(line.len(), |at| from + at);
    (&line[..end], line[end..].trim_start())
}

/// Whether a word is a time or number, a level, text in brackets, or `key=value`.
fn is_plain_part(word: &str) -> bool {
    if word.starts_with(|first: char| first == '[' || first.is_ascii_digit()) {
        return true;
    }
    let is_key = |key: &str| {
        !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
    };
    word.split_once('=').is_some_and(|(key, _)| is_key(key)) || is_level(word)
}

fn is_level(word: &str) -> bool {
    let plain = word.trim_end_matches([':', ',', '|', '-']);
    LEVELS.iter().any(|level| plain.eq_ignore_ascii_case(level))
}

/// Whether a word is of dashes, bars and colons alone.
fn is_rule(word: &str) -> bool {
    word.bytes().all(|byte| b"-|:>".contains(&byte))
}

/// Whether a word is of the head wherever it stands; a bar or colon may have been taken off its end.
fn is_part_before(word: &str, is_ended: bool) -> bool {
    if word.starts_with(|first: char| first.is_ascii_digit()) {
        // More may be glued to a time, and a message behind that.
        let is_time = |part: &&str| part.starts_with(|first: char| first.is_ascii_digit());
        let time: usize = word.split_inclusive([':', '|']).take_while(is_time).map(str::len).sum();
        let rest = &word[time..];
        return rest.is_empty() || is_level(rest) || is_logger(rest, is_ended);
    }
    is_plain_part(word) || is_logger(word, is_ended)
}

/// Whether a word is a name of a logger or place (`com.ex.App`, `app::mod:`, `INFO:root:[main]`, `main.go:12]`), a
/// usual name with a colon, or a level in another form (`INFO[0000]`, `I,`, `I1129`).
fn is_logger(word: &str, is_ended: bool) -> bool {
    let is_number = |digits: &str| digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if word.strip_prefix(['D', 'I', 'W', 'E', 'F']).is_some_and(|rest| rest == "," || is_number(rest)) {
        return true;
    }
    let is_ended = is_ended || word.ends_with([':', '|', ']']);
    let name = name_in(word);
    if !is_name(name) {
        return false;
    }
    match name.split_once([':', '|']) {
        // Behind the name of a logger stands the message.
        Some((level, logger)) if is_level(level) => !has_parts(logger) && (is_ended || is_place(logger)),
        _ => is_place(name) || is_ended && (is_level(name) || is_usual(name)),
    }
}

/// Whether it is a name with a dot or `::` within, one with the number of a line behind it, or one with a level.
fn is_place(name: &str) -> bool {
    if !is_name(name) {
        return false;
    }
    let Some((before, last)) = name.rsplit_once([':', '|']) else { return name.contains('.') };
    before.ends_with(':')
        || last.contains('.')
        || last.bytes().all(|byte| byte.is_ascii_digit()) && before.contains(['.', ':'])
        || is_level_in_capitals(last)
}

fn has_parts(name: &str) -> bool {
    name.split("::").any(|part| part.contains([':', '|']))
}

fn is_name_with_colon(word: &str) -> bool {
    let name = name_in(word);
    word.ends_with(':') && is_name(name) && !has_parts(name)
}

fn is_level_in_capitals(word: &str) -> bool {
    is_level(word) && !word.contains(|letter: char| letter.is_ascii_lowercase())
}

/// A word without brackets and punctuation behind it.
fn name_in(word: &str) -> &str {
    let name = if word.trim_end_matches(':').ends_with(']') {
        word.split('[').next().unwrap_or_default()
    } else {
        word
    };
    name.trim_end_matches([':', ',', '|', '-', ']'])
}

fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && !name.ends_with('.')
        && !name.contains("//")
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.:|/$".contains(&byte))
}

/// Whether a word is a name, and the next that is not of dashes is a level in capitals.
fn is_before_level(word: &str, mut rest: &str) -> bool {
    if !is_name(word) {
        return false;
    }
    loop {
        let (next, behind) = first_word(rest);
        if !next.is_empty() && is_rule(next) {
            rest = behind;
            continue;
        }
        return is_level_in_capitals(next);
    }
}
