//! The port of a server.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};

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
            // Whatever else stands in the way, it may not stand in the server's.
            Ok(_) => Ok(Self { number, _claim: None }),
            Err(error) if error.kind() != io::ErrorKind::AddrInUse => Ok(Self { number, _claim: None }),
            Err(error) => Err(error),
        }
    }

    fn find() -> io::Result<Self> {
        loop {
            let number = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
            let name = SocketAddr::from_abstract_name(format!("picofaas-watchdog-port-{number}"))?;
            match UnixListener::bind_addr(&name) {
                Ok(claim) => return Ok(Self { number, _claim: Some(claim) }),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => return Err(error),
            }
        }
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
}
