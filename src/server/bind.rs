//! Listening sockets.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};

/// Connections the kernel holds for us before we accept them.
pub(crate) const BACKLOG: i32 = 1024;

/// Use of a port by the sockets of a process.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PortUse {
    /// One socket has the port.
    Exclusive,
    /// Several sockets share the port.
    Shared,
}

/// Opens a listening socket.
///
/// # Errors
/// If the address cannot be bound, e.g. because the port is in use.
pub(crate) fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = bind(address, PortUse::Exclusive)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Opens a listening socket for each of several threads at one address; the kernel gives each new
/// connection to one of them, by a hash of both ends.
///
/// # Errors
/// If the address cannot be bound, e.g. because the port is in use.
pub(crate) fn listen_each(address: SocketAddr, threads: usize) -> io::Result<Vec<std::net::TcpListener>> {
    if threads == 1 {
        return Ok(vec![listen(address)?]);
    }
    // Sockets that share a port share it with those of another process, too, which would get some
    // of our connections. A socket that does not share finds out whether somebody listens.
    drop(bind(address, PortUse::Exclusive)?);
    let mut listeners: Vec<std::net::TcpListener> = Vec::with_capacity(threads);
    for _ in 0..threads {
        // Port 0 takes a free one, which the others share.
        let address = listeners.first().map_or(Ok(address), std::net::TcpListener::local_addr)?;
        let socket = bind(address, PortUse::Shared)?;
        socket.listen(BACKLOG)?;
        listeners.push(socket.into());
    }
    Ok(listeners)
}

fn bind(address: SocketAddr, port_use: PortUse) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(port_use == PortUse::Shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}
