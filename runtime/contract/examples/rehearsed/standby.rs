//! The one invocation of a standby.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::fault::Fault;
use crate::program::Program;

/// Time for which it waits for its caller to go.
const LINGER_MS: u64 = 1000;
/// A time that has not come.
const NEVER_MS: u64 = u64::MAX;

/// The invocations that may still come. Every ordering is the strongest: nothing here has to be fast.
pub(crate) struct Standby {
    is_standby: bool,
    /// The connection of the one, or 0.
    connection: AtomicU64,
    ended_ms: AtomicU64,
    has_left: AtomicBool,
    next_key: AtomicU64,
}

impl Standby {
    pub(crate) fn from_environment(fault: Option<Fault>) -> Self {
        let value = std::env::var("PICOFAAS_STANDBY").unwrap_or_default();
        let takes_any = fault == Some(Fault::TakesAnyStandby) || fault == Some(Fault::TakesEmptyStandby);
        if !["", "1"].contains(&value.as_str()) && !takes_any {
            eprintln!("PICOFAAS_STANDBY is `{value}`: give 1, or leave it out");
            std::process::exit(2);
        }
        let is_asked_for = std::env::var_os("PICOFAAS_STANDBY").is_some();
        let is_standby = value == "1" || is_asked_for && fault == Some(Fault::TakesEmptyStandby);
        Self {
            is_standby,
            connection: AtomicU64::new(0),
            ended_ms: AtomicU64::new(NEVER_MS),
            has_left: AtomicBool::new(false),
            next_key: AtomicU64::new(1),
        }
    }

    /// The key of a connection.
    pub(crate) fn next_key(&self) -> u64 {
        self.next_key.fetch_add(1, Ordering::SeqCst)
    }

    /// Whether its one has begun.
    pub(crate) fn is_used(&self) -> bool {
        self.connection.load(Ordering::SeqCst) != 0
    }

    /// Whether a handler may be run for an invocation of this connection, which it is then.
    pub(crate) fn begin(&self, program: &Program, connection: u64) -> bool {
        if !self.is_standby || program.has(Fault::ServesTwo) {
            return true;
        }
        self.connection.compare_exchange(0, connection, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// Takes note that a handler has ended.
    pub(crate) fn ended(&self, now: Duration) {
        let now_ms = u64::try_from(now.as_millis()).unwrap_or(NEVER_MS);
        self.ended_ms.store(now_ms, Ordering::SeqCst);
    }

    /// Takes note that a connection was closed.
    pub(crate) fn connection_ended(&self, program: &Program, connection: u64) {
        let is_ours = self.connection.load(Ordering::SeqCst) == connection;
        if is_ours && !program.has(Fault::WaitsThoughClosed) {
            self.has_left.store(true, Ordering::SeqCst);
        }
    }

    /// Whether the process may end.
    pub(crate) fn is_over(&self, program: &Program) -> bool {
        let ended_ms = self.ended_ms.load(Ordering::SeqCst);
        if !self.is_used() || ended_ms == NEVER_MS {
            return false;
        }
        let now_ms = u64::try_from(program.now().as_millis()).unwrap_or(NEVER_MS);
        let has_lingered = now_ms >= ended_ms + LINGER_MS && !program.has(Fault::WaitsForItsCaller);
        self.has_left.load(Ordering::SeqCst) || has_lingered
    }
}
