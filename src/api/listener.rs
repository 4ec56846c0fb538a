//! The listener that a request came in on, and what its answer may show.

use std::net::IpAddr;

use crate::config::ServeArgs;

/// The callers that a listener is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerKind {
    /// `--listen`
    Clients,
    /// `--runtime-listen`
    Runtimes,
    /// `--management-listen`
    Operators,
}

/// The listener that a request came in on. It goes with the request wherever that is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The callers that it is for.
    pub kind: ListenerKind,
    /// It is bound to loopback: who calls is on this machine.
    pub is_loopback: bool,
}

impl Listener {
    /// A listener at an address.
    #[must_use]
    pub fn new(kind: ListenerKind, ip: IpAddr) -> Self {
        Self { kind, is_loopback: ip.is_loopback() }
    }

    /// The listener of clients.
    #[must_use]
    pub fn of_clients(flags: &ServeArgs) -> Self {
        Self::new(ListenerKind::Clients, flags.listen.ip())
    }

    /// Whether an answer may show the values of variables: to operators, and to clients on this machine.
    #[must_use]
    pub fn shows_values(self) -> bool {
        match self.kind {
            ListenerKind::Operators => true,
            ListenerKind::Clients => self.is_loopback,
            ListenerKind::Runtimes => false,
        }
    }

    /// Whether its callers may do what is an operator's: change functions, and read what has the ids of everybody's
    /// executions, by which results are read and executions cancelled.
    #[must_use]
    pub fn may_operate(self, flags: &ServeArgs) -> bool {
        self.shows_values() || (self.kind == ListenerKind::Clients && flags.allow_writes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_for_operators_and_for_clients_of_a_listener_that_no_other_machine_reaches() {
        let shows = |kind, ip: &str| Listener::new(kind, ip.parse().unwrap()).shows_values();
        for ip in ["127.0.0.1", "127.8.8.8", "::1"] {
            assert!(shows(ListenerKind::Clients, ip), "{ip}");
        }
        for ip in ["0.0.0.0", "::", "10.0.0.7", "fe80::1", "::ffff:10.0.0.7"] {
            assert!(!shows(ListenerKind::Clients, ip), "{ip}");
            assert!(shows(ListenerKind::Operators, ip), "{ip}");
        }
        assert!(!shows(ListenerKind::Runtimes, "127.0.0.1"));
    }
}
