//! The port and the paths of the server.

use crate::limits::PATH_BYTES_MAX;
use crate::settings::SettingError;

const PORT: &str = "WATCHDOG_HTTP_PORT";
const PATH: &str = "WATCHDOG_HTTP_PATH";
const HEALTH: &str = "WATCHDOG_HTTP_HEALTH";

/// The settings of the mode `http`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// The port that the server listens on; where there is none each server is given its own.
    pub(crate) port: Option<u16>,
    /// The path for requests.
    pub(crate) path: String,
    /// The path that answers with 2xx once the server is ready.
    pub(crate) health: Option<String>,
}

impl Default for Endpoint {
    fn default() -> Self {
        Self { port: None, path: "/".to_owned(), health: None }
    }
}

impl Endpoint {
    /// Reads the settings from variables.
    pub(crate) fn read(
        variable: impl Fn(&'static str) -> Result<Option<String>, SettingError>,
    ) -> Result<Self, SettingError> {
        let port = match variable(PORT)? {
            None => None,
            Some(value) => match value.parse() {
                Ok(port @ 1..) => Some(port),
                Ok(0) | Err(_) => {
                    let rule = "a port from 1 to 65535, or leave it out";
                    return Err(SettingError::Value { name: PORT, value, rule });
                }
            },
        };
        let path = |name| match variable(name)? {
            Some(value) if !is_path(&value) => {
                let rule = "a path of at most 2048 visible ASCII characters that begins with a `/` and has \
                            no `#`";
                Err(SettingError::Value { name, value, rule })
            }
            given => Ok(given),
        };
        let usual = Self::default();
        Ok(Self { port, path: path(PATH)?.unwrap_or(usual.path), health: path(HEALTH)? })
    }

    /// The path of the probe whether a server is alive.
    pub(crate) fn alive_path(&self) -> &str {
        self.health.as_deref().unwrap_or("/")
    }
}

/// Whether it can stand in the first line of a request as it is.
fn is_path(value: &str) -> bool {
    value.len() <= PATH_BYTES_MAX
        && value.starts_with('/')
        && value.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Endpoint, SettingError> {
        Endpoint::read(|name| {
            Ok(variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
        })
    }

    #[test]
    fn what_is_left_out_has_a_default() {
        let endpoint = read(&[]).unwrap();
        assert_eq!(endpoint, Endpoint::default());
        assert_eq!(endpoint.alive_path(), "/");
        let endpoint = read(&[(PORT, "65535"), (PATH, "/a?b=%20c"), (HEALTH, "/up")]).unwrap();
        assert_eq!(
            (endpoint.port, endpoint.path.as_str(), endpoint.alive_path()),
            (Some(65535), "/a?b=%20c", "/up")
        );
    }

    #[test]
    fn a_value_out_of_its_range_is_refused_by_name_with_the_range() {
        let long = format!("/{}", "x".repeat(PATH_BYTES_MAX));
        for (name, value, range) in [
            (PORT, "0", "from 1 to 65535"),
            (PORT, "65536", "from 1 to 65535"),
            (PORT, "http", "from 1 to 65535"),
            (PATH, "invoke", "begins with a `/`"),
            (PATH, "/a b", "visible ASCII"),
            (PATH, "/a\r\nx: y", "visible ASCII"),
            (PATH, "/a#b", "no `#`"),
            (HEALTH, "/é", "visible ASCII"),
            (HEALTH, &long, "at most 2048"),
        ] {
            let said = read(&[(name, value)]).unwrap_err().to_string();
            assert!(
                said.starts_with(&format!("{name} is `{value}`: give ")) && said.contains(range),
                "{said}"
            );
        }
    }
}
