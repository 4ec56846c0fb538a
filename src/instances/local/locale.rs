//! Locale and time zone of local processes: ours, where a function does not choose its own.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use picofaas_child::locale::{UTF8, default_to_utf8, is_of_locale};

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

    /// Adds to the environment of a function what it has not of its own, and is no stronger than one of a locale that
    /// it has: our `LC_*` decide over its `LANG`, and our `LC_ALL` over each.
    pub(super) fn add_to(&self, environment: &mut BTreeMap<OsString, OsString>) {
        if let Some(time_zone) = &self.time_zone {
            environment.entry("TZ".into()).or_insert_with(|| time_zone.clone());
        }
        let has_any = environment.keys().any(|name| is_of_locale(name));
        let has_lang = environment.contains_key(OsStr::new("LANG"));
        for (name, value) in &self.locale {
            let is_stronger = if name == "LC_ALL" { has_any } else { name != "LANG" && has_lang };
            if !is_stronger {
                environment.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
        default_to_utf8(environment);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The environment that a function gets where ours has `given` and its own is `own`.
    fn environment(given: &[(&str, &str)], own: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut environment = own.iter().map(|(name, value)| (name.into(), value.into())).collect();
        let ours = given.iter().map(|(name, value)| (name.into(), value.into()));
        Locale::of(ours).add_to(&mut environment);
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
            let found = environment(given, &[]);
            let found: Vec<_> = found.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            assert_eq!(found, expected, "{given:?}");
        }
    }

    #[test]
    fn a_function_has_each_of_ours_that_is_no_stronger_than_one_of_its_own() {
        let all = [("LC_ALL", "en_US.UTF-8"), ("TZ", "Europe/Berlin")];
        let some = [("LANG", "de_DE.UTF-8"), ("LC_CTYPE", "en_US.UTF-8"), ("LC_TIME", "en_DK.UTF-8")];
        for (ours, own, expected) in [
            (&all[..], &[("LANG", "C")][..], &[("LANG", "C"), ("TZ", "Europe/Berlin")][..]),
            (
                &all,
                &[("LC_COLLATE", "C"), ("TZ", "UTC")],
                &[("LANG", UTF8), ("LC_COLLATE", "C"), ("TZ", "UTC")],
            ),
            (&some, &[("LANG", "C")], &[("LANG", "C")]),
            (&some, &[("LC_TIME", "C")], &[some[0], some[1], ("LC_TIME", "C")]),
            (&[("LANG", "C")], &[("LC_TIME", "C")], &[("LANG", UTF8), ("LC_TIME", "C")]),
            (&some[..1], &[("LC_ALL", "C")], &[some[0], ("LC_ALL", "C")]),
            (&some[..1], &[("LANG", "")], &[("LANG", UTF8)]),
            (&[], &[("LC_COLLATE", "C")], &[("LANG", UTF8), ("LC_COLLATE", "C")]),
        ] {
            let found = environment(ours, own);
            let found: Vec<_> = found.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            assert_eq!(found, expected, "{own:?} with {ours:?}");
        }
    }
}
