//! The input of an invocation: given on the command line, in a file, or on standard input.

use std::io::Read;
use std::path::Path;

use clap::Args;
use serde_json::value::RawValue;

use crate::client_error::ClientError;

/// Flags of the input.
#[derive(Args, Clone, Debug)]
pub(crate) struct InputArgs {
    /// Input as JSON; @FILE reads a file, @- standard input; without it the input is null
    #[arg(short, long, value_name = "JSON|@FILE|@-")]
    data: Option<String>,
}

impl InputArgs {
    /// Body of the request: the input as it was given, under its key.
    ///
    /// # Errors
    /// A file that cannot be read, and text that is not JSON.
    pub(crate) fn body(&self) -> Result<String, ClientError> {
        let (text, source) = match self.data.as_deref().map(|data| (data, data.strip_prefix('@'))) {
            None => ("null".to_owned(), "the default".to_owned()),
            Some((_, Some("-"))) => {
                let mut bytes = Vec::new();
                let read = std::io::stdin().lock().read_to_end(&mut bytes);
                read.map_err(|error| wrong("standard input", &format!("cannot be read: {error}")))?;
                (utf8("standard input", bytes)?, "standard input".to_owned())
            }
            Some((_, Some(path))) => {
                let bytes = std::fs::read(path).map_err(|source| ClientError::File {
                    path: Path::new(path).to_owned(),
                    verb: "read",
                    source,
                })?;
                (utf8(path, bytes)?, path.to_owned())
            }
            Some((text, None)) => (text.to_owned(), "-d".to_owned()),
        };
        let input: &RawValue = serde_json::from_str(&text).map_err(|error| {
            let hint = if source == "-d" {
                r#"; quote it for the shell, as in -d '{"text":"to be"}' or -d '"to be"'"#
            } else {
                ""
            };
            wrong(&source, &format!("is not JSON: {error}{hint}"))
        })?;
        Ok(format!("{{\"input\":{}}}", input.get()))
    }
}

fn utf8(source: &str, bytes: Vec<u8>) -> Result<String, ClientError> {
    String::from_utf8(bytes).map_err(|_| wrong(source, "is not UTF-8, which JSON is"))
}

fn wrong(source: &str, why: &str) -> ClientError {
    ClientError::Usage(format!("{source} {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(data: Option<&str>) -> Result<String, String> {
        InputArgs { data: data.map(str::to_owned) }.body().map_err(|error| error.to_string())
    }

    #[test]
    fn the_input_stays_as_it_was_given_and_without_one_it_is_null() {
        assert_eq!(body(None).unwrap(), r#"{"input":null}"#);
        assert_eq!(body(Some(" {\"a\": 1.10} \n")).unwrap(), r#"{"input":{"a": 1.10}}"#);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("in.json");
        std::fs::write(&path, "[1]\n").unwrap();
        assert_eq!(body(Some(&format!("@{}", path.display()))).unwrap(), r#"{"input":[1]}"#);
    }

    #[test]
    fn a_text_that_is_not_json_and_a_file_that_is_not_there_are_refused() {
        for text in ["", "to be", "{\"a\":1", "1 2", "{\"a\":1}}, \"metadata\":{"] {
            let message = body(Some(text)).unwrap_err();
            assert!(message.starts_with("-d is not JSON: ") && message.contains("quote it"), "{message}");
        }
        let message = body(Some("@/no/such/file")).unwrap_err();
        assert_eq!(message, "/no/such/file: cannot be read: No such file or directory (os error 2)");
    }
}
