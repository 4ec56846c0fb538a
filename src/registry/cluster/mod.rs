//! Function objects: in a cluster, the API server keeps the registry.
//!
//! There are two doors to it, and both lead through the API server. What `kubectl apply` writes arrives
//! by a watch; what comes over HTTP is written to the API server first and then applied at once, so that
//! the answer is right and the watch finds nothing left to do. A change holds the lock from the first look
//! at an object until it is applied.
//!
//! | file | holds |
//! |---|---|
//! | `follow` | the watch, and what it makes of each object |
//! | `write` | function writes of the HTTP API |
//! | `status` | the status of a Function object, and its inputs |
//! | `status_writer` | the one task that writes statuses |
//! | `gc` | garbage collection: Jobs of earlier processes, and Deployments without a function |
//! | `lease` | one control plane at a time |
//!
//! The object itself and the errors of calls about it are in `kubernetes::function_object` and
//! `kubernetes::object_error`.

mod follow;
mod gc;
mod lease;
mod status;
mod status_writer;
mod write;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;

use kube::Api;

use super::invalid_spec::InvalidSpec;
use super::{ChangeLock, Registry};
use crate::clock::Clock;
use crate::kubernetes::cluster::Cluster;
use crate::kubernetes::function_object::FunctionObject;
use status::FunctionStatus;

/// A Function object that was seen.
#[derive(Debug)]
struct KnownObject {
    /// Identity, by which it is told from another one of its name.
    uid: String,
    /// The generation that was looked at last.
    generation: i64,
    /// The reason that the last one cannot be served; the version before it goes on.
    invalid: Option<InvalidSpec>,
    /// The status that the object has.
    status: FunctionStatus,
    /// Looked at in this list or since: one that a list from before does not have is not gone.
    seen_in: u64,
}

/// The objects of this cluster's namespace, followed.
#[derive(Debug)]
pub struct FunctionObjects {
    registry: Rc<Registry>,
    clock: Clock,
    cluster: Rc<Cluster>,
    api: Api<FunctionObject>,
    known: RefCell<BTreeMap<String, KnownObject>>,
    /// Deleted here before the watch told of it: what it still tells of these is old.
    deleted: RefCell<HashSet<String>>,
    /// Functions that are gone and whose Deployment may be left: its orphans are deleted.
    orphans: RefCell<HashSet<String>>,
    /// Counts lists.
    lists: Cell<u64>,
    /// This process has the Lease.
    holds: Cell<bool>,
    /// The reason that the functions are not read, as far as it is known.
    waits_for: RefCell<Option<String>>,
    change_lock: ChangeLock,
}

impl FunctionObjects {
    /// Nothing known yet.
    #[must_use]
    pub fn new(cluster: Rc<Cluster>, registry: Rc<Registry>, clock: Clock) -> Rc<Self> {
        let api = cluster.api();
        Rc::new(Self {
            registry,
            clock,
            cluster,
            api,
            known: RefCell::default(),
            deleted: RefCell::default(),
            orphans: RefCell::default(),
            lists: Cell::new(0),
            holds: Cell::new(false),
            waits_for: RefCell::default(),
            change_lock: ChangeLock::default(),
        })
    }

    /// The reason that the functions are not read yet, where that is known.
    #[must_use]
    pub fn waits_for(&self) -> Option<String> {
        self.waits_for.borrow().clone()
    }

    /// The reason that the last specification of a function is not served.
    #[must_use]
    pub(crate) fn invalid(&self, name: &str) -> Option<InvalidSpec> {
        self.known.borrow().get(name)?.invalid.clone()
    }

    /// Waits until no other control plane is at work, reads the registry and keeps it, for ever.
    pub(crate) async fn keep_registry(self: Rc<Self>) {
        self.acquire().await;
        let (lease, jobs) = (self.clone(), self.clone());
        tokio::task::spawn_local(async move { lease.keep_lease().await });
        tokio::task::spawn_local(async move { jobs.delete_old_jobs().await });
        // Before any function is read that may take them over.
        self.cluster.find_idle_pods().await;
        tokio::task::spawn_local(self.clone().write_statuses());
        tokio::task::spawn_local(self.clone().retry_unserved());
        self.follow().await;
    }
}
