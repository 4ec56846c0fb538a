//! The pods that serve one lane: what a [`Workload`] is to one version of its function.
//!
//! | word | means |
//! |---|---|
//! | *place* | one of the lane's `replicas.max` places, in which a pod that serves is known to the scheduler |
//! | *owed* | starts that the scheduler counts on and that were neither answered with a pod nor refused |

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::cluster::Cluster;
use super::deployment::Design;
use super::places::{Lost, Places};
use super::workload::{Plan, Workload};
use crate::backend::exit::Exit;
use crate::backend::{Context, probe};
use crate::backoff::ExponentialBackoff;
use crate::clock::{NANOS_PER_MS, Nanos};
use crate::error::ApiError;
use crate::function::{Address, Ending, Function, Target, Trouble};
use crate::hot::message::{InstanceKey, Order};
use crate::mailbox::Announcement;

/// The first pause between two looks whether an instance can be reached again; it doubles.
const PROBE_PAUSE_MIN: Duration = Duration::from_millis(1);
/// The longest such pause.
const PROBE_PAUSE_MAX: Duration = Duration::from_millis(200);

/// The pods of one lane.
#[derive(Debug)]
pub struct Crew {
    context: Rc<Context>,
    workload: Rc<Workload>,
    function: Arc<Function>,
    revision: String,
    places: RefCell<Places>,
    min: Cell<u32>,
    owed: Cell<u32>,
    /// Pods of older revisions serve until one of its own does.
    takes_older: Cell<bool>,
    /// When the scheduler last asked for one more, or the lane was opened.
    asked: Cell<Nanos>,
    closed: Cell<bool>,
}

impl Crew {
    /// That of a function's lane, which is given what serves it already, and the Deployment is made what
    /// this version wants.
    #[must_use]
    pub fn open(context: &Rc<Context>, cluster: &Rc<Cluster>, function: &Arc<Function>) -> Rc<Self> {
        let spec = &function.spec;
        let workload = Workload::of(cluster, spec.name.as_ref());
        let start_s = context.settings.flags.start_timeout_ms.div_ceil(1000);
        let design = Design::new(spec, &cluster.lasting_runtime_url, start_s);
        let crew = Rc::new(Self {
            context: context.clone(),
            workload: workload.clone(),
            function: function.clone(),
            revision: design.revision.clone(),
            places: RefCell::new(Places::new(function.addresses.len())),
            min: Cell::new(spec.replicas.min),
            owed: Cell::new(0),
            takes_older: Cell::new(false),
            asked: Cell::new(context.clock.now()),
            closed: Cell::new(false),
        });
        // Those that a rolling update will bring are not to be asked for besides.
        let coming = workload.replicas.get().max(spec.replicas.min).min(spec.replicas.max);
        crew.owe(coming);
        workload.join(&crew, Plan { design, max: spec.replicas.max }, spec.replicas.min);
        workload.settle();
        context.populated.borrow_mut().insert(function.lane);
        crew
    }

    /// Takes an announcement of one of its pods; `None` where the token is none of theirs.
    #[must_use]
    pub fn announced(&self, announcement: &Announcement) -> Option<Result<(), ApiError>> {
        self.workload.announced(announcement.token, &announcement.instance, announcement.address)
    }

    /// Pods of its revision that there are, those that start included.
    #[must_use]
    pub fn count(&self) -> u32 {
        let own = self.workload.count(&self.revision);
        let older = self.places.borrow().older().len();
        u32::try_from(own + older).unwrap_or(u32::MAX)
    }

    /// How many are kept running.
    #[must_use]
    pub fn min(&self) -> u32 {
        self.min.get()
    }

    /// Sets how many are kept running, and has those made that are missing.
    pub fn set_min(&self, min: u32) {
        self.min.set(min);
        if self.workload.is_current(self) {
            let coming = min.saturating_sub(self.placed() + self.owed.get());
            self.owe(coming);
            self.workload.want(min);
            self.context.populated.borrow_mut().insert(self.function.lane);
            self.settle();
        }
    }

