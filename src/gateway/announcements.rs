//! Announcements of instances that listen, on the runtime listener: their name, and their address.
//!
//! Control decides what an announcement is worth; here it is only read.

use std::net::{IpAddr, SocketAddr};

use hyper::Response;
use hyper::header::HeaderMap;
use serde::Deserialize;

use super::Gateway;
use super::body::BodySource;
use crate::api::call_headers::CallHeaders;
use crate::api::response;
use crate::api::response::Body;
use crate::channel::oneshot;
use crate::dispatch::job::job_token::read_token;
use crate::error::{ApiError, ErrorCode, FieldError, excerpt};
use crate::id::Token;
use crate::instance::InstanceReport;
use crate::messages::control_message::{Announcement, ControlMessage};
use crate::spec::is_object_name;

/// The largest announcement in bytes: a name and an address have fewer than 400.
const ANNOUNCEMENT_BYTES_MAX: usize = 4096;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PostedAnnouncement {
    instance: String,
    address: String,
}

impl Gateway {
    /// `POST /v1/internal/instances`.
    pub(super) async fn announce_instance(&self, headers: &HeaderMap, body: BodySource) -> Response<Body> {
        match self.announce(headers, body).await {
            Ok(()) => response::no_content(),
            Err(error) => response::error(&error),
        }
    }

    async fn announce(&self, headers: &HeaderMap, body: BodySource) -> Result<(), ApiError> {
        // Before the body is read, as with results.
        let token = read_token(headers).ok_or_else(|| {
            let text = "Authorization must be `Bearer` and the PICOFAAS_TOKEN of this instance";
            ApiError::new(ErrorCode::Unauthorized, text).closing()
        })?;
        CallHeaders::read(headers).check_content_type().map_err(ApiError::closing)?;
        let body = self.read_body_of(body, ANNOUNCEMENT_BYTES_MAX).await.map_err(|error| {
            if error.code == ErrorCode::BodyTooLarge {
                let text = format!("an announcement has at most {ANNOUNCEMENT_BYTES_MAX} bytes");
                ApiError::new(ErrorCode::BodyTooLarge, text).closing()
            } else {
                error
            }
        })?;
        let mut report = InstanceReport::default();
        headers.iter().for_each(|(name, value)| report.read(name.as_str(), value.as_bytes()));
        let announcement = Box::new(Announcement { report, ..read(token, &body)? });
        let (answer, awaited) = oneshot::channel();
        self.send_to_control(ControlMessage::Announce { announcement, answer }, awaited).await?
    }
}

/// Reads an announcement and lists everything that is wrong with it.
fn read(token: Token, body: &[u8]) -> Result<Announcement, ApiError> {
    let wrong = |error: &str| {
        let text = format!("the body must be {{\"instance\",\"address\"}}, two texts: {error}");
        ApiError::new(ErrorCode::InvalidAnnouncement, text)
    };
    let posted: PostedAnnouncement = serde_json::from_slice(body).map_err(|error| {
        if error.is_data() {
            wrong(&error.to_string())
        } else {
            ApiError::new(ErrorCode::InvalidJson, format!("the body is not JSON: {error}"))
        }
    })?;
    // The parser also takes the two in a list, without their names.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(wrong("it is a list"));
    }
    let mut errors = Vec::new();
    if !is_object_name(&posted.instance) {
        errors.push(FieldError {
            field: "instance".to_owned(),
            message: format!(
                "must be the name of the pod, 1 to 253 lower-case letters, digits, - and ., is \"{}\"",
                excerpt(&posted.instance)
            ),
        });
    }
    let address = posted.address.parse::<SocketAddr>().ok().filter(is_reachable);
    match address {
        Some(address) if errors.is_empty() => {
            let report = InstanceReport::default();
            Ok(Announcement { token, instance: posted.instance, address, report })
        }
        _ => {
            if address.is_none() {
                errors.push(FieldError {
                    field: "address".to_owned(),
                    message: format!(
                        "must be the pod's IP address and a port above 0, as in 10.1.2.3:8080 or [fd00::1]:8080, is \"{}\"",
                        excerpt(&posted.address)
                    ),
                });
            }
            Err(ApiError::new(ErrorCode::InvalidAnnouncement, "the announcement is not one; see the details")
                .with_details(errors))
        }
    }
}

