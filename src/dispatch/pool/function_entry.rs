//! The connections of one gateway to the instances of one version of a function.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

use super::connection::Connection;
use crate::clock::Nanos;
use crate::function_version::{Address, FunctionVersion, Target};
use crate::scheduler::message::{InstanceKey, VersionIndex};

/// Idle connections kept per instance. More than are ever in flight on most instances; above
/// it connections are closed after use.
const IDLE_PER_INSTANCE_MAX: usize = 256;

/// Time that a TCP connection to an endpoint may be idle (ns). Common servers close after 5 s, and a
/// request that meets the close costs an attempt.
const IDLE_TCP_NS: Nanos = 4_000_000_000;

/// The idle connections to one instance.
#[derive(Debug)]
struct Pool {
    address: Arc<Address>,
    /// With the time each was put here. The last one used is the next one taken: it is the warmest.
    idle: Vec<(Connection, Nanos)>,
}

impl Pool {
    /// Time that a connection may be idle: our own instances do not close theirs.
    fn idle_max(&self) -> Nanos {
        match self.address.target {
            Target::Tcp(_) => IDLE_TCP_NS,
            Target::Unix(_) => Nanos::MAX,
        }
    }
}

/// The entries of one gateway that keep idle connections, by version. A sweep looks at these and at no
/// others, so that functions nobody calls cost those that are called nothing.
#[derive(Debug, Default)]
pub struct IdleConnections(RefCell<BTreeSet<VersionIndex>>);

impl IdleConnections {
    /// Sweeps each entry that `find` knows, and forgets those that keep nothing any more.
    pub fn sweep(&self, now: Nanos, find: impl Fn(VersionIndex) -> Option<Rc<FunctionEntry>>) {
        self.0.borrow_mut().retain(|version| find(*version).is_some_and(|entry| entry.sweep(now)));
    }
}

/// A gateway's entry of one version of a function: its pools and its counts.
#[derive(Debug)]
pub struct FunctionEntry {
    /// The version as all threads share it.
    pub function: Arc<FunctionVersion>,
    /// Bytes of payloads and outputs that its executions hold on this gateway.
    pub bytes: Rc<Cell<usize>>,
    /// The rate at which its executions end.
    pub drain: DrainRate,
    pools: RefCell<Box<[Option<Pool>]>>,
    idle_connections: Rc<IdleConnections>,
    /// It is in `idle_connections`, unless another version had its index before.
    has_idle: Cell<bool>,
}

impl FunctionEntry {
    /// An entry with no connection yet. `bytes` is shared by the versions of a function, `idle_connections`
    /// by all entries.
    #[must_use]
    pub fn new(
        function: Arc<FunctionVersion>,
        bytes: Rc<Cell<usize>>,
        idle_connections: Rc<IdleConnections>,
    ) -> Self {
        let pools = function.addresses.iter().map(|_| None).collect();
        Self {
            function,
            bytes,
            drain: DrainRate::default(),
            pools: RefCell::new(pools),
            idle_connections,
            has_idle: Cell::new(false),
        }
    }

    /// The address of an instance; `None` where it has gone since it was granted.
    #[must_use]
    pub fn address(&self, instance: InstanceKey) -> Option<Arc<Address>> {
        let mut pools = self.pools.borrow_mut();
        let pool = pools.get_mut(usize::from(instance.place))?;
        if let Some(known) = pool
            && known.address.generation == instance.generation
        {
            return Some(known.address.clone());
        }
        let address = self.function.addresses[usize::from(instance.place)].load_full()?;
        if address.generation != instance.generation {
            return None;
        }
        *pool = Some(Pool { address: address.clone(), idle: Vec::new() });
        Some(address)
    }

    /// An idle connection to the instance that is still open.
    #[must_use]
    pub fn take(&self, instance: InstanceKey, now: Nanos) -> Option<Connection> {
        let mut pools = self.pools.borrow_mut();
        let pool = pools.get_mut(usize::from(instance.place))?.as_mut()?;
        if pool.address.generation != instance.generation {
            return None;
        }
        while let Some((connection, since)) = pool.idle.pop() {
            if now.saturating_sub(since) < pool.idle_max() && connection.is_quiet() {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection for the next attempt.
    pub fn put(&self, instance: InstanceKey, connection: Connection, now: Nanos) {
        let mut pools = self.pools.borrow_mut();
        if let Some(Some(pool)) = pools.get_mut(usize::from(instance.place))
            && pool.address.generation == instance.generation
            && pool.idle.len() < IDLE_PER_INSTANCE_MAX
        {
            pool.idle.push((connection, now));
            if !self.has_idle.replace(true) {
                self.idle_connections.0.borrow_mut().insert(self.function.index);
            }
        }
    }

    /// Closes the connections that have been idle too long, and those to instances that are gone.
    /// Answers whether any is left.
    fn sweep(&self, now: Nanos) -> bool {
        let mut has_idle = false;
        for (pool, address) in self.pools.borrow_mut().iter_mut().zip(self.function.addresses.iter()) {
            let current = address.load().as_ref().map(|address| address.generation);
            if pool.as_ref().is_some_and(|pool| Some(pool.address.generation) != current) {
                *pool = None;
            }
            if let Some(pool) = pool {
                let idle_max = pool.idle_max();
                pool.idle.retain(|(_, since)| now.saturating_sub(*since) < idle_max);
                has_idle |= !pool.idle.is_empty();
            }
        }
        self.has_idle.set(has_idle);
        has_idle
    }
}

/// The rate at which executions of a function end, averaged over about two windows.
#[derive(Debug, Default)]
pub struct DrainRate {
    window_start: Cell<Nanos>,
    in_window: Cell<u32>,
    per_second: Cell<f64>,
}

/// Length of one window of the measurement.
const WINDOW_NS: Nanos = 1_000_000_000;

impl DrainRate {
    /// Counts an execution that has ended.
    pub fn count(&self, now: Nanos) {
        let elapsed = now.saturating_sub(self.window_start.get());
        if elapsed >= WINDOW_NS {
            let rate = f64::from(self.in_window.get()) * 1e9 / elapsed as f64;
            self.per_second.set((self.per_second.get() + rate) / 2.0);
            self.window_start.set(now);
            self.in_window.set(0);
        }
        self.in_window.set(self.in_window.get() + 1);
    }

    /// In how many seconds (1 … 60) `depth` executions will have drained.
    #[must_use]
    pub fn seconds_for(&self, depth: usize) -> u32 {
        let rate = self.per_second.get().max(f64::from(self.in_window.get()));
        if rate <= 0.0 {
            return 1;
        }
        #[expect(clippy::cast_sign_loss, reason = "both are positive")]
        let seconds = (depth as f64 / rate).ceil() as u32;
        seconds.clamp(1, 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_said_to_drain_as_fast_as_executions_have_been_ending() {
        let rate = DrainRate::default();
        assert_eq!(rate.seconds_for(1000), 1, "nothing has ended yet");
        // 20 per second for four seconds.
        for nth in 0..80_u64 {
            rate.count(WINDOW_NS + nth * 50_000_000);
        }
        for (depth, seconds) in [(0, 1), (10, 1), (100, 5), (400, 20), (1_000_000, 60)] {
            let said = rate.seconds_for(depth);
            assert!(said.abs_diff(seconds) <= 1 + seconds / 5, "{said} s for {depth}, not {seconds} s");
        }
        // It becomes slower: 2 per second.
        for nth in 0..20_u64 {
            rate.count(5 * WINDOW_NS + nth * 500_000_000);
        }
        let said = rate.seconds_for(40);
        assert!((17..=22).contains(&said), "{said} s");
    }
}
