//! The port of a server.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::RangeInclusive;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};

/// Below are the ports of services that people start by hand.
const HIGH_ENOUGH: u16 = 20_000;
/// Distance between the first choices of watchdogs that were started one after the other.
const STRIDE: usize = 37;

/// A port for one server, on which nobody listens yet.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) number: u16,
    /// Keeps other watchdogs from choosing the same before the server listens. A name like this
    /// is known where the port is, and is given up by the kernel when we end.
    _claim: Option<UnixListener>,
}

impl Port {
    /// Takes the port that the settings name, or finds a free one.
    pub(crate) fn take(fixed: Option<u16>) -> io::Result<Self> {
        let Some(number) = fixed else { return Self::find() };
        match TcpListener::bind((Ipv4Addr::LOCALHOST, number)) {
            // Another obstacle may not be one for the server.
            Ok(_) => Ok(Self { number, _claim: None }),
            Err(error) if error.kind() != io::ErrorKind::AddrInUse => Ok(Self { number, _claim: None }),
            Err(error) => Err(error),
        }
    }

    /// Finds a port outside of the range that the kernel gives to listeners without a wish and to
    /// connections: before the server listens, it could be theirs, and be taken for the server.
    fn find() -> io::Result<Self> {
        let given_out = given_out();
        let above = given_out.end().saturating_add(1)..=u16::MAX;
        let below = HIGH_ENOUGH..=given_out.start().saturating_sub(1);
        let candidates: Vec<u16> = above.chain(below).filter(|port| !given_out.contains(port)).collect();
        // Not all watchdogs are to try the same one first.
        let first = std::process::id() as usize * STRIDE;
        for at in 0..candidates.len() {
            if let Some(port) = Self::claim(candidates[(first + at) % candidates.len()])? {
                return Ok(port);
            }
        }
        loop {
            let number = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
            if let Some(port) = Self::claim(number)? {
                return Ok(port);
            }
        }
    }

    /// Takes a port where nobody has it.
    fn claim(number: u16) -> io::Result<Option<Self>> {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, number)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Ok(None),
            Err(error) => return Err(error),
        }
        let name = SocketAddr::from_abstract_name(format!("picofaas-watchdog-port-{number}"))?;
        match UnixListener::bind_addr(&name) {
            Ok(claim) => Ok(Some(Self { number, _claim: Some(claim) })),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The ports that the kernel chooses from.
fn given_out() -> RangeInclusive<u16> {
    let setting = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut numbers = setting.split_ascii_whitespace().map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(first)), Some(Ok(last))) => first..=last,
        // Not to be read: the default of Linux.
        _ => 32_768..=60_999,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_not_taken_and_no_two_find_the_same() {
        let busy = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let number = busy.local_addr().unwrap().port();
        assert_eq!(Port::take(Some(number)).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(busy);
        assert_eq!(Port::take(Some(number)).unwrap().number, number);
        let found: Vec<_> = (0..200).map(|_| Port::take(None).unwrap()).collect();
        let numbers: std::collections::BTreeSet<_> = found.iter().map(|port| port.number).collect();
        assert_eq!(numbers.len(), found.len());
    }

    #[test]
    fn a_port_that_is_found_is_none_that_the_kernel_may_give_to_another() {
        let given_out = given_out();
        assert!(
            given_out
                .contains(&TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port())
        );
        let found = Port::take(None).unwrap().number;
        assert!(!given_out.contains(&found), "{found} is within {given_out:?}");
    }
}