    /// Whether its version may take over: it has as many pods that serve as the versions before it have
    /// left, or nobody has any.
    #[must_use]
    pub fn can_serve(&self) -> bool {
        let placed = self.placed() as usize;
        (placed > 0 && placed >= self.workload.serving_of_others(&self.revision))
            || (self.min.get() == 0 && self.workload.replicas.get() == 0)
    }

    /// The scheduler asks for one more.
    pub fn start_wanted(&self) {
        self.asked.set(self.context.clock.now());
        self.owed.set(self.owed.get() + 1);
        self.context.populated.borrow_mut().insert(self.function.lane);
        if !self.closed.get() {
            // Those that start anyway, because others were lost or a rolling update brings them, will do;
            // one that is stuck is there and will not.
            let stuck = self.workload.stuck(&self.revision);
            self.workload.want(self.placed() + self.owed.get() + stuck);
        }
        self.settle();
    }

    /// A pod that the scheduler has retired may go.
    pub fn stop(&self, instance: InstanceKey) {
        let pod = self.places.borrow().occupant(instance).map(|occupant| occupant.pod.clone());
        let Some(pod) = pod else { return };
        self.lose(&pod, None, true);
        if self.workload.is_current(self) {
            self.workload.excuse(&pod, self.min.get());
            self.settle();
        }
    }

    /// A connection to an instance failed: it is granted again when it answers.
    pub fn look_after(self: &Rc<Self>, instance: InstanceKey) {
        let crew = self.clone();
        tokio::task::spawn_local(async move {
            let mut pauses = ExponentialBackoff::doubling(PROBE_PAUSE_MIN, PROBE_PAUSE_MAX);
            while let Some(address) = crew.address(instance) {
                if probe::health(&Target::Tcp(address)).await.is_ok() && crew.address(instance).is_some() {
                    crew.context.orders.send(Order::Ready { instance, started: false });
                    return;
                }
                pauses.pause().await;
            }
        });
    }

    /// Has what was asked for in vain given up, where nobody waits for it any more. Answers whether there
    /// is anything that may be idle one day.
    pub fn reap(&self, now: Nanos) -> bool {
        if self.closed.get() || !self.workload.is_current(self) {
            return !self.closed.get() && self.placed() > 0;
        }
        let needed = self.min.get().max(self.placed());
        let idle_ns = u64::from(self.function.spec.idle_timeout_ms) * NANOS_PER_MS;
        let patience_ns = idle_ns.max(self.context.settings.flags.start_timeout_ms * NANOS_PER_MS);
        if self.workload.replicas.get() > needed
            && now.saturating_sub(self.asked.get()) > patience_ns
            && self.function.queue.depth() == 0
            && !self.workload.is_mixed(&self.revision)
        {
            self.refuse_owed();
            self.workload.limit(needed);
        }
        self.workload.replicas.get() > self.min.get() || self.count() > self.min.get()
    }

    /// Keeps none running any more; those that run go with the Deployment, or serve the next version.
    pub fn wind_down(&self) {
        self.min.set(0);
    }

    /// The lane is empty and its index will be another's.
    pub fn close(self: &Rc<Self>) {
        if !self.closed.replace(true) {
            self.workload.leave(self);
        }
    }

    // ---- what the workload tells ----

    /// Until it has pods of its own, those of the revision before serve.
    pub(super) fn take_older(&self) {
        self.takes_older.set(self.placed() == 0);
    }

    /// A pod does not serve any more, or not as it did. One that `serves_on` takes what was granted to it
    /// before the scheduler is told.
    pub(super) fn lose(&self, pod: &str, exit: Option<Exit>, serves_on: bool) {
        if self.closed.get() {
            return;
        }
        let Lost { endings, vacated } = self.places.borrow_mut().lose(pod, exit);
        for (at, ending) in endings {
            self.tell_ending(at, ending);
        }
        let Some((at, generation)) = vacated else { return };
        if !serves_on {
            self.function.addresses[at].store(None);
        }
        self.context.orders.send(Order::Down { instance: self.key(at, generation) });
    }