/// Whether a pod can listen there. At a loopback or link-local address the control plane would call itself, its
/// machine, or the cloud's metadata, and no pod; a scope means something only on the machine that has it.
fn is_reachable(address: &SocketAddr) -> bool {
    let is_a_pods = match address.ip().to_canonical() {
        IpAddr::V4(ip) => {
            !(ip.is_loopback() || ip.is_link_local() || ip.is_unspecified() || ip.is_multicast())
        }
        IpAddr::V6(ip) => {
            !(ip.is_loopback() || ip.is_unicast_link_local() || ip.is_unspecified() || ip.is_multicast())
        }
    };
    let is_scoped = matches!(address, SocketAddr::V6(address) if address.scope_id() != 0);
    address.port() != 0 && is_a_pods && !is_scoped
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: Token = Token { high: 1, low: 2 };

    fn announced(instance: &str, address: &str) -> Result<SocketAddr, Vec<String>> {
        let body = serde_json::json!({ "instance": instance, "address": address }).to_string();
        match read(TOKEN, body.as_bytes()) {
            Ok(announcement) => {
                assert_eq!((announcement.instance.as_str(), announcement.token), (instance, TOKEN));
                Ok(announcement.address)
            }
            Err(error) => {
                assert_eq!(error.code, ErrorCode::InvalidAnnouncement, "{body}");
                Err(error.details.into_iter().map(|error| error.field).collect())
            }
        }
    }

    #[test]
    fn an_address_is_an_ip_and_a_port_and_no_name_or_place_that_nobody_reaches() {
        for address in ["10.1.2.3:8080", "192.168.0.9:1", "[fd00::1]:65535", "[::ffff:10.0.0.1]:80"] {
            assert_eq!(announced("a", address).map(|address| address.port() > 0), Ok(true), "{address}");
        }
        for address in [
            "",
            "10.1.2.3",
            "10.1.2.3:",
            "10.1.2.3:0",
            "10.1.2.3:65536",
            "10.1.2.3:+1",
            " 10.1.2.3:1",
            "010.1.2.3:1",
            "localhost:8080",
            "fd00::1:8080",
            "[fd00::1]",
            "[fe80::1%2]:80",
            "[fe80::1]:80",
            "127.0.0.1:8081",
            "127.8.8.8:80",
            "[::1]:8081",
            "[::ffff:127.0.0.1]:8081",
            "169.254.169.254:80",
            "[::ffff:169.254.169.254]:80",
            "0.0.0.0:80",
            "[::]:80",
            "224.0.0.1:80",
            "http://10.1.2.3:80",
        ] {
            assert_eq!(announced("a", address), Err(vec!["address".to_owned()]), "{address:?}");
        }
    }

    #[test]
    fn an_instance_is_named_as_a_pod_may_be_and_every_fault_is_listed() {
        let (longest, longer) = ("a".repeat(253), "a".repeat(254));
        for instance in ["a", "fn-word-stats-5d9c7b8f6d-x2x7k", "a.b-c.0", longest.as_str()] {
            assert!(announced(instance, "10.1.2.3:80").is_ok(), "{instance}");
        }
        for instance in ["", "A", "a_b", "-a", "a-", "a..b", ".a", "a.", "a b", "ä", longer.as_str()] {
            let errors = announced(instance, "10.1.2.3:80");
            assert_eq!(errors, Err(vec!["instance".to_owned()]), "{instance:?}");
        }
        assert_eq!(announced("", ""), Err(vec!["instance".to_owned(), "address".to_owned()]));
    }

    #[test]
    fn what_is_not_json_and_what_has_other_members_is_refused_each_with_its_code() {
        let code = |body: &str| read(TOKEN, body.as_bytes()).map_err(|error| error.code).expect_err(body);
        for body in ["", "{", "{\"instance\":\"a\",\"address\":\"10.1.2.3:80\"} x", "a"] {
            assert_eq!(code(body), ErrorCode::InvalidJson, "{body}");
        }
        for body in [
            "[]",
            "[\"a\",\"10.1.2.3:80\"]",
            "null",
            "{}",
            "{\"instance\":\"a\"}",
            "{\"instance\":\"a\",\"address\":null}",
            "{\"instance\":\"a\",\"address\":\"10.1.2.3:80\",\"port\":80}",
            "{\"instance\":\"a\",\"instance\":\"a\",\"address\":\"10.1.2.3:80\"}",
        ] {
            assert_eq!(code(body), ErrorCode::InvalidAnnouncement, "{body}");
        }
    }
}
