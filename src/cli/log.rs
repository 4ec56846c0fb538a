//! The filter of the log: `RUST_LOG`, or the default of the command.

use std::env::{self, VarError};

use tracing_subscriber::EnvFilter;

const FORM: &str = "say off, error, warn, info, debug or trace, or parts of the program with a level each, such as info,picofaas::instances=debug";

/// The filter that `RUST_LOG` asks for; `default` where it is not set, or empty.
///
/// # Errors
/// With its name, what is wrong and what would be right: a filter that is misunderstood shows
/// nothing, and that is noticed when the log is needed.
pub fn filter(default: &str) -> Result<EnvFilter, String> {
    match env::var("RUST_LOG") {
        Ok(text) if !text.is_empty() => parse(&text),
        Ok(_) | Err(VarError::NotPresent) => Ok(EnvFilter::new(default)),
        Err(VarError::NotUnicode(text)) => Err(format!("RUST_LOG={}: is not UTF-8; {FORM}", text.display())),
    }
}

fn parse(text: &str) -> Result<EnvFilter, String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    for word in text.split(',').map(str::trim).filter(|word| !word.contains(['=', '[', ']', '{', '}'])) {
        // To the parser any word is the name of a part, of which everything is shown and of the rest nothing.
        let is_level = LEVELS.iter().any(|level| word.eq_ignore_ascii_case(level));
        if !is_level && !word.starts_with("picofaas") && !word.is_empty() {
            return Err(format!("RUST_LOG={text}: {word:?} is no level; {FORM}"));
        }
    }
    EnvFilter::builder().parse(text).map_err(|error| format!("RUST_LOG={text}: {error}; {FORM}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_parts_are_taken_and_what_would_show_nothing_is_refused_with_its_remedy() {
        for right in [
            "info",
            "WARN",
            "off",
            "picofaas",
            "info,picofaas::instances=debug",
            "hyper=trace, warn",
            "info,",
        ] {
            assert!(parse(right).is_ok(), "{right}");
        }
        for wrong in ["garbage", "warning", "info,debugg", "picofaas=loud", "=info,x=", "[x"] {
            let refused = parse(wrong).expect_err(wrong);
            assert!(
                refused.starts_with(&format!("RUST_LOG={wrong}: ")) && refused.ends_with(FORM),
                "{refused}"
            );
        }
    }
}
