//! The life of one single-use instance: from its start until it is gone.

use std::rc::Rc;
use std::sync::Arc;

use super::refills::{ColdStart, StandbyRoom};
use super::standby_instance::StandbyInstance;
use super::standby_places::Occupant;
use super::standby_set::{LAST_TAKE, StandbySet};
use super::standby_slot::StandbyOrder;
use crate::channel::{AnswerReceiver, oneshot};
use crate::clock::Nanos;
use crate::instance::InstanceStart;
use crate::kubernetes::idle_pods::IdlePod;
use crate::scheduler::message::SchedulerCommand;

/// One start.
#[derive(Debug)]
pub(super) struct StandbyStart {
    /// Time at which it was asked for.
    pub(super) asked: Nanos,
    /// A call waits for it.
    pub(super) cold: Option<ColdStart>,
    /// Its place among those that nobody asked for.
    pub(super) room: Option<StandbyRoom>,
    /// It was made by an earlier control plane, and is taken over.
    pub(super) idle: Option<IdlePod>,
}

/// One instance at its place.
#[derive(Debug)]
pub(super) struct StandbyLife {
    set: Rc<StandbySet>,
    occupant: Occupant,
}

impl StandbyLife {
    /// The instance at a place that was free.
    #[must_use]
    pub(super) fn new(set: Rc<StandbySet>, occupant: Occupant) -> Self {
        Self { set, occupant }
    }

    /// Starts it, and returns when it is gone.
    pub(super) async fn run(self, start: StandbyStart) {
        let StandbyStart { asked, cold, room, idle } = start;
        let (set, occupant) = (&self.set, self.occupant);
        let began = set.now();
        let expected = set.expect(idle.as_ref().and_then(IdlePod::token));
        let token = expected.token;
        let instance = set.key(occupant.place, occupant.generation);
        let was_idle = idle.is_some();
        let started = match idle {
            Some(idle) => set.source.adopt(idle, expected, set.until_closed()).await,
            None => set.source.start(&set.function.spec, instance, expected, set.until_closed()).await,
        };
        drop(cold);
        room.iter().for_each(StandbyRoom::start_is_over);
        let ready = set.now();
        match started {
            // Its version was closed in this moment.
            Ok(single) if set.is_closed() => {
                single.stop().await;
                set.context.start_failed(&set.function);
            }
            Ok(single) => {
                if !was_idle {
                    set.started_within(ready - began);
                }
                let start = InstanceStart { wanted: asked, began, ready, ..InstanceStart::default() };
                self.serve(single, &start, room).await;
            }
            Err(problem) if was_idle => {
                tracing::info!(function = %set.function.spec.name, "{problem}");
                set.fall_back();
                set.context.start_failed(&set.function);
            }
            Err(problem) => {
                if !set.is_closed() {
                    set.failed(problem, began);
                }
                set.context.start_failed(&set.function);
            }
        }
        set.is_gone(occupant, token);
    }

    /// From when it is ready until it is gone.
    async fn serve(&self, single: StandbyInstance, start: &InstanceStart, room: Option<StandbyRoom>) {
        let (set, Occupant { place, generation }) = (&self.set, self.occupant);
        let (instance, start_began, ready) = (set.key(place, generation), start.began, start.ready);
        // One that a call waited for may be left over, and counts then.
        let room = room.or_else(|| set.context.refills.room());
        let address = single.address(generation, start);
        set.function.addresses[usize::from(place)].store(Some(Arc::new(address)));
        let (order, ordered) = oneshot::channel();
        set.is_ready(self.occupant, order, ready);
        set.context.commands.send(SchedulerCommand::Ready { instance, started: true });
        let ended = self.wait(single, ready, ordered, room).await;
        set.leaves(self.occupant);
        set.function.addresses[usize::from(place)].store(None);
        set.context.commands.send(SchedulerCommand::Down { instance });
        if let Some((single, how)) = ended {
            set.wasted(ready);
            set.failed(single.explain(how, &set.function.spec).await, start_began);
        }
    }

    /// Waits for its execution, where it was ready at this time, and for the end of it. Answers the instance that has
    /// ended without one, and how.
    async fn wait(
        &self,
        mut single: StandbyInstance,
        ready: Nanos,
        mut ordered: AnswerReceiver<StandbyOrder>,
        room: Option<StandbyRoom>,
    ) -> Option<(StandbyInstance, String)> {
        let order = tokio::select! {
            biased;
            order = &mut ordered => order.unwrap_or(StandbyOrder::Stop),
            how = single.ended() => match tokio::time::timeout(LAST_TAKE, &mut ordered).await {
                // It ended with the execution that it had just been given.
                Ok(Ok(StandbyOrder::Take(take))) => StandbyOrder::Take(take),
                Ok(Ok(StandbyOrder::Stop) | Err(_)) | Err(_) => return Some((single, how)),
            },
        };
        drop(room);
        match order {
            StandbyOrder::Take(take) => single.serve(*take).await,
            StandbyOrder::Stop => {
                self.set.wasted(ready);
                single.stop().await;
            }
        }
        None
    }
}
