//! The pods of one `WARM` function, over all of its versions: one Deployment, and who is told of its pods.
//!
//! What is wanted is kept here and written by one task at a time ([`writer`](super::writer)). What there is,
//! is told by the pods and by the watch, pod by pod ([`Member`]), and passed on to the crews: one for each
//! lane that is open. Lanes whose pods are made of the same share them; a crew of another revision gets the
//! pods of a rolling update of the same Deployment.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;

use super::cluster::Cluster;
use super::crew::Crew;
use super::deployment::Design;
use super::member::{Change, Member, Standing};
use super::pods::Keeper;
use super::sighting::{Sighting, Trouble};
use super::{template, verdict};
use crate::error::{ApiError, ErrorCode};
use crate::id::Token;

/// Pods that have announced themselves and that the watch has not shown yet, of one function. A watch that
/// is not down shows each within a second; this bounds what somebody with a token can make us remember.
const UNSEEN_MAX: usize = 1024;
/// How long the watch may take to show a pod that has announced itself. It may be down for a while.
const UNSEEN_PATIENCE: Duration = Duration::from_secs(60);
/// Revisions whose tokens are known: the one that is wanted and those that still have pods.
const TOKENS_MAX: usize = 16;

/// What the Deployment is to be.
#[derive(Debug)]
pub struct Plan {
    /// Its pods.
    pub design: Design,
    /// The most of them.
    pub max: u32,
}

/// The pods of one function.
#[derive(Debug)]
pub struct Workload {
    pub(super) cluster: Rc<Cluster>,
    pub(super) name: String,
    crews: RefCell<Vec<Rc<Crew>>>,
    pub(super) members: RefCell<BTreeMap<String, Member>>,
    pub(super) plan: RefCell<Option<Rc<Plan>>>,
    /// How many pods are wanted.
    pub(super) replicas: Cell<u32>,
    /// No version wants it any more: the Deployment goes when its last lane is closed.
    pub(super) doomed: Cell<bool>,
    /// The revision that the Deployment is known to make.
    pub(super) made: RefCell<Option<String>>,
    /// How many pods the Deployment is known to want.
    pub(super) written: Cell<Option<u32>>,
    pub(super) writing: Cell<bool>,
    /// The pods that there were before their changes were told are known.
    pub(super) found: Cell<bool>,
    pub(super) tokens: RefCell<Vec<(String, Token)>>,
    /// Why there are no pods, or fewer than wanted, or why that is not known.
    trouble: RefCell<Option<Trouble>>,
}

/// How the watch of pods knows it.
#[derive(Debug)]
struct Kept(Rc<Workload>);

impl Keeper for Kept {
    fn pod_changed(&self, pod: &Pod) {
        self.0.pod_changed(pod);
    }

    fn pod_gone(&self, name: &str) {
        self.0.pod_gone(name);
    }

    fn pods_listed(&self, names: &BTreeSet<String>) {
        self.0.pods_listed(names);
    }

    fn pod_refused(&self, message: &str) {
        self.0.set_trouble(Some(verdict::of_refusal(message).into()));
    }
}

impl Workload {
    /// That of a function, made where there is none yet.
    #[must_use]
    pub fn of(cluster: &Rc<Cluster>, name: &str) -> Rc<Self> {
        if let Some(known) = cluster.workloads.borrow().get(name) {
            return known.clone();
        }
        let workload = Rc::new(Self {
            cluster: cluster.clone(),
            name: name.to_owned(),
            crews: RefCell::default(),
            members: RefCell::default(),
            plan: RefCell::default(),
            replicas: Cell::new(0),
            doomed: Cell::new(false),
            made: RefCell::default(),
            written: Cell::new(None),
            writing: Cell::new(false),
            found: Cell::new(false),
            tokens: RefCell::default(),
            trouble: RefCell::default(),
        });
        cluster.workloads.borrow_mut().insert(name.to_owned(), workload.clone());
        cluster.pods.keep(name, Rc::new(Kept(workload.clone())));
        workload
    }

    // ---- the lanes ----

