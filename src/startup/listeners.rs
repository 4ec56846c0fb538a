//! The sockets on which the control plane listens.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use anyhow::Context as _;

use crate::config::ServeArgs;
use crate::server::bind::{listen, listen_each};

/// The sockets, bound.
pub(super) struct Listeners {
    /// One for each gateway, all at one address, which clients call.
    pub(super) gateways: Vec<TcpListener>,
    /// Socket that operators call.
    pub(super) management: TcpListener,
    /// Socket that processes of `JOB` functions call.
    pub(super) runtime: TcpListener,
}

/// Their addresses, with the ports that the kernel chose.
#[derive(Clone, Copy)]
pub(super) struct Addresses {
    pub(super) gateways: SocketAddr,
    pub(super) management: SocketAddr,
    pub(super) runtime: SocketAddr,
}

impl Listeners {
    /// Binds them.
    ///
    /// # Errors
    /// With the name of the flag whose address cannot be bound.
    pub(super) fn bind(flags: &ServeArgs, gateways: usize) -> anyhow::Result<Self> {
        Ok(Self {
            gateways: listen_each(flags.listen, gateways)
                .map_err(|error| cannot_bind("--listen", flags.listen, error))?,
            management: listen(flags.management_listen)
                .map_err(|error| cannot_bind("--management-listen", flags.management_listen, error))?,
            runtime: listen(flags.runtime_listen)
                .map_err(|error| cannot_bind("--runtime-listen", flags.runtime_listen, error))?,
        })
    }

    pub(super) fn addresses(&self) -> anyhow::Result<Addresses> {
        Ok(Addresses {
            gateways: self.gateways.first().context("there is no gateway")?.local_addr()?,
            management: self.management.local_addr()?,
            runtime: self.runtime.local_addr()?,
        })
    }
}

/// The address at which a process of this machine reaches a listener, which may listen on every address.
pub(super) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        IpAddr::V4(_) | IpAddr::V6(_) => address.ip(),
    };
    SocketAddr::new(ip, address.port())
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the other kinds of `std` have no remedy")]
fn cannot_bind(flag: &str, address: SocketAddr, error: std::io::Error) -> anyhow::Error {
    let remedy = match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            ": another program listens there; stop it, or choose another port (0 takes a free one)"
        }
        std::io::ErrorKind::PermissionDenied => ": choose a port above 1023",
        std::io::ErrorKind::AddrNotAvailable => ": choose an address of this machine",
        _ => "",
    };
    anyhow::Error::new(error).context(format!("{flag} {address}: cannot be bound{remedy}"))
}
