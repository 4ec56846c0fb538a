//! Names of images: the registry, the function's name, and a tag or digest made of the content.

use std::fmt;
use std::str::FromStr;

use crate::resource::FunctionName;

/// Host of images that are pushed nowhere. `.invalid` is never in the DNS, so nobody can publish one under it.
const NOWHERE: &str = "picofaas.invalid";

/// Beginnings of names in docker's own registry, which it leaves out.
#[cfg(feature = "cluster")]
const DOCKER_HOSTS: [&str; 2] = ["docker.io/", "index.docker.io/"];

/// Digits of an image's id in its tag.
const TAG_CHARS: usize = 16;

/// A place of images: a host, perhaps with a port, and perhaps a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Registry(String);

/// An image that was built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ImageName {
    /// Registry and name.
    pub repository: String,
    /// Digits of the image's id: another content has another tag.
    pub tag: String,
}

impl FromStr for Registry {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("{text:?} must be HOST or HOST/PATH in lower case, as in registry.example/team");
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
        let mut parts = text.split('/');
        let host = parts.next().unwrap_or_default();
        let (name, port) = host.split_once(':').unwrap_or((host, "1"));
        // Without a dot or a port it would be a path at the registry that a builder takes by itself.
        let is_host = host == "localhost" || host.contains(['.', ':']);
        let is_good = is_host
            && !name.is_empty()
            && name.chars().all(is_plain)
            && port.parse::<u16>().is_ok_and(|port| port > 0)
            && parts.all(|part| !part.is_empty() && part.chars().all(is_plain));
        if is_good { Ok(Self(text.to_owned())) } else { Err(wrong()) }
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self(NOWHERE.to_owned())
    }
}

impl Registry {
    /// Whether it is on this machine, and so speaks no TLS.
    #[cfg(feature = "cluster")]
    pub(crate) fn is_on_this_machine(&self) -> bool {
        let host = self.0.split(['/', ':']).next().unwrap_or_default();
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    /// The digest that an image has in this registry, of a list of `REPOSITORY@DIGEST`, a line each. Docker leaves its
    /// own registry out of names.
    #[cfg(feature = "cluster")]
    pub(crate) fn digest_of<'a>(&self, image: &ImageName, listed: &'a str) -> Option<&'a str> {
        let repository = &image.repository;
        let short = DOCKER_HOSTS.iter().find_map(|host| repository.strip_prefix(host));
        let digests = listed.lines().filter_map(|line| line.trim().split_once('@'));
        let mut of_it = digests.filter(|(of, _)| of == repository || Some(*of) == short);
        of_it.next().map(|(_, digest)| digest)
    }

    /// Name of a function's image of this id.
    pub(crate) fn image(&self, function: &FunctionName, id: &str) -> ImageName {
        let tag = id.chars().take(TAG_CHARS).collect();
        ImageName { repository: format!("{}/{function}", self.0), tag }
    }
}

impl fmt::Display for Registry {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.repository, self.tag)
    }
}

/// The digest in a text: `sha256:` and 64 digits.
#[cfg(feature = "cluster")]
pub(crate) fn digest_in(text: &str) -> Option<&str> {
    const PREFIX: &str = "sha256:";
    const DIGITS: usize = 64;
    let found = text.match_indices(PREFIX).filter_map(|(at, _)| text.get(at..at + PREFIX.len() + DIGITS));
    found
        .into_iter()
        .find(|digest| digest[PREFIX.len()..].chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_has_a_host_and_perhaps_a_port_and_a_path() {
        for text in ["registry.example", "registry.example:5000/team/a", "localhost/x", "127.0.0.1:5000"] {
            assert_eq!(text.parse::<Registry>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "team",
            "https://registry.example",
            "registry.example/",
            "registry.example/Team",
            "registry.example/x:1",
            "registry.example/x@sha256",
            "registry.example:0",
            ":5000",
        ] {
            let message = text.parse::<Registry>().unwrap_err();
            assert!(message.starts_with(&format!("{text:?} must be HOST or HOST/PATH")), "{message}");
        }
    }

    #[test]
    fn another_content_is_another_tag_and_without_a_registry_no_other_can_answer_for_it() {
        let name: FunctionName = "f".parse().unwrap();
        let image = |id: &str| Registry::default().image(&name, id).to_string();
        assert_eq!(image(&"0123456789abcdef".repeat(4)), "picofaas.invalid/f:0123456789abcdef");
        assert_ne!(image(&"ab".repeat(32)), image(&"cd".repeat(32)));
    }

    #[cfg(feature = "cluster")]
    #[test]
    fn the_digest_is_that_of_the_repository_it_was_pushed_to() {
        let name: FunctionName = "f".parse().unwrap();
        let listed = "r.example/a/f@sha256:1\nr.example/f@sha256:2\nteam/f@sha256:3\nr.example/ff@sha256:4\n";
        for (registry, digest) in [
            ("r.example", Some("sha256:2")),
            ("r.example/a", Some("sha256:1")),
            ("docker.io/team", Some("sha256:3")),
            ("index.docker.io/team", Some("sha256:3")),
            ("other.example/team", None),
        ] {
            let registry: Registry = registry.parse().unwrap();
            let image = registry.image(&name, "0123456789abcdef");
            assert_eq!(registry.digest_of(&image, listed), digest, "{registry}");
        }
    }

    #[cfg(feature = "cluster")]
    #[test]
    fn a_digest_is_found_in_what_programs_say() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        let said = format!("r/f:1 application/vnd.oci {digest} 5.0 MiB");
        assert_eq!(digest_in(&said), Some(digest.as_str()));
        assert_eq!(digest_in("sha256:short"), None);
        assert_eq!(digest_in(&format!("sha256:{}", "XY".repeat(32))), None);
    }
}