    /// A lane was opened: from now on the Deployment is what its version wants.
    pub(super) fn join(self: &Rc<Self>, crew: &Rc<Crew>, plan: Plan, min: u32) {
        self.doomed.set(false);
        self.replicas.set(self.replicas.get().max(min).min(plan.max));
        *self.plan.borrow_mut() = Some(Rc::new(plan));
        self.crews.borrow_mut().push(crew.clone());
        self.kick();
    }

    /// A lane was closed and nothing of it runs any more.
    pub(super) fn leave(self: &Rc<Self>, crew: &Rc<Crew>) {
        self.crews.borrow_mut().retain(|one| !Rc::ptr_eq(one, crew));
        if self.doomed.get() {
            self.kick();
        }
    }

    /// No version of the function wants pods that stay any more.
    pub fn retire(self: &Rc<Self>) {
        self.doomed.set(true);
        self.kick();
    }

    /// Whether this lane is the one whose wishes count: that of the latest version.
    #[must_use]
    pub(super) fn is_current(&self, crew: &Crew) -> bool {
        !self.doomed.get() && self.crews.borrow().last().is_some_and(|last| std::ptr::eq(&**last, crew))
    }

    #[must_use]
    pub(super) fn has_crews(&self) -> bool {
        !self.crews.borrow().is_empty()
    }

    /// Every crew, for a loop in which they may change.
    #[must_use]
    pub(super) fn crews(&self) -> Vec<Rc<Crew>> {
        self.crews.borrow().clone()
    }

    // ---- how many ----

    /// At least so many pods are wanted.
    pub(super) fn want(self: &Rc<Self>, replicas: u32) {
        let max = self.plan.borrow().as_ref().map_or(0, |plan| plan.max);
        let replicas = replicas.min(max);
        if replicas > self.replicas.get() {
            self.replicas.set(replicas);
            self.take_back();
            self.kick();
        }
    }

    /// At most so many pods are wanted.
    pub(super) fn limit(self: &Rc<Self>, replicas: u32) {
        if replicas < self.replicas.get() {
            self.replicas.set(replicas);
            self.kick();
        }
    }

    /// A pod is idle and may go, unless no fewer than `min` are to be left.
    pub(super) fn excuse(self: &Rc<Self>, pod: &str, min: u32) {
        if self.replicas.get() <= min {
            return;
        }
        if let Some(member) = self.members.borrow_mut().get_mut(pod)
            && member.counts()
        {
            member.excused = true;
        } else {
            return;
        }
        self.replicas.set(self.replicas.get() - 1);
        self.kick();
    }

    /// Idle pods that need not go after all serve again.
    fn take_back(&self) {
        let Some(revision) = self.plan.borrow().as_ref().map(|plan| plan.design.revision.clone()) else {
            return;
        };
        let mut members = self.members.borrow_mut();
        let count = members.values().filter(|one| one.counts() && one.revision == revision).count();
        let excess = count.saturating_sub(self.replicas.get() as usize);
        let excused = members.values_mut().filter(|one| one.counts() && one.excused);
        for member in excused.skip(excess) {
            member.excused = false;
        }
    }

    // ---- what there is ----

    /// The pods of a revision that a Deployment counts; those that were asked to go not among them.
    #[must_use]
    pub(super) fn count(&self, revision: &str) -> usize {
        let members = self.members.borrow();
        members.values().filter(|one| one.counts() && !one.excused && one.revision == revision).count()
    }

    /// The pods of a revision that a Deployment counts and that do not answer.
    #[must_use]
    pub(super) fn stuck(&self, revision: &str) -> u32 {
        let members = self.members.borrow();
        let stuck = members.values().filter(|one| one.counts() && one.stuck && one.revision == revision);
        u32::try_from(stuck.count()).unwrap_or(u32::MAX)
    }

    /// The pods of other revisions that serve.
    #[must_use]
    pub(super) fn serving_of_others(&self, revision: &str) -> usize {
        let members = self.members.borrow();
        members.values().filter(|one| one.standing == Standing::Serving && one.revision != revision).count()
    }

