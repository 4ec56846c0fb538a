//! The execution that a line of a child's log is of, and the cut of a line that is too long.
//!
//! A program may log text that a client sent, so an id counts only where the program itself writes it: at the
//! head of a line, or as a member of the JSON object that the line is.

/// The name of the id.
const NAME: &str = "executionId";
/// Names under which programs write the same id: they count where the value has the form of one.
const OTHER_NAMES: [&str; 3] = ["execution_id", "requestId", "request_id"];
/// Hexadecimal digits of an id.
const ID_DIGITS: usize = 40;
/// Names of log levels, in lower case.
const LEVELS: [&str; 14] = [
    "trace",
    "debug",
    "info",
    "information",
    "notice",
    "warn",
    "warning",
    "error",
    "err",
    "severe",
    "crit",
    "critical",
    "fatal",
    "panic",
];

/// The value of `executionId` in a line: `executionId=…`, quoted or not, where nothing stands before it but times,
/// levels, text in brackets and further `key=value`; or the text of the member `"executionId"` of a JSON object,
/// and of none within it. The object may be cut off behind that.
#[must_use]
pub fn execution_id(line: &str) -> Option<&str> {
    let line = line.trim_start();
    if line.starts_with('{') { member(line, NAME) } else { at_head(line, named) }
}

/// The execution that a line is of: the one that it names, or else that of an id which stands by itself in its
/// head, bare or in brackets (`[<id>] words`), or under another usual name there or in the object that the line is
/// (`{"requestId":"<id>"}`).
#[must_use]
pub fn execution_of(line: &str) -> Option<&str> {
    execution_id(line).or_else(|| {
        let line = line.trim_start();
        if line.starts_with('{') {
            OTHER_NAMES.iter().find_map(|name| member(line, name)).filter(|id| is_id(id))
        } else {
            at_head(line, by_itself)
        }
    })
}

/// Length of the first piece of a line: at most `length_max` bytes, and no part of a character behind whole ones.
#[must_use]
pub fn first_piece(line: &[u8], length_max: usize) -> usize {
    if line.len() <= length_max {
        return line.len();
    }
    // UTF-8 has at most three bytes after the first of a character.
    let begins = |at: &usize| line[*at] & 0b1100_0000 != 0b1000_0000;
    (length_max.saturating_sub(3)..=length_max).rev().find(begins).unwrap_or(length_max)
}

/// The first id that `id_in` finds in a word of the head.
fn at_head<'a>(mut line: &'a str, id_in: impl Fn(&'a str) -> Option<&'a str>) -> Option<&'a str> {
    loop {
        let (word, rest) = first_word(line);
        if let Some(id) = id_in(word) {
            return Some(id);
        }
        if !is_of_head(word) || rest.is_empty() {
            return None;
        }
        line = rest;
    }
}

fn named(word: &str) -> Option<&str> {
    let (key, value) = word.split_once('=')?;
    (key == NAME).then(|| value.trim_matches('"'))
}

fn by_itself(word: &str) -> Option<&str> {
    if let Some((key, value)) = word.split_once('=')
        && OTHER_NAMES.contains(&key)
    {
        return Some(value.trim_matches('"')).filter(|id| is_id(id));
    }
    let bare = word.trim_matches(|character| "[]()<>:,;|-".contains(character));
    if word.starts_with('[') { bare.split([' ', ',']).find(|part| is_id(part)) } else { Some(bare) }
        .filter(|id| is_id(id))
}