    /// How the container of a pod ended that was lost before that was known.
    pub(super) fn ended(&self, pod: &str, exit: Exit) {
        let explained = self.places.borrow_mut().explain(pod, exit);
        if let Some((at, ending)) = explained {
            self.tell_ending(at, ending);
        }
    }

    /// A gateway that lost its connection may be waiting for it.
    fn tell_ending(&self, at: usize, mut ending: Ending) {
        if let (Exit::OutOfMemory { limit }, Some(known)) =
            (&mut ending.exit, self.function.spec.resources.limits.memory_bytes())
        {
            *limit = known;
        }
        self.function.endings[at].store(Some(Arc::new(ending)));
    }

    /// Gives places to the pods that serve and have none, says what is wrong, and refuses what was asked
    /// for where nothing will come of it.
    pub(super) fn settle(&self) {
        if self.closed.get() {
            return;
        }
        for (pod, revision, address) in self.workload.serving() {
            if revision == self.revision {
                if self.takes_older.replace(false) {
                    self.dismiss_older();
                }
                self.place(&pod, address, false);
            } else if self.takes_older.get() {
                self.place(&pod, address, true);
            }
        }
        let trouble = self.workload.why_not(&self.revision);
        let text = trouble.as_ref().map(|(trouble, _)| trouble.text.as_str());
        if self.function.trouble.load().as_ref().map(|known| known.reason.as_str()) != text {
            self.function.trouble.store(text.map(|text| Arc::new(Trouble::new(text))));
        }
        let older_may_serve = self.takes_older.get() && self.workload.is_mixed(&self.revision);
        if self.placed() == 0 && !older_may_serve && trouble.is_some_and(|(_, hopeless)| hopeless) {
            self.refuse_owed();
        }
    }

    // ---- places ----

    fn place(&self, pod: &str, address: SocketAddr, older: bool) {
        let placed = self.places.borrow_mut().place(pod, address, older);
        let Some((at, generation)) = placed else { return };
        let host = address.to_string();
        let entry = Address::new(generation, Target::Tcp(address), &host, "/invoke");
        self.function.addresses[at].store(Some(Arc::new(entry)));
        let started = !older && self.owed.get() > 0;
        if started {
            self.owed.set(self.owed.get() - 1);
        }
        self.context.populated.borrow_mut().insert(self.function.lane);
        tracing::info!(function = %self.function.spec.name, pod, instance = at, "instance ready");
        self.context.orders.send(Order::Ready { instance: self.key(at, generation), started });
    }

    fn dismiss_older(&self) {
        let pods = self.places.borrow().older();
        for pod in pods {
            self.lose(&pod, None, true);
        }
    }

    fn placed(&self) -> u32 {
        let placed = self.places.borrow().taken();
        u32::try_from(placed).unwrap_or(u32::MAX)
    }

    fn address(&self, instance: InstanceKey) -> Option<SocketAddr> {
        let places = self.places.borrow();
        places.occupant(instance).filter(|_| !self.closed.get()).map(|occupant| occupant.address)
    }

    fn key(&self, at: usize, generation: u32) -> InstanceKey {
        let place = u16::try_from(at).unwrap_or(u16::MAX);
        InstanceKey { lane: self.function.lane, place, generation }
    }

    // ---- what is owed ----

    /// The scheduler is told to count on so many more.
    fn owe(&self, count: u32) {
        if count > 0 {
            self.owed.set(self.owed.get() + count);
            let count = u16::try_from(count).unwrap_or(u16::MAX);
            self.context.orders.send(Order::Starting { lane: self.function.lane, count });
        }
    }

    fn refuse_owed(&self) {
        for _ in 0..self.owed.replace(0) {
            self.context.orders.send(Order::StartFailed { lane: self.function.lane });
        }
    }
}