    /// Whether there are pods of other revisions.
    #[must_use]
    pub(super) fn is_mixed(&self, revision: &str) -> bool {
        self.members.borrow().values().any(|one| one.counts() && one.revision != revision)
    }

    /// Every pod that may be given a place: its name, its revision and where it listens.
    #[must_use]
    pub(super) fn serving(&self) -> Vec<(String, String, SocketAddr)> {
        let members = self.members.borrow();
        let serving = members.iter().filter(|(_, one)| one.standing == Standing::Serving && !one.excused);
        serving.filter_map(|(name, one)| Some((name.clone(), one.revision.clone(), one.address?))).collect()
    }

    /// What keeps pods of a revision from serving, and whether there is none for which it does not.
    #[must_use]
    pub(super) fn why_not(&self, revision: &str) -> Option<(Trouble, bool)> {
        let members = self.members.borrow();
        let pods = || members.values().filter(|one| one.counts() && one.revision == revision);
        let is_hopeless = |one: &Member| one.trouble.as_ref().is_some_and(|trouble| trouble.hopeless);
        let refused = self.trouble.borrow();
        let trouble = pods().find_map(|one| one.trouble.clone()).or_else(|| refused.clone())?;
        let none_hopeful = pods().all(is_hopeless);
        let none_to_come = pods().next().is_some() || refused.as_ref().is_some_and(|one| one.hopeless);
        Some((trouble, none_hopeful && none_to_come))
    }

    // ---- what is told ----

    /// An instance says that it listens; `None` where the token is none of this function's.
    ///
    /// # Errors
    /// What stands against it. It tries again.
    pub fn announced(
        self: &Rc<Self>,
        token: Token,
        pod: &str,
        address: SocketAddr,
    ) -> Option<Result<(), ApiError>> {
        let revision = {
            let tokens = self.tokens.borrow();
            // All of them are compared: which one it is takes no other time than none.
            tokens.iter().fold(
                None,
                |found, (revision, known)| {
                    if *known == token { Some(revision.clone()) } else { found }
                },
            )?
        };
        let prefix = format!("{}-", template::name_of(&self.name));
        let is_new = !self.members.borrow().contains_key(pod);
        let unseen = || self.members.borrow().values().filter(|member| !member.is_seen()).count();
        if !pod.starts_with(&prefix) || (is_new && unseen() >= UNSEEN_MAX) {
            let text = format!("{pod:?} cannot be a pod of {}, or too many have said so", self.name);
            return Some(Err(ApiError::new(ErrorCode::Unauthorized, text)));
        }
        let change = {
            let mut members = self.members.borrow_mut();
            let member = members.entry(pod.to_owned()).or_insert_with(|| Member::new(revision.clone()));
            if member.revision != revision {
                let text = "the token is that of pods of another revision";
                return Some(Err(ApiError::new(ErrorCode::Unauthorized, text)));
            }
            member.announced(address)
        };
        if is_new {
            self.forget_unseen_later(pod.to_owned());
        }
        self.tell(pod, &change);
        if change == Change::Up {
            self.ask_until_ready(pod.to_owned());
        }
        Some(Ok(()))
    }

    /// The watch shows a pod.
    pub fn pod_changed(self: &Rc<Self>, pod: &Pod) {
        let (Some(name), Some(sighting)) = (&pod.metadata.name, Sighting::of(pod)) else { return };
        if let Some(token) = sighting.token
            && !sighting.leaving
        {
            self.learn_token(&sighting.revision, token);
        }
        if sighting.trouble.is_none() {
            // One could be made.
            self.set_trouble(None);
        }
        let (change, may_serve) = {
            let mut members = self.members.borrow_mut();
            let member =
                members.entry(name.clone()).or_insert_with(|| Member::new(sighting.revision.clone()));
            member.revision.clone_from(&sighting.revision);
            let change = member.sighted(sighting);
            (change, member.may_serve())
        };
        self.tell(name, &change);
        if may_serve {
            self.look_at(name.clone());
        }
    }

