//! The connections of one gateway to the instances of one version of a function.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

use super::connection::Connection;
use super::frames::frame_connection::FrameConnection;
use super::frames::offer::FrameOffer;
use crate::clock::Nanos;
use crate::instance::{Address, InstanceKey, Target, VersionIndex};
use crate::store::function_entry::FunctionEntry;

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
    /// Whether it speaks frames.
    offer: FrameOffer,
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

/// The versions of one gateway that keep idle connections. A sweep looks at these and at no others, so
/// that functions nobody calls cost those that are called nothing.
#[derive(Debug, Default)]
pub(crate) struct IdleConnections(RefCell<BTreeSet<VersionIndex>>);

impl IdleConnections {
    /// Sweeps the pools of each version that `find` knows, and forgets those that keep nothing any more.
    pub(crate) fn sweep(&self, now: Nanos, find: impl Fn(VersionIndex) -> Option<Rc<InstancePools>>) {
        self.0.borrow_mut().retain(|version| find(*version).is_some_and(|pools| pools.sweep(now)));
    }
}

/// A version of a function, and the connections of one gateway to its instances.
#[derive(Debug)]
pub(crate) struct InstancePools {
    /// The version.
    pub entry: Rc<FunctionEntry>,
    pools: RefCell<Box<[Option<Pool>]>>,
    idle_connections: Rc<IdleConnections>,
    /// It is in `idle_connections`, unless another version had its index before.
    has_idle: Cell<bool>,
}

impl InstancePools {
    /// Pools with no connection yet. `idle_connections` is shared by those of all versions.
    #[must_use]
    pub(crate) fn new(entry: Rc<FunctionEntry>, idle_connections: Rc<IdleConnections>) -> Self {
        let pools = entry.function.addresses.iter().map(|_| None).collect();
        Self { entry, pools: RefCell::new(pools), idle_connections, has_idle: Cell::new(false) }
    }

    /// The address of an instance; `None` where it has gone since it was granted.
    #[must_use]
    pub(crate) fn address(&self, instance: InstanceKey) -> Option<Arc<Address>> {
        let mut pools = self.pools.borrow_mut();
        let pool = pools.get_mut(usize::from(instance.place))?;
        if let Some(known) = pool
            && known.address.generation == instance.generation
        {
            return Some(known.address.clone());
        }
        let address = self.entry.function.addresses[usize::from(instance.place)].load_full()?;
        if address.generation != instance.generation {
            return None;
        }
        *pool = Some(Pool { address: address.clone(), idle: Vec::new(), offer: FrameOffer::default() });
        Some(address)
    }

    /// The connection to the instance that carries many attempts, where there is one.
    pub(crate) fn frames(&self, instance: InstanceKey) -> Option<(usize, Rc<FrameConnection>)> {
        let pools = self.pools.borrow();
        let pool = pools.get(usize::from(instance.place))?.as_ref()?;
        if pool.address.generation != instance.generation {
            return None;
        }
        pool.offer.connection().map(|(number, connection)| (number, connection.clone()))
    }

    /// The address of an instance that is to be asked now whether it speaks frames. It counts as asked then.
    pub(crate) fn offer_frames(&self, instance: InstanceKey, now: Nanos) -> Option<Arc<Address>> {
        if !self.entry.function.spec.offers_frames() {
            return None;
        }
        let address = self.address(instance)?;
        self.with_offer(instance, |offer| offer.make(now)).filter(|is_due| *is_due)?;
        Some(address)
    }

    /// Looks at the offer to an instance; `None` where it has gone.
    pub(crate) fn with_offer<T>(
        &self,
        instance: InstanceKey,
        look: impl FnOnce(&mut FrameOffer) -> T,
    ) -> Option<T> {
        let mut pools = self.pools.borrow_mut();
        let pool = pools.get_mut(usize::from(instance.place))?.as_mut()?;
        if pool.address.generation != instance.generation {
            return None;
        }
        let result = look(&mut pool.offer);
        drop(pools);
        self.keeps_some();
        Some(result)
    }

    /// Enters it among those that a sweep looks at.
    fn keeps_some(&self) {
        if !self.has_idle.replace(true) {
            self.idle_connections.0.borrow_mut().insert(self.entry.function.index);
        }
    }

    /// An idle connection to the instance that is still open.
    #[must_use]
    pub(crate) fn take(&self, instance: InstanceKey, now: Nanos) -> Option<Connection> {
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
    pub(crate) fn put(&self, instance: InstanceKey, connection: Connection, now: Nanos) {
        let mut pools = self.pools.borrow_mut();
        if let Some(Some(pool)) = pools.get_mut(usize::from(instance.place))
            && pool.address.generation == instance.generation
            && pool.idle.len() < IDLE_PER_INSTANCE_MAX
        {
            pool.idle.push((connection, now));
            self.keeps_some();
        }
    }

    /// Closes the connections that have been idle too long, and those to instances that are gone.
    /// Answers whether any is left.
    fn sweep(&self, now: Nanos) -> bool {
        let mut has_idle = false;
        for (pool, address) in self.pools.borrow_mut().iter_mut().zip(self.entry.function.addresses.iter()) {
            let current = address.load().as_ref().map(|address| address.generation);
            if pool.as_ref().is_some_and(|pool| Some(pool.address.generation) != current) {
                *pool = None;
            }
            if let Some(pool) = pool {
                let idle_max = pool.idle_max();
                pool.idle.retain(|(_, since)| now.saturating_sub(*since) < idle_max);
                has_idle |= !pool.idle.is_empty() || pool.offer.connection().is_some();
            }
        }
        self.has_idle.set(has_idle);
        has_idle
    }
}