fn is_id(text: &str) -> bool {
    text.len() == ID_DIGITS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The text up to white space that is not in quotes behind a `=`, nor in brackets at the beginning; and the
/// rest behind that.
fn first_word(line: &str) -> (&str, &str) {
    let quote = line.find("=\"").filter(|at| !line[..*at].contains(char::is_whitespace));
    let end = match quote {
        _ if line.starts_with('[') => line.find(']'),
        Some(at) => end_of_string(line, at + 2),
        None => Some(0),
    };
    // A quote or bracket that is never closed goes on to the end of the line.
    let from = end.unwrap_or(line.len());
    let end = line[from..].find(char::is_whitespace).map_or(line.len(), |at| from + at);
    (&line[..end], line[end..].trim_start())
}

fn is_of_head(word: &str) -> bool {
    if word.starts_with(|first: char| first == '[' || first.is_ascii_digit()) {
        return true;
    }
    let is_key = |key: &str| {
        !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
    };
    if word.split_once('=').is_some_and(|(key, _)| is_key(key)) {
        return true;
    }
    let plain = word.trim_end_matches([':', ',', '|', '-']);
    LEVELS.iter().any(|level| plain.eq_ignore_ascii_case(level))
}

fn member<'a>(object: &'a str, name: &str) -> Option<&'a str> {
    let bytes = object.as_bytes();
    let (mut depth, mut at) = (0_usize, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.checked_sub(1)?,
            b'"' => {
                let end = end_of_string(object, at + 1)?;
                let rest = object[end + 1..].trim_start();
                if depth == 1
                    && &object[at + 1..end] == name
                    && let Some(value) = rest.strip_prefix(':')
                {
                    let value = value.trim_start().strip_prefix('"')?;
                    return Some(&value[..end_of_string(value, 0)?]);
                }
                at = end;
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// Index of the quote that ends a text which begins at `from`.
fn end_of_string(text: &str, from: usize) -> Option<usize> {
    let mut escaped = false;
    text.bytes().enumerate().skip(from).find_map(|(at, byte)| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends.then_some(at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_counts_at_the_head_of_a_line_or_as_a_member_of_the_object_that_it_is() {
        for line in [
            "executionId=e1",
            "executionId=\"e1\" traceId=t hello",
            "info executionId=e1 traceId=t hello",
            "  ERROR: executionId=e1 hello executionId=e2",
            "2026-11-29T06:00:00Z WARN [main thread] executionId=e1 hello",
            "level=info msg=\"for \\\" executionId=e2\" executionId=e1",
            "traceId=t executionId=e1",
            r#"{"executionId":"e1"}"#,
            r#"{"msg":"for \" executionId=e2","user":{"executionId":"e2"},"executionId" : "e1"}"#,
            r#"{"list":["executionId"],"executionId":"e1","msg":"it is cut o"#,
        ] {
            assert_eq!(execution_id(line), Some("e1"), "{line}");
        }
    }

    #[test]
    fn what_somebody_sent_and_is_logged_names_no_execution() {
        for line in [
            "charging card 4111 for user executionId=e1",
            "hello executionId=e1",
            "info hello executionId=e1",
            "level=info msg=\"executionId=e1\"",
            "level=info msg=\"never ends executionId=e1",
            "[main executionId=e1",
            "myexecutionId=e1",
            "executionId e1",
            "executionId: e1",
            r#"{"msg":"executionId=e1"}"#,
            r#"{"msg":"\"executionId\":\"e1\""}"#,
            r#"{"user":{"executionId":"e1"}}"#,
            r#"{"executionId":null,"x":"executionId=e1"}"#,
            r#"[{"executionId":"e1"}]"#,
            r#"{"executionId":"e"#,
            r#"{"x":1}}"executionId":"e1""#,
            "{",
            "[",
            "\"",
            "é=\"",
            "",
        ] {
            assert_eq!(execution_id(line), None, "{line}");
        }
    }
    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "0123456789abcdef0123456789abcdef01234567";

    #[test]
    fn a_line_is_of_the_execution_whose_id_stands_by_itself_in_its_head_or_under_a_usual_name() {
        for line in [
            format!("[{B}] two"),
            format!("{B} two"),
            format!("({B}) two"),
            format!("{B}: for user {A}"),
            B.to_owned(),
            format!("[{B}]"),
            format!("2026-11-29T06:00:00Z INFO [main] [{B}] two"),
            format!("INFO [worker-1, {B}] two"),
            format!("level=info requestId={B} msg=two"),
            format!("request_id=\"{B}\" two"),
            format!(r#"{{"requestId": "{B}"}}"#),
            format!(r#"{{"msg":"for {A}","execution_id":"{B}","user":"{A}"}}"#),
            format!(r#"{{"requestId":"{A}","executionId":"{B}"}}"#),
            format!("[{A}] executionId={B} the name counts more"),
        ] {
            assert_eq!(execution_of(&line), Some(B), "{line}");
        }
    }

    #[test]
    fn an_id_within_the_words_of_a_line_or_of_another_form_is_no_execution() {
        for line in [
            format!("charging card 4111 for user {B}"),
            format!("hello [{B}]"),
            format!("level=info order={B} card=4111"),
            format!("level=info msg=\"[{B}]\""),
            format!("[{B}0]"),
            format!("[{}]", &B[1..]),
            format!("[{}]", B.to_uppercase()),
            format!("é{B}"),
            format!(r#"{{"msg":"{B}","user":{{"requestId":"{B}"}}}}"#),
            format!(r#"{{"requestId":"for {B}"}}"#),
            format!(r#"["{B}"]"#),
            format!("\"{B}\""),
        ] {
            assert_eq!(execution_of(&line), None, "{line}");
        }
    }

    #[test]
    fn a_piece_ends_between_characters_and_is_never_empty() {
        for character in ["é", "€", "😀"] {
            let text = "x".to_owned() + &character.repeat(8);
            for length_max in 4..text.len() {
                let length = first_piece(text.as_bytes(), length_max);
                assert!(length_max - length < 4 && text.is_char_boundary(length), "{length} of {length_max}");
            }
        }
        assert_eq!(first_piece(b"abc", 3), 3);
        assert_eq!(first_piece(&[0x80; 9], 5), 5, "bytes that are no text are cut anywhere");
    }
}
