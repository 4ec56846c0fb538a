//! The settings from the environment, checked as a whole before anything is opened.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use thiserror::Error;
use tokio::time::Instant;

use crate::access::{RUNTIME_URL, TOKEN};
use crate::announcement::{Announcement, POD_IP};
use crate::assignment::{Assignment, EXECUTION_ID};
use crate::limits::{BODY_BYTES_MAX, OUTPUT_BYTES_MAX, SETTING_BYTES_MAX};
use crate::standby::STANDBY;

/// The address to listen on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// A Unix socket at this path.
    Unix(PathBuf),
    /// All addresses of the machine, at a port; 0 lets the system pick one. If the pod's is IPv6 these
    /// are of both kinds, else of IPv4.
    Tcp(SocketAddr),
}

/// The role of the process.
#[derive(Debug)]
pub(crate) enum Role {
    /// Takes invocations until it is stopped: `WARM` and `POOL`.
    Server {
        address: Address,
        /// Its announcement to the control plane. Not even a mistake in it keeps an instance from serving.
        announcement: Result<Option<Announcement>, SettingError>,
        /// Whether it takes one invocation and ends.
        is_standby: bool,
    },
    /// Runs one invocation and ends: `JOB`.
    Job(Assignment),
}

/// Size limits of bodies and outputs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SizeLimits {
    /// Bytes.
    pub(crate) body_max: usize,
    /// Bytes.
    pub(crate) output_max: usize,
}

/// The runtime's settings.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Time at which the runtime took over from `main`.
    pub(crate) began: Instant,
    pub(crate) role: Role,
    /// The name in `HANDLER`.
    pub(crate) handler: Option<String>,
    pub(crate) sizes: SizeLimits,
}

