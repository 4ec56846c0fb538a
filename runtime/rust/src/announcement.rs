//! The announcement of an instance that listens, repeated until the control plane takes it.
//!
//! Kubernetes tells the control plane about half a second later. Nothing waits for this: the instance
//! serves, taken or not.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};

use hyper::StatusCode;
use serde::Serialize;
use tokio::net::unix::pipe::Receiver;
use tokio::time::{Instant, sleep, timeout};

use crate::access::{Access, RUNTIME_URL, TOKEN};
use crate::client::Connection;
use crate::clock;
use crate::control_plane::{ControlError, ControlRequest, ControlResponse, exchange_over};
use crate::limits::{
    ANNOUNCE_MAX, ANNOUNCE_PAUSE_MAX, ANNOUNCE_PAUSE_MIN, ANNOUNCE_SILENCE, HEALTH_PAUSE, REFUSAL_BYTES_MAX,
};
use crate::log;
use crate::settings::SettingError;

pub(crate) const POD_IP: &str = "POD_IP";
const HOSTNAME: &str = "HOSTNAME";

/// The instance that announces itself, and the control plane.
#[derive(Debug)]
pub(crate) struct Announcement {
    access: Access,
    /// The name of the pod.
    instance: String,
    ip: IpAddr,
}

#[derive(Serialize)]
struct Body<'a> {
    instance: &'a str,
    address: String,
}

impl Announcement {
    /// Reads it from the environment; none where one of the three variables is missing.
    pub(crate) fn read(
        variable: impl Fn(&'static str) -> Result<Option<String>, SettingError>,
    ) -> Result<Option<Self>, SettingError> {
        let (Some(url), Some(token), Some(ip)) =
            (variable(RUNTIME_URL)?, variable(TOKEN)?, variable(POD_IP)?)
        else {
            return Ok(None);
        };
        let access = Access::read(url, token)?;
        let Ok(ip) = ip.parse() else {
            return Err(SettingError::Value { name: POD_IP, value: ip, rule: "the pod's IP address" });
        };
        let instance = variable(HOSTNAME)?.ok_or(SettingError::NoInstance)?;
        Ok(Some(Self { access, instance, ip }))
    }

    /// Says that the instance listens at `port` as soon as it `is_healthy`, and again until that is
    /// taken, each time with what it `tells` of itself: lines of headers.
    pub(crate) async fn make(self, port: u16, is_healthy: impl Fn() -> bool, tells: impl Fn() -> String) {
        let body = Body { instance: &self.instance, address: SocketAddr::new(self.ip, port).to_string() };
        let body = serde_json::to_vec(&body).expect("two texts are always JSON");
        let mut pause = ANNOUNCE_PAUSE_MIN;
        let mut told: Option<Instant> = None;
        loop {
            // A handler's health is a question to it, which gives no event when the answer changes.
            while !is_healthy() {
                sleep(HEALTH_PAUSE).await;
            }
            let told_of_it = tells();
            let length = body.len();
            let more = format!("content-type: application/json\r\ncontent-length: {length}\r\n{told_of_it}");
            let head = self.access.head("POST", "/v1/internal/instances", &more);
            let request = ControlRequest { head, body: [&body, &[], &[]], body_max: REFUSAL_BYTES_MAX };
            let Err(error) = self.attempt(&request).await else { break };
            let now = clock::now();
            if told.is_none_or(|told| now.duration_since(told) >= ANNOUNCE_SILENCE) {
                log::line(&format!(
                    "warning the instance serves, but cannot be announced: {error}; trying again"
                ));
                told = Some(now);
            }
            sleep(pause).await;
            pause = ANNOUNCE_PAUSE_MAX.min(pause * 2);
        }
        if told.is_some() {
            log::line("the instance is announced");
        }
    }

    /// One try, over a connection of its own: behind one address there may be another control plane
    /// by now.
    async fn attempt(&self, request: &ControlRequest<'_>) -> Result<(), ControlError> {
        let exchange = async {
            let addresses =
                look_up(&self.access.host, self.access.port).await.map_err(ControlError::Connect)?;
            let mut connection = Connection::open(&addresses[..]).await.map_err(ControlError::Connect)?;
            exchange_over(&mut connection, request).await
        };
        match timeout(ANNOUNCE_MAX, exchange).await {
            Ok(Ok(ControlResponse { status: StatusCode::NO_CONTENT, .. })) => Ok(()),
            Ok(Ok(response)) => Err(response.into_error()),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(ControlError::TimedOut),
        }
    }
}

/// The addresses of a host. A name is looked up on a thread of its own that nobody waits for: one of
/// the event loop's would keep the process from ending until the look-up did.
async fn look_up(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(ip) = host.parse() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let name = (host.to_owned(), port);
    // The thread has the writing end of a pipe, which is closed when it ends, also by a panic.
    let (reader, writer) = io::pipe()?;
    let ended = Receiver::from_owned_fd(reader.into())?;
    let thread = std::thread::Builder::new().name("look-up".to_owned()).spawn(move || {
        let _open = writer;
        Ok(name.to_socket_addrs()?.collect())
    })?;
    ended.readable().await?;
    thread.join().unwrap_or_else(|_| Err(io::Error::other("the look-up of the name panicked")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<Announcement>, SettingError> {
        Announcement::read(|name| {
            Ok(variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
        })
    }

    const WHOLE: [(&str, &str); 4] = [
        (RUNTIME_URL, "http://10.96.0.7:8082"),
        (TOKEN, "t0ken"),
        (POD_IP, "fd00::17"),
        (HOSTNAME, "fn-a-1"),
    ];

    #[test]
    fn one_of_the_three_missing_is_no_announcement_and_what_is_wrong_is_named() {
        assert!(read(&WHOLE).unwrap().is_some());
        for missing in [RUNTIME_URL, TOKEN, POD_IP] {
            let rest: Vec<_> = WHOLE.into_iter().filter(|(name, _)| *name != missing).collect();
            assert!(read(&rest).unwrap().is_none(), "{missing}");
        }
        assert_eq!(read(&WHOLE[..3]).unwrap_err(), SettingError::NoInstance);
        for (name, wrong) in [(RUNTIME_URL, "https://h:1"), (POD_IP, "h"), (POD_IP, "[fd00::17]")] {
            let variables: Vec<_> = WHOLE
                .iter()
                .map(|(known, value)| (*known, if *known == name { wrong } else { value }))
                .collect();
            let said = read(&variables).unwrap_err().to_string();
            assert!(said.starts_with(&format!("{name} is `{wrong}`: give ")), "{said}");
        }
    }
}
