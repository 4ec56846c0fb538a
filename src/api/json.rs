//! One pass over the JSON that comes in and goes out.
//!
//! Small texts go through serde_json, larger ones through simd-json on a scratch copy that
//! the thread keeps, because simd-json writes into its input. What is forwarded are always
//! the bytes that came. Where simd-json refuses, serde_json has the last word: it also takes
//! numbers that no 64-bit type holds, and it says where the error is.

use std::cell::RefCell;
use std::fmt;

use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use simd_json::{Buffers, Node, StaticNode};

use crate::error::{ApiError, ErrorCode, FieldError};

/// Texts of at least this many bytes are checked by simd-json: below it serde_json is faster, as
/// `cargo bench --bench json` shows.
const SIMD_BYTES_MIN: usize = 16 * 1024;

/// Scratch space above this size is given back after use.
const SCRATCH_BYTES_KEPT: usize = 4 << 20;

struct Scratch {
    text: Vec<u8>,
    buffers: Buffers,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> =
        RefCell::new(Scratch { text: Vec::new(), buffers: Buffers::new(0) });
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    #[expect(dead_code, reason = "only its presence is checked: the function gets the bytes")]
    input: Present,
    #[serde(default)]
    #[expect(dead_code, reason = "only its form is checked: the function gets the bytes")]
    metadata: Option<Metadata>,
}

/// A member that must be there, whatever its value.
struct Present;

impl<'de> Deserialize<'de> for Present {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Present)
    }
}

/// An object whose members are strings, none of which is kept.
struct Metadata;

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Metadata)
    }
}

impl<'de> Visitor<'de> for Metadata {
    type Value = Self;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self, A::Error> {
        while members.next_entry::<Text, Text>()?.is_some() {}
        Ok(self)
    }
}

/// A string, whatever it says.
struct Text;

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text)
    }
}

impl Visitor<'_> for Text {
    type Value = Self;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a string")
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }
}

/// Checks the body of an invocation: `{"input": any, "metadata": {string: string}}`.
///
/// # Errors
/// `INVALID_JSON` (400) where it is not JSON, `INVALID_INVOCATION` (422) where it is not of
/// this form; with the place.
pub fn check_invocation(body: &[u8]) -> Result<(), ApiError> {
    if body.is_empty() {
        return Err(ApiError::new(
            ErrorCode::InvalidJson,
            "the body is empty; send a JSON object such as {\"input\": {}}",
        ));
    }
    // A derived reader would also take an array for a struct.
    let is_object = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
    let fine = if !is_object {
        false
    } else if body.len() < SIMD_BYTES_MIN {
        parse_small(body).is_some()
    } else {
        with_scratch(body, |text, buffers| {
            simd_json::to_tape_with_buffers(text, buffers).is_ok_and(|tape| is_invocation(&tape.0))
        })
    };
    if fine { Ok(()) } else { explain(body) }
}

