//! The formats of a program's input and output.

use std::collections::BTreeMap;

use picofaas_runtime::{Context, HandlerError};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::excerpt::Beginning;

/// The code of an output that is not what `WATCHDOG_OUTPUT` asks for; the Rust runtime has the
/// same for what cannot be written as JSON.
pub(crate) const BAD_OUTPUT: &str = "BAD_OUTPUT";

/// The part of a request's body that a program gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InputFormat {
    /// The JSON of `input`, byte for byte.
    Input,
    /// `{"input":…,"metadata":{…}}`, always with both.
    Envelope,
}

/// The place where a program writes its output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OutputPlace {
    /// Its standard output, to which it may also print.
    StandardOutput,
    /// The body of a response.
    Body,
}

/// The form of a program's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OutputFormat {
    /// One JSON value, or nothing, which is `null`.
    Json,
    /// UTF-8 text, which becomes a JSON string.
    Text,
}

#[derive(Serialize)]
struct Envelope<'a> {
    input: &'a RawValue,
    metadata: &'a BTreeMap<String, String>,
}

impl InputFormat {
    /// The bytes for a program.
    pub(crate) fn write(self, input: Box<RawValue>, context: &Context) -> Vec<u8> {
        match self {
            Self::Input => String::from(Box::<str>::from(input)).into_bytes(),
            Self::Envelope => {
                let envelope = Envelope { input: &input, metadata: context.metadata() };
                serde_json::to_vec(&envelope).expect("JSON and texts are always JSON")
            }
        }
    }
}

impl OutputPlace {
    /// The message about an output that is no JSON.
    fn not_json(self, begins: &Beginning, fault: &serde_json::Error) -> String {
        let question = match self {
            Self::StandardOutput => {
                ". Does it print to standard output? That is for the output alone; print to standard error"
            }
            Self::Body => "",
        };
        format!(
            "the program's output is not one JSON value: {fault}; it begins with {}{question}",
            begins.quoted()
        )
    }
}

impl OutputFormat {
    /// The output as JSON.
    pub(crate) fn read(self, output: Vec<u8>, place: OutputPlace) -> Result<Box<RawValue>, HandlerError> {
        // The same program writes the same again.
        let bad = |what: String| HandlerError::new(500, BAD_OUTPUT, what).not_retryable();
        let text = String::from_utf8(output)
            .map_err(|fault| bad(format!("the program's output is not UTF-8: {}", fault.utf8_error())))?;
        match self {
            Self::Json if text.trim_ascii().is_empty() => Ok(RawValue::NULL.to_owned()),
            Self::Json => {
                let begins = Beginning::of(text.as_bytes());
                RawValue::from_string(text).map_err(|fault| bad(place.not_json(&begins, &fault)))
            }
            Self::Text => to_raw_value(&text).map_err(|fault| bad(format!("the program's output: {fault}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_taken_as_it_is_and_nothing_is_null() {
        for (output, json) in [("", "null"), (" \n", "null"), ("{\"a\": 1e400}\n", "{\"a\": 1e400}")] {
            assert_eq!(
                OutputFormat::Json.read(output.into(), OutputPlace::StandardOutput).unwrap().get(),
                json
            );
        }
        for output in [&b"hello"[..], b"1 2", b"{", b"\"\xff\"", b"NaN", b"[-Infinity]", b"{\"a\":Infinity}"]
        {
            assert!(OutputFormat::Json.read(output.to_vec(), OutputPlace::Body).is_err(), "{output:?}");
        }
    }

    #[test]
    fn a_text_becomes_a_string_with_every_byte_of_it() {
        assert_eq!(
            OutputFormat::Text.read(b"a \"b\"\n".to_vec(), OutputPlace::Body).unwrap().get(),
            r#""a \"b\"\n""#
        );
        assert_eq!(OutputFormat::Text.read(Vec::new(), OutputPlace::Body).unwrap().get(), r#""""#);
        assert!(OutputFormat::Text.read(vec![0xff], OutputPlace::Body).is_err());
    }
}
