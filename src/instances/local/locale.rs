//! Locale and time zone of local processes: ours, where a function does not choose its own.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use picofaas_child::locale::{UTF8, default_to_utf8, is_of_locale};

use crate::spec::EnvVar;

/// Locale and time zone of the control plane, as processes of functions get them.
#[derive(Debug)]
pub struct Locale {
    time_zone: Option<OsString>,
    /// `LANG` and `LC_*`.
    locale: Vec<(OsString, OsString)>,
}

impl Locale {
    /// Locale and time zone of this process.
    #[must_use]
    pub fn ours() -> Self {
        Self::of(std::env::vars_os())
    }

    fn of(variables: impl Iterator<Item = (OsString, OsString)>) -> Self {
        let mut ours = Self { time_zone: None, locale: Vec::new() };
        for (name, value) in variables {
            if name == "TZ" {
                ours.time_zone = Some(value);
            } else if is_of_locale(&name) {
                // Only ASCII is known to the locale of C; services and cron jobs often have it unasked.
                let is_ascii = value == "C" || value == "POSIX";
                ours.locale.push((name, if is_ascii { UTF8.into() } else { value }));
            }
        }
        ours
    }

    /// Adds it to the environment of a function with these variables of its own. Where one of them is of a locale,
    /// ours is left out: it might be the stronger one.
    pub(super) fn add_to(&self, environment: &mut BTreeMap<OsString, OsString>, own: &[EnvVar]) {
        if let Some(time_zone) = &self.time_zone {
            environment.insert("TZ".into(), time_zone.clone());
        }
        if !own.iter().any(|variable| is_of_locale(OsStr::new(&variable.name))) {
            environment.extend(self.locale.iter().cloned());
            default_to_utf8(environment);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::parse_function;

    /// The environment that a function gets where ours has `given` and its own `own`.
    fn environment(given: &[(&str, &str)], own: &str) -> Vec<(String, String)> {
        let spec = format!(r#"{{"name":"f","local":{{"command":["x"]}},"env":[{own}]}}"#);
        let spec = parse_function(spec.as_bytes()).unwrap();
        let mut environment = BTreeMap::new();
        let ours = given.iter().map(|(name, value)| (name.into(), value.into()));
        Locale::of(ours).add_to(&mut environment, &spec.env);
        let text = |text: OsString| text.into_string().unwrap();
        environment.into_iter().map(|(name, value)| (text(name), text(value))).collect()
    }

    #[test]
    fn ours_is_handed_on_and_ascii_that_nobody_asked_for_becomes_utf_8() {
        for (given, expected) in [
            (&[][..], &[("LANG", UTF8)][..]),
            (&[("LANG", "C"), ("TERM", "vt100")], &[("LANG", UTF8)]),
            (&[("LC_ALL", "POSIX"), ("LANG", "de_DE.UTF-8")], &[("LANG", "de_DE.UTF-8"), ("LC_ALL", UTF8)]),
            (
                &[("TZ", "Europe/Berlin"), ("LC_CTYPE", "en_US.UTF-8"), ("LANGUAGE", "de")],
                &[("LC_CTYPE", "en_US.UTF-8"), ("TZ", "Europe/Berlin")],
            ),
            (&[("LANG", "de_DE.ISO-8859-1")], &[("LANG", "de_DE.ISO-8859-1")]),
        ] {
            let found = environment(given, "");
            let found: Vec<_> = found.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            assert_eq!(found, expected, "{given:?}");
        }
    }

    #[test]
    fn a_function_that_chooses_a_locale_gets_none_of_ours_and_our_time_zone_all_the_same() {
        let ours = [("LC_ALL", "en_US.UTF-8"), ("TZ", "Europe/Berlin")];
        let found = environment(&ours, r#"{"name":"LANG","value":"C"}"#);
        assert_eq!(found, [("TZ".to_owned(), "Europe/Berlin".to_owned())]);
    }
}
