//! A request body of a given size, and the files that load tools read it from.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

/// Around the text of a body.
const FRAME: [&str; 2] = [r#"{"input":""#, r#""}"#];

const SENTENCE: &str = "The quick brown fox jumps over the lazy dog, and nobody asked it why. ";

/// A body, and the files it is in.
pub(super) struct Payload {
    pub body: String,
    pub body_file: PathBuf,
    /// Of wrk: the common one, with this body.
    pub script: PathBuf,
    input: Value,
}

impl Payload {
    /// A body of so many bytes, for the script `common` of wrk.
    pub(super) fn write(folder: &Path, common: &Path, bytes: u32) -> Result<Self> {
        let (body, input) = body_of(bytes)?;
        let body_file = folder.join(format!("body-{bytes}.json"));
        let script = folder.join(format!("body-{bytes}.lua"));
        write(&body_file, &body)?;
        write(&script, &script_of(common, &body_file))?;
        Ok(Self { body, body_file, script, input })
    }

    /// Input in the body, which a function that echoes must answer.
    pub(super) fn input(&self) -> &Value {
        &self.input
    }
}

fn body_of(bytes: u32) -> Result<(String, Value)> {
    let [before, after] = FRAME;
    let text_bytes = (bytes as usize).checked_sub(before.len() + after.len()).filter(|&count| count > 0);
    ensure!(text_bytes.is_some(), "a body of {bytes} bytes has no room for a text");
    let text: String = SENTENCE.chars().cycle().take(text_bytes.unwrap_or_default()).collect();
    Ok((format!("{before}{text}{after}"), json!(text)))
}

fn script_of(common: &Path, body_file: &Path) -> String {
    format!(
        "dofile([[{}]])\nlocal file = assert(io.open([[{}]], \"rb\"))\nwrk.body = file:read(\"*a\")\nfile:close()\n",
        common.display(),
        body_file.display()
    )
}

fn write(file: &Path, content: &str) -> Result<()> {
    fs::write(file, content).with_context(|| format!("cannot write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_has_the_size_that_was_asked_for_and_is_an_envelope() {
        for bytes in [16, 40, 10 << 10] {
            let (body, input) = body_of(bytes).unwrap();
            assert_eq!(body.len(), bytes as usize);
            let parsed: Value = serde_json::from_str(&body).unwrap();
            assert_eq!(parsed["input"], input);
        }
        assert!(body_of(12).is_err());
    }
}
