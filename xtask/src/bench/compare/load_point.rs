//! A load that subjects are measured under: one value of each factor.

use std::fmt;

use clap::ValueEnum;
use serde::Serialize;

use super::program::FunctionRuntime;

/// Connections that an open loop opens as it needs them; as many requests may be under way.
pub(super) const OPEN_CONNECTIONS: u32 = 128;

const KIB: u32 = 1024;

/// One value of each factor.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub(super) struct LoadPoint {
    pub verb: Verb,
    pub transport: Transport,
    pub runtime: FunctionRuntime,
    pub pace: Pace,
    pub connections: u32,
    /// Of a whole request body.
    pub body_bytes: u32,
}

/// Call of picofaas. What has no queue is called in one way only.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Verb {
    /// The client waits for the function
    Invoke,
    /// The client waits for the queue
    Enqueue,
}

/// Between the function and what is in front of it. Clients of that always use TCP.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Transport {
    /// A POOL function at a port of this machine
    Tcp,
    /// A WARM function, which picofaas starts itself and calls over a Unix socket
    Unix,
}

/// When a request is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Pace {
    /// When the one before it on its connection was answered.
    Closed,
    /// At its time, whatever became of those before it.
    Open {
        /// Share of nginx's peak.
        percent: u32,
    },
}

impl LoadPoint {
    /// Others differ from it by one factor.
    pub(super) const USUAL: Self = Self {
        verb: Verb::Invoke,
        transport: Transport::Tcp,
        runtime: FunctionRuntime::Rust,
        pace: Pace::Closed,
        connections: 32,
        body_bytes: 40,
    };

    pub(super) fn open(percent: u32) -> Self {
        Self { pace: Pace::Open { percent }, connections: OPEN_CONNECTIONS, ..Self::USUAL }
    }

    pub(super) fn is_closed(&self) -> bool {
        matches!(self.pace, Pace::Closed)
    }
}

impl Verb {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Invoke => "invoke",
            Self::Enqueue => "enqueue",
        }
    }
}

impl Transport {
    fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Unix => "Unix",
        }
    }
}

/// With every factor, as it is the name of a row.
impl fmt::Display for LoadPoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verb, transport, runtime, pace, connections, body_bytes } = *self;
        write!(out, "{}, {}, {}, ", verb.name(), transport.name(), runtime.name())?;
        match body_bytes {
            whole if whole >= KIB && whole.is_multiple_of(KIB) => write!(out, "{} KiB, ", whole / KIB)?,
            bytes => write!(out, "{bytes} B, ")?,
        }
        match pace {
            Pace::Closed => {
                write!(out, "{connections} connection{}", if connections == 1 { "" } else { "s" })
            }
            Pace::Open { percent } => write!(out, "open loop at {percent} %"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_load_has_every_factor() {
        assert_eq!(LoadPoint::USUAL.to_string(), "invoke, TCP, rust, 40 B, 32 connections");
        let other = LoadPoint {
            verb: Verb::Enqueue,
            transport: Transport::Unix,
            runtime: FunctionRuntime::Python,
            connections: 1,
            body_bytes: 256 * KIB,
            ..LoadPoint::USUAL
        };
        assert_eq!(other.to_string(), "enqueue, Unix, python, 256 KiB, 1 connection");
        assert_eq!(LoadPoint::open(30).to_string(), "invoke, TCP, rust, 40 B, open loop at 30 %");
    }
}