/// Whether the value on the tape is an object with `input`, perhaps `metadata`, and nothing else.
fn is_invocation(tape: &[Node<'_>]) -> bool {
    let Some(Node::Object { len, .. }) = tape.first() else { return false };
    let (mut inputs, mut metadata) = (0, 0);
    let mut at = 1;
    for _ in 0..*len {
        let (Some(Node::String(name)), Some(value)) = (tape.get(at), tape.get(at + 1)) else { return false };
        match *name {
            "input" => inputs += 1,
            "metadata" if is_metadata(&tape[at + 1..]) => metadata += 1,
            _ => return false,
        }
        at += 1 + nodes(value);
    }
    inputs == 1 && metadata <= 1
}

/// Whether the value is null, or an object whose members are strings.
fn is_metadata(tape: &[Node<'_>]) -> bool {
    match tape.first() {
        Some(Node::Static(StaticNode::Null)) => true,
        Some(Node::Object { len, count }) => {
            // A string is one node, so keys and values alternate.
            *count == 2 * len && tape[1..=*count].iter().all(|node| matches!(node, Node::String(_)))
        }
        Some(Node::Static(_) | Node::String(_) | Node::Array { .. }) | None => false,
    }
}

/// Number of nodes of the tape that a value takes.
fn nodes(value: &Node<'_>) -> usize {
    match value {
        Node::Object { count, .. } | Node::Array { count, .. } => count + 1,
        Node::String(_) | Node::Static(_) => 1,
    }
}

fn parse_small(body: &[u8]) -> Option<Envelope> {
    serde_json::from_str(std::str::from_utf8(body).ok()?).ok()
}

/// The slow path: says what is wrong, or that nothing is.
#[cold]
fn explain(body: &[u8]) -> Result<(), ApiError> {
    let text = std::str::from_utf8(body).map_err(|error| {
        ApiError::new(
            ErrorCode::InvalidJson,
            format!("the body is not UTF-8 (at byte {}); JSON must be", error.valid_up_to()),
        )
    })?;
    if let Err(error) = serde_json::from_str::<IgnoredAny>(text) {
        return Err(ApiError::new(ErrorCode::InvalidJson, format!("the body is not JSON: {error}")));
    }
    let is_object = text.trim_start().starts_with('{');
    let said = match serde_json::from_str::<Envelope>(text) {
        Ok(_) if is_object => return Ok(()),
        Err(error) if is_object => error.to_string(),
        Ok(_) | Err(_) => "must be an object".to_owned(),
    };
    let field = match () {
        () if !is_object => "",
        () if said.starts_with("unknown field") => said.split('`').nth(1).unwrap_or(""),
        () if said.contains("`input`") => "input",
        () => "metadata",
    };
    let detail = FieldError { field: field.to_owned(), message: said.clone() };
    Err(ApiError::new(
        ErrorCode::InvalidInvocation,
        "the body must be {\"input\": any JSON, \"metadata\": {string: string}}, `metadata` may be left out",
    )
    .with_details(vec![detail]))
}

/// Whether the bytes are one JSON value and nothing else.
#[must_use]
pub(crate) fn is_one_value(text: &[u8]) -> bool {
    let small = |text: &[u8]| {
        std::str::from_utf8(text).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
    };
    if text.len() < SIMD_BYTES_MIN {
        return small(text);
    }
    with_scratch(text, |text, buffers| simd_json::to_tape_with_buffers(text, buffers).is_ok()) || small(text)
}

fn with_scratch<T>(text: &[u8], check: impl FnOnce(&mut [u8], &mut Buffers) -> T) -> T {
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.text.clear();
        scratch.text.extend_from_slice(text);
        let checked = check(&mut scratch.text, &mut scratch.buffers);
        if scratch.text.capacity() > SCRATCH_BYTES_KEPT {
            *scratch = Scratch { text: Vec::new(), buffers: Buffers::new(0) };
        }
        checked
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(body: &str) -> Result<(), ErrorCode> {
        check_invocation(body.as_bytes()).map_err(|error| error.code)
    }

    fn padded(body: &str) -> String {
        format!("{}{body}", " ".repeat(SIMD_BYTES_MIN))
    }

    #[test]
    fn small_and_large_bodies_are_judged_alike() {
        let cases = [
            (r#"{"input":null}"#, Ok(())),
            (r#"{"input":[1e400,123456789012345678901234567890],"metadata":{"a":"b"}}"#, Ok(())),
            (r#"{"metadata":null,"input":"\u00e9 é"}"#, Ok(())),
            ("", Err(ErrorCode::InvalidJson)),
            ("{", Err(ErrorCode::InvalidJson)),
            (r#"{"input":1} x"#, Err(ErrorCode::InvalidJson)),
            (r#"{"input":01}"#, Err(ErrorCode::InvalidJson)),
            ("[1]", Err(ErrorCode::InvalidInvocation)),
            ("{}", Err(ErrorCode::InvalidInvocation)),
            (r#"{"input":1,"inputs":2}"#, Err(ErrorCode::InvalidInvocation)),
            (r#"{"input":1,"input":2}"#, Err(ErrorCode::InvalidInvocation)),
            (r#"{"input":1,"metadata":{"a":1}}"#, Err(ErrorCode::InvalidInvocation)),
            (r#"{"input":1,"metadata":[]}"#, Err(ErrorCode::InvalidInvocation)),
        ];
        for (body, expected) in cases {
            assert_eq!(code(body), expected, "{body}");
            if !body.is_empty() {
                assert_eq!(code(&padded(body)), expected, "large: {body}");
            }
        }
    }

    #[test]
    fn a_fault_names_its_field() {
        let field = |body: &[u8]| {
            check_invocation(body).expect_err("refused").details.first().map(|d| d.field.clone())
        };
        assert_eq!(field(b"{}").as_deref(), Some("input"));
        for other in ["[]", "null", "\"text\"", "[1,{}]"] {
            let details = check_invocation(other.as_bytes()).expect_err("refused").details;
            assert_eq!(details[0].message, "must be an object", "{other}");
        }
        assert_eq!(field(br#"{"input":1,"metdata":{}}"#).as_deref(), Some("metdata"));
        assert_eq!(field(br#"{"input":1,"metadata":{"a":[]}}"#).as_deref(), Some("metadata"));
    }

    #[test]
    fn bytes_that_are_not_utf8_are_not_json() {
        assert_eq!(
            check_invocation(b"{\"input\":\"\xff\"}").map_err(|r| r.code),
            Err(ErrorCode::InvalidJson)
        );
        assert!(!is_one_value(b"\"\xff\""));
    }

    #[test]
    fn an_output_is_one_value_and_nothing_behind_it() {
        for (text, fine) in
            [("1", true), (" {} ", true), ("", false), ("1 2", false), ("{}}", false), ("nul", false)]
        {
            assert_eq!(is_one_value(text.as_bytes()), fine, "{text}");
            if fine {
                assert!(is_one_value(padded(text).as_bytes()), "large: {text}");
            }
        }
    }

    #[test]
    fn the_walk_over_the_tape_decides_by_itself() {
        let decides = |text: &str| {
            let mut text = text.as_bytes().to_vec();
            simd_json::to_tape(&mut text).is_ok_and(|tape| is_invocation(&tape.0))
        };
        assert!(decides(r#"{"metadata":{"a":"b","c":""},"input":{"x":[1,{"y":[]}],"z":"s"}}"#));
        assert!(decides(r#"{"input":[[],{}],"metadata":null}"#));
        assert!(decides(r#"{"input":null,"metadata":{}}"#));
        for wrong in [r#"{"metadata":{"a":["b"]},"input":1}"#, r#"{"input":1,"input":2}"#, "[1]", "{}"] {
            assert!(!decides(wrong), "{wrong}");
        }
    }
}