    /// The watch says that there is no such pod any more.
    pub fn pod_gone(self: &Rc<Self>, name: &str) {
        let change = self.members.borrow_mut().get_mut(name).map(Member::vanished);
        if let Some(change) = change {
            self.tell(name, &change);
            self.members.borrow_mut().remove(name);
        }
    }

    /// The watch has begun anew, and these are the pods that there are. What has ended in the meantime is
    /// not among them.
    pub fn pods_listed(self: &Rc<Self>, names: &BTreeSet<String>) {
        let members = self.members.borrow();
        let gone: Vec<String> = members
            .iter()
            .filter(|(name, member)| member.is_seen() && !names.contains(*name))
            .map(|(name, _)| name.clone())
            .collect();
        drop(members);
        for name in gone {
            self.pod_gone(&name);
        }
    }

    /// Why there are no more pods; `None` where nothing speaks against them any more.
    pub fn set_trouble(self: &Rc<Self>, trouble: Option<Trouble>) {
        if *self.trouble.borrow() == trouble {
            return;
        }
        if let Some(Trouble { text, .. }) = &trouble {
            tracing::warn!(function = %self.name, "{text}");
        }
        *self.trouble.borrow_mut() = trouble;
        self.settle();
    }

    /// The API server has answered: that it did not is no trouble any more.
    pub(super) fn reached(self: &Rc<Self>) {
        let is_over = self.trouble.borrow().as_ref().is_some_and(|trouble| !trouble.hopeless);
        if is_over {
            self.set_trouble(None);
        }
    }

    /// What pods of a revision prove themselves with.
    pub(super) fn learn_token(&self, revision: &str, token: Token) {
        let mut tokens = self.tokens.borrow_mut();
        if tokens.iter().any(|(_, known)| *known == token) {
            return;
        }
        if tokens.len() >= TOKENS_MAX {
            tokens.remove(0);
        }
        tokens.push((revision.to_owned(), token));
    }

    /// Whether pods of a revision that was replaced before this process began are there to serve.
    pub(super) fn found_older(self: &Rc<Self>) {
        if let [crew] = self.crews().as_slice() {
            crew.take_older();
        }
        self.settle();
    }

    pub(super) fn tell(self: &Rc<Self>, name: &str, change: &Change) {
        match change {
            Change::Nothing => {}
            Change::Troubled(exit) => {
                self.log_trouble(name);
                if let Some(exit) = exit {
                    self.crews().iter().for_each(|crew| crew.ended(name, *exit));
                }
            }
            // Whoever has a place for it takes it in `settle`.
            Change::Up => {}
            Change::Renewed(exit) => self.lose(name, *exit, false),
            Change::Down(exit) => {
                let leaving = self.members.borrow().get(name).is_none_or(|member| !member.counts());
                self.lose(name, *exit, leaving);
                if !leaving {
                    self.log_trouble(name);
                    self.look_at(name.to_owned());
                }
            }
        }
        self.settle();
    }

    fn lose(&self, name: &str, exit: Option<crate::backend::exit::Exit>, serves_on: bool) {
        for crew in self.crews() {
            crew.lose(name, exit, serves_on);
        }
    }

    /// Whatever has changed, every crew has the pods that it should have, and nobody waits in vain.
    pub(super) fn settle(&self) {
        self.take_back();
        for crew in self.crews() {
            crew.settle();
        }
    }

    fn log_trouble(&self, pod: &str) {
        if let Some(member) = self.members.borrow().get(pod) {
            let text = member.trouble.as_ref().map_or("it is not ready any more", |trouble| &trouble.text);
            tracing::warn!(function = %self.name, pod, "a pod does not serve: {text}");
        }
    }

    fn forget_unseen_later(self: &Rc<Self>, pod: String) {
        let workload = self.clone();
        tokio::task::spawn_local(async move {
            tokio::time::sleep(UNSEEN_PATIENCE).await;
            let unseen = workload.members.borrow().get(&pod).is_some_and(|member| !member.is_seen());
            if unseen {
                workload.pod_gone(&pod);
            }
        });
    }
}
