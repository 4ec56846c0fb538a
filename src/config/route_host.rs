//! The host names of functions: `--route-host '{name}.fn.example'`.

use std::str::FromStr;

use serde::Serialize;

use crate::origin::split_authority;

/// Place of the function's name in the pattern.
const NAME: &str = "{name}";

/// The host names of functions, one for each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub struct RouteHost {
    before: String,
    behind: String,
}

impl FromStr for RouteHost {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let example = "write it as {name}.fn.example, without a port";
        let Some((before, behind)) = text.split_once(NAME) else {
            return Err(format!("it has no {NAME}; {example}"));
        };
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if behind.contains(NAME) || !before.bytes().chain(behind.bytes()).all(is_part) {
            return Err(format!("{text:?} is not a host with one {NAME}; {example}"));
        }
        if before.is_empty() && behind.is_empty() {
            return Err(format!("every host would be a function's; {example}"));
        }
        Ok(Self { before: before.to_ascii_lowercase(), behind: behind.to_ascii_lowercase() })
    }
}

impl From<RouteHost> for String {
    fn from(host: RouteHost) -> Self {
        format!("{}{NAME}{}", host.before, host.behind)
    }
}

impl RouteHost {
    /// The name of the function that a `Host` names.
    #[must_use]
    pub(crate) fn find_name<'a>(&self, host: &'a str) -> Option<&'a str> {
        let (host, _) = split_authority(host);
        let length = host.len().checked_sub(self.before.len() + self.behind.len())?;
        let (before, rest) = host.split_at_checked(self.before.len())?;
        let (name, behind) = rest.split_at_checked(length)?;
        let is_ours = before.eq_ignore_ascii_case(&self.before) && behind.eq_ignore_ascii_case(&self.behind);
        // A name has no dot, so a host of more labels is not a function's.
        (is_ours && !name.is_empty() && !name.contains('.')).then_some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_of_the_pattern_names_a_function_and_no_other_host_does() {
        let hosts: RouteHost = "{name}.fn.example".parse().expect("a pattern");
        for (host, name) in
            [("shop.fn.example", "shop"), ("a-b.FN.example:8080", "a-b"), ("fn.fn.example", "fn")]
        {
            assert_eq!(hosts.find_name(host), Some(name), "{host}");
        }
        for host in
            ["fn.example", ".fn.example", "a.b.fn.example", "shopfn.example", "shop.fn.example.", "", "é"]
        {
            assert_eq!(hosts.find_name(host), None, "{host}");
        }
    }

    #[test]
    fn a_pattern_has_one_name_and_no_port() {
        for wrong in
            ["fn.example", "{name}", "{name}.{name}.example", "{name}.example:80", "http://{name}.example"]
        {
            assert!(wrong.parse::<RouteHost>().is_err(), "{wrong}");
        }
        assert_eq!(String::from("fn-{name}.Example".parse::<RouteHost>().expect("one")), "fn-{name}.example");
    }
}
