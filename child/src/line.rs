//! The execution that a line of a child's log is of, and the cut of a line that is too long.
//!
//! A program may log text that a client sent, so an id counts only where the program itself writes it: at the
//! head of a line, or as a member of the JSON object that the line is.

mod head;
mod object;

/// The name of the id.
const NAME: &str = "executionId";
/// Names under which programs write the same id, in lower case and without `-` and `_`: they count where the value
/// has the form of one.
const USUAL_NAMES: [&str; 4] = ["executionid", "invocationid", "requestid", "xexecutionid"];
/// Hexadecimal digits of an id.
const ID_DIGITS: usize = 40;

/// The value of `executionId` in a line: `executionId=…`, quoted or not, where nothing stands before it but times,
/// levels, text in brackets and further `key=value`; or the text of the member `"executionId"` of a JSON object,
/// and of none within it. The object may be cut off behind that.
#[must_use]
pub fn execution_id(line: &str) -> Option<&str> {
    let line = line.trim_start();
    if line.starts_with('{') { object::named(line, NAME) } else { head::named(line, NAME) }
}

/// The execution that a line is of: the one that it names, or else that of an id which stands by itself in its
/// head, bare or in brackets (`INFO:root:[<id>] words`), or under another usual name there, in the object that the
/// line is (`{"requestId":"<id>"}`), or in a context of that (`{"ctx":{"requestId":"<id>"}}`).
#[must_use]
pub fn execution_of(line: &str) -> Option<&str> {
    execution_id(line).or_else(|| {
        let line = line.trim_start();
        if line.starts_with('{') { object::under_usual_name(line) } else { head::by_itself(line) }
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

fn is_id(text: &str) -> bool {
    text.len() == ID_DIGITS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether it is a name under which programs write the id, whatever joins its words.
fn is_usual(name: &str) -> bool {
    let plain = || name.bytes().filter(|byte| !b"-_".contains(byte)).map(|byte| byte.to_ascii_lowercase());
    USUAL_NAMES.iter().any(|usual| plain().eq(usual.bytes()))
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
            "INFO:root:executionId=e1",
            "INFO user: executionId=e1",
            r#"{"ctx":{"executionId":"e1"}}"#,
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
            format!("INFO:root:[{B}] for user {A}"),
            format!("INFO:root:{B} two"),
            format!("INFO|{B}|two words"),
            format!("WARNING:my.app:[{B}] two"),
            format!("INFO:     [{B}] two"),
            format!("2026-11-29 06:00:00,123 app INFO [{B}] two"),
            format!("2026-11-29 06:00:00,123 - app - INFO - [{B}] two"),
            format!("12:00:00.1 [main] INFO com.ex.App -- [{B}] two"),
            format!("12:00:00.1 [main] INFO com.ex.App - executionId={B} two"),
            format!("2026-11-29T06:00:00.123Z  INFO 1 --- [main] com.ex.App     : [{B}] two"),
            format!("[INFO] [main] {B} two"),
            format!("[2026-11-29 06:00:00][INFO][main thread][{B}] two"),
            format!("[INFO] [requestId={B}] two"),
            format!("2026-11-29T06:00:00Z  INFO app::module: [{B}] two"),
            format!("INFO app: {B} two"),
            format!("2026-11-29 06:00:00.123 | INFO     | __main__:main:1 - [{B}] two"),
            format!("2026-11-29 06:00:00.1234|INFO|App.Program|[{B}] two"),
            format!("2026-11-29 06:00:00,123:INFO:root:[{B}] two"),
            format!("2026-11-29 06:00:00,123 INFO:root: {B} two"),
            format!("I, [2026-11-29T06:00:00.1 #123]  INFO -- : [{B}] two"),
            format!("I1129 06:00:00.123456    1234 file.go:12] [{B}] two"),
            format!("INFO[0000] invocation-id={B} two"),
            format!("requestId: {B} two"),
            format!("X-Execution-Id={B} two"),
            format!(r#"{{"invocationId":"{B}"}}"#),
            format!(r#"{{"x-execution-id":"{B}","request-id":"{A}"}}"#),
            format!(r#"{{"executionID":"{B}"}}"#),
            format!(r#"{{"ctx":{{"requestId":"{B}"}}}}"#),
            format!(r#"{{"mdc":{{"a":[{{}}],"executionId":"{B}"}},"msg":"it is cut o"#),
            format!(r#"{{"fields":{{"requestId":"{A}"}},"request_id":"{B}"}}"#),
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
            format!("INFO:root:user said [{B}]"),
            format!("INFO:root:hello {B}"),
            format!("INFO:root:user: {B}"),
            format!("INFO:root:user:{B}"),
            format!("INFO:com.ex.App:hello {B}"),
            format!("2026-11-29 06:00:00.1234|INFO|App.Program|user {B}"),
            format!("2026-11-29 06:00:00,123:INFO:root:hello [{B}]"),
            format!("user:bob: {B}"),
            format!("user:12 {B}"),
            format!("2026-11-29 06:00:00,123 app INFO user said [{B}]"),
            format!("2026-11-29 06:00:00,123 app said ERROR [{B}]"),
            format!("12:00:00.1 [main] INFO com.ex.App -- charging user {B}"),
            format!("user: [{B}]"),
            format!("user:{B} said so"),
            format!("INFO user:{B}"),
            format!("an error [{B}]"),
            format!("done. [{B}]"),
            format!("INFO GET http://example.com/{B}"),
            format!("http://example.com:{B}"),
            format!("level=info order:{B}"),
            format!("[order={B}] two"),
            format!(r#"{{"input":{{"requestId":"{B}"}}}}"#),
            format!(r#"{{"ctx":{{"user":{{"requestId":"{B}"}}}}}}"#),
            format!(r#"{{"ctx":[{{"requestId":"{B}"}}]}}"#),
            format!(r#"{{"ctx":1,"user":{{"requestId":"{B}"}}}}"#),
            format!(r#"{{"msg":"{{\"ctx\":{{\"requestId\":\"{B}\"}}}}"}}"#),
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
