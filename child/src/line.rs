//! The execution that a line of a child's log names.
//!
//! A program may log text that a client sent, so an id counts only where the program itself writes it: at the
//! head of a line, or as a member of the JSON object that the line is.

/// The name of the id.
const NAME: &str = "executionId";
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
    if line.starts_with('{') { member(line) } else { at_head(line) }
}

fn at_head(mut line: &str) -> Option<&str> {
    loop {
        let (word, rest) = first_word(line);
        if let Some((key, value)) = word.split_once('=')
            && key == NAME
        {
            return Some(value.trim_matches('"'));
        }
        if !is_of_head(word) || rest.is_empty() {
            return None;
        }
        line = rest;
    }
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

fn member(object: &str) -> Option<&str> {
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
                    && &object[at + 1..end] == NAME
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
}