/// An environment that does not say clearly what to do.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum SettingError {
    #[error(
        "neither PICOFAAS_SOCKET nor PORT is set: give the path of a Unix socket in PICOFAAS_SOCKET \
         or a TCP port in PORT"
    )]
    NoAddress,
    #[error("PORT is `{0}`, which is not a port: give a number from 0 to 65535")]
    Port(String),
    #[error("{name} is `{value}`: give a number of bytes from 1 to {SETTING_BYTES_MAX}")]
    Bytes { name: &'static str, value: String },
    #[error(
        "EXECUTION_MODE is JOB and {0} is not set: the control plane gives it to each attempt; \
         to run the program by hand, leave EXECUTION_MODE out and give PORT"
    )]
    NoAssignment(&'static str),
    #[error("{name} is `{value}`: give {rule}")]
    Value { name: &'static str, value: String, rule: &'static str },
    #[error("HOSTNAME is not set: give the pod's name, as what is announced with POD_IP")]
    NoInstance,
    // Without its value, which is secret.
    #[error("PICOFAAS_TOKEN is not visible ASCII: give it as the control plane made it")]
    Token,
    #[error("EXECUTION_MODE is `{0}`, which is unknown: give WARM, POOL or JOB, or leave it out")]
    Mode(String),
    #[error("{0} is not valid UTF-8")]
    NotText(&'static str),
}

impl Settings {
    /// Reads the environment of the process.
    pub(crate) fn from_env<E: From<SettingError>>(began: Instant) -> Result<Self, E> {
        Ok(Self::read(began, |name| match std::env::var_os(name) {
            None => Ok(None),
            Some(value) => value.into_string().map(Some).map_err(|_| SettingError::NotText(name)),
        })?)
    }

    /// Reads the settings from variables; an empty one counts as absent.
    fn read(
        began: Instant,
        variable: impl Fn(&'static str) -> Result<Option<String>, SettingError>,
    ) -> Result<Self, SettingError> {
        let variable = |name| Ok(variable(name)?.filter(|value| !value.is_empty()));
        let is_standby = match variable(STANDBY)? {
            None => false,
            Some(value) if value == "1" => true,
            Some(value) => {
                let rule = "1, for an instance that takes one invocation and ends, or leave it out";
                return Err(SettingError::Value { name: STANDBY, value, rule });
            }
        };
        let role = match variable("EXECUTION_MODE")?.as_deref() {
            mode @ (None | Some("WARM" | "POOL")) => {
                let address = match (variable("PICOFAAS_SOCKET")?, variable("PORT")?) {
                    (Some(path), _) => Address::Unix(path.into()),
                    (None, Some(port)) => {
                        let port = port.parse().map_err(|_| SettingError::Port(port))?;
                        let pod = variable(POD_IP).ok().flatten().and_then(|ip| ip.parse().ok());
                        let all = match pod {
                            Some(IpAddr::V6(_)) => Ipv6Addr::UNSPECIFIED.into(),
                            Some(IpAddr::V4(_)) | None => Ipv4Addr::UNSPECIFIED.into(),
                        };
                        Address::Tcp(SocketAddr::new(all, port))
                    }
                    (None, None) => return Err(SettingError::NoAddress),
                };
                // Nobody else reaches a socket of this machine.
                let is_announced =
                    mode.is_some_and(|mode| mode == "WARM") && matches!(address, Address::Tcp(_));
                let announcement = if is_announced { Announcement::read(variable) } else { Ok(None) };
                Role::Server { address, announcement, is_standby }
            }
            Some("JOB") => {
                let given = |name| variable(name)?.ok_or(SettingError::NoAssignment(name));
                let id = given(EXECUTION_ID)?;
                Role::Job(Assignment::read(id, given(RUNTIME_URL)?, given(TOKEN)?)?)
            }
            Some(other) => return Err(SettingError::Mode(other.to_owned())),
        };
        let bytes = |name, default| match variable(name)? {
            None => Ok(default),
            Some(value) => match value.parse() {
                Ok(bytes) if (1..=SETTING_BYTES_MAX).contains(&bytes) => Ok(bytes),
                Ok(_) | Err(_) => Err(SettingError::Bytes { name, value }),
            },
        };
        Ok(Self {
            began,
            role,
            handler: variable("HANDLER")?,
            sizes: SizeLimits {
                body_max: bytes("MAX_BODY", BODY_BYTES_MAX)?,
                output_max: bytes("MAX_OUTPUT", OUTPUT_BYTES_MAX)?,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Settings, SettingError> {
        Settings::read(crate::clock::now(), |name| {
            Ok(variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
        })
    }

    #[test]
    fn the_socket_wins_over_the_port_and_an_empty_variable_is_none() {
        let both = read(&[("PICOFAAS_SOCKET", "/run/fn.sock"), ("PORT", "80")]).unwrap();
        assert!(
            matches!(both.role, Role::Server { address: Address::Unix(path), .. } if path == Path::new("/run/fn.sock"))
        );
        let port = read(&[("PICOFAAS_SOCKET", ""), ("PORT", "8080")]).unwrap();
        let all = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8080));
        assert!(matches!(port.role, Role::Server { address: Address::Tcp(address), .. } if address == all));
        assert_eq!(port.sizes.body_max, BODY_BYTES_MAX);
        assert_eq!(read(&[("PORT", "")]).unwrap_err(), SettingError::NoAddress);
    }

    #[test]
    fn only_what_is_called_warm_and_listens_on_a_port_is_announced_and_a_mistake_stops_nothing() {
        let pod = [
            ("EXECUTION_MODE", "WARM"),
            ("PORT", "8080"),
            ("POD_IP", "fd00::17"),
            ("HOSTNAME", "fn-a-1"),
            ("PICOFAAS_RUNTIME_URL", "http://10.96.0.7:8082"),
            ("PICOFAAS_TOKEN", "t0ken"),
        ];
        let with = |name: &str, value: &'static str| {
            let kept = pod.into_iter().filter(|(known, _)| *known != name);
            let variables: Vec<_> = kept.chain([(name, value)]).collect();
            match read(&variables).unwrap().role {
                Role::Server { address, announcement, .. } => (address, announcement),
                Role::Job(_) => panic!("it is no job"),
            }
        };
        let (address, announcement) = with("MAX_BODY", "");
        assert_eq!(address, Address::Tcp((Ipv6Addr::UNSPECIFIED, 8080).into()), "where the pod's address is");
        assert!(announcement.unwrap().is_some());
        for (name, value) in [("EXECUTION_MODE", ""), ("EXECUTION_MODE", "POOL"), ("PICOFAAS_SOCKET", "/s")] {
            assert!(with(name, value).1.unwrap().is_none(), "{name} {value}");
        }
        assert!(with("POD_IP", "10.244.1.300").1.is_err());
    }

    #[test]
    fn a_standby_is_asked_for_with_1_and_with_nothing_else() {
        let is_standby = |value: &str| match read(&[("PORT", "0"), ("PICOFAAS_STANDBY", value)])?.role {
            Role::Server { is_standby, .. } => Ok::<_, SettingError>(is_standby),
            Role::Job(_) => panic!("it is no job"),
        };
        assert_eq!((is_standby("1"), is_standby("")), (Ok(true), Ok(false)));
        for value in ["0", "true", "01", " 1"] {
            let said = is_standby(value).unwrap_err().to_string();
            assert!(said.starts_with(&format!("PICOFAAS_STANDBY is `{value}`: give 1")), "{said}");
        }
    }

    #[test]
    fn a_limit_outside_its_range_is_refused_and_not_clamped() {
        for value in ["0", "-1", "1e6", "1073741825"] {
            let error = read(&[("PORT", "0"), ("MAX_OUTPUT", value)]).unwrap_err();
            assert_eq!(error, SettingError::Bytes { name: "MAX_OUTPUT", value: value.to_owned() });
        }
        assert_eq!(read(&[("PORT", "0"), ("MAX_OUTPUT", "7")]).unwrap().sizes.output_max, 7);
    }
}
