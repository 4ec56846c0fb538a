//! The character set of a child: UTF-8, unless somebody chose another.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

/// The variables that decide over the character set, the strongest first, as setlocale(3) has it.
const DECIDING: [&str; 3] = ["LC_ALL", "LC_CTYPE", "LANG"];

/// The locale without a language. glibc has it built in from 2.35 on, Debian and musl in every version.
pub const UTF8: &str = "C.UTF-8";

/// Whether a variable is one of a locale.
#[must_use]
pub fn is_of_locale(name: &OsStr) -> bool {
    name == "LANG" || name.as_encoded_bytes().starts_with(b"LC_")
}

/// Has a program work in UTF-8 where nothing in its environment says what it works in: it would take ASCII.
pub fn default_to_utf8(environment: &mut BTreeMap<OsString, OsString>) {
    let says = |name: &str| environment.get(OsStr::new(name)).is_some_and(|value| !value.is_empty());
    if !DECIDING.iter().any(|name| says(name)) {
        environment.insert("LANG".into(), UTF8.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_environment_that_says_nothing_of_it_gets_the_locale_of_utf_8() {
        for (given, lang) in [
            (&[][..], Some(UTF8)),
            (&[("LANG", "")], Some(UTF8)),
            (&[("LC_ALL", ""), ("LC_TIME", "de_DE.UTF-8")], Some(UTF8)),
            (&[("LANG", "C")], Some("C")),
            (&[("LANG", "de_DE.ISO-8859-1")], Some("de_DE.ISO-8859-1")),
            (&[("LC_CTYPE", "en_US.UTF-8")], None),
            (&[("LC_ALL", "POSIX")], None),
        ] {
            let mut environment = given.iter().map(|(name, value)| (name.into(), value.into())).collect();
            default_to_utf8(&mut environment);
            let found = environment.get(OsStr::new("LANG")).map(|value| value.to_str().unwrap());
            assert_eq!(found, lang, "{given:?}");
        }
    }

    #[test]
    fn the_variables_of_a_locale_are_known_by_their_names() {
        for (name, is_one) in [
            ("LANG", true),
            ("LC_ALL", true),
            ("LC_TIME", true),
            ("LANGUAGE", false),
            ("LCX", false),
            ("TZ", false),
        ] {
            assert_eq!(is_of_locale(OsStr::new(name)), is_one, "{name}");
        }
    }
}
