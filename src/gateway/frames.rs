//! Attempts over connections that carry many: the offer to an instance, the task of such a connection, and the
//! outcomes that it tells.

use std::future::poll_fn;
use std::rc::Rc;

use bytes::Bytes;
use picofaas_frames::{Refused, Sequence, Violation};

use super::Gateway;
use crate::attempt_end::AttemptEnd;
use crate::clock::Nanos;
use crate::config::FramesUse;
use crate::dispatch::pool::attempt::lost;
use crate::dispatch::pool::connection::ExchangeError;
use crate::dispatch::pool::frames::frame_connection::FrameConnection;
use crate::dispatch::pool::frames::frame_driver::FrameDriver;
use crate::dispatch::pool::frames::frame_outcome::FrameOutcome;
use crate::dispatch::pool::frames::offer::{FrameOffer, OfferEnd};
use crate::dispatch::pool::frames::opening::{self, OpenedStream};
use crate::dispatch::pool::instance_pools::InstancePools;
use crate::dispatch::pool::web::framed_answer::FramedWebAnswer;
use crate::dispatch::pool::web::framed_stream::FramedStream;
use crate::dispatch::pool::web::web_attempt;
use crate::dispatch::pool::web::web_failure::WebFailure;
use crate::id::ExecutionId;
use crate::instance::InstanceKey;
use crate::scheduler::message::GatewayEvent;
use crate::spec::{ExecutionMode, FunctionName};
use crate::store::execution::Execution;
use crate::store::running_attempt::{FramedKey, RunningAttempt};
use crate::ticket::Ticket;

/// The instance at the other end of a connection.
#[derive(Clone, Copy)]
struct FramesPeer<'a> {
    key: InstanceKey,
    function: &'a FunctionName,
    name: &'a str,
}

/// Warnings come once for a generation of an instance: it is not asked for frames again after either.
impl FramesPeer<'_> {
    fn broke(self, violation: Violation) {
        tracing::warn!(
            function = %self.function,
            instance = self.name,
            %violation,
            "an instance speaks frames in a wrong way: it is called over HTTP/1.1 from now on"
        );
    }

    fn accused(self, code: u16, text: &str) {
        tracing::warn!(
            function = %self.function,
            instance = self.name,
            code,
            text,
            "an instance says that frames from here are wrong: it is called over HTTP/1.1 from now on"
        );
    }
}

impl Gateway {
    /// Begins an attempt over the instance's connection that carries many. `None` where there is none, or it takes no
    /// more; an instance that was not asked yet is then asked for one.
    pub(super) fn begin_framed(
        self: &Rc<Self>,
        pools: &InstancePools,
        ticket: Ticket,
        instance: InstanceKey,
        id: ExecutionId,
        execution: &Execution,
        now: Nanos,
    ) -> Option<RunningAttempt> {
        self.begin_on(pools, instance, now, |frames| frames.begin(ticket, now, id, execution))
    }

    /// Begins an attempt at a web request in the same way. `None` also for one that frames do not carry: its body is
    /// passed on as it comes, or it changes the protocol.
    pub(super) fn begin_framed_web(
        self: &Rc<Self>,
        pools: &InstancePools,
        ticket: Ticket,
        instance: InstanceKey,
        id: ExecutionId,
        execution: &Execution,
        now: Nanos,
    ) -> Option<RunningAttempt> {
        let spec = &pools.entry.function.spec;
        let request = execution.web.as_ref()?.request.as_ref()?;
        // An endpoint may have other things at a path of its own than at that of a runtime.
        let is_runtime = spec.execution_mode == ExecutionMode::Warm;
        if spec.web.is_none() || !is_runtime || !request.fits_a_frame() {
            return None;
        }
        self.begin_on(pools, instance, now, |frames| frames.begin_web(ticket, now, id, execution, request))
    }

    fn begin_on(
        self: &Rc<Self>,
        pools: &InstancePools,
        instance: InstanceKey,
        now: Nanos,
        begin: impl FnOnce(&FrameConnection) -> Result<Sequence, Refused>,
    ) -> Option<RunningAttempt> {
        let Some((connection, frames)) = pools.frames(instance) else {
            self.offer_frames(pools, instance, now);
            return None;
        };
        match begin(&frames) {
            Ok(sequence) => {
                pools.entry.metrics().framed.add_one();
                Some(RunningAttempt::Framed(FramedKey { connection, sequence }))
            }
            Err(Refused::UsedUp) => {
                pools.with_offer(instance, FrameOffer::renew);
                None
            }
            Err(
                Refused::NotOpen
                | Refused::Full
                | Refused::GoingAway
                | Refused::Closed
                | Refused::NotTaken
                | Refused::TooLong,
            ) => None,
        }
    }

    /// Asks an instance whether it speaks frames, where that is to be done. Attempts do not wait for the answer.
    fn offer_frames(self: &Rc<Self>, pools: &InstancePools, instance: InstanceKey, now: Nanos) {
        if self.settings.flags.frames == FramesUse::Off {
            return;
        }
        let Some(address) = pools.offer_frames(instance, now) else { return };
        let (gateway, name) = (self.clone(), pools.entry.function.spec.name.clone());
        tokio::task::spawn_local(async move {
            let peer = FramesPeer { key: instance, function: &name, name: &address.start.name };
            let (number, end) = match opening::open(&address).await {
                Ok(opened) => gateway.serve_frames(peer, opened).await,
                Err(end) => (None, end),
            };
            match end {
                OfferEnd::Silent => {
                    // Its attempts are tried again, and not there.
                    gateway.tell(GatewayEvent::InstanceSilent { instance });
                    gateway.poke();
                }
                OfferEnd::Broken(violation) => peer.broke(violation),
                OfferEnd::Declined | OfferEnd::Lost => {}
            }
            let now = gateway.clock.now();
            if let Some(pools) = gateway.pools(instance) {
                pools.with_offer(instance, |offer| offer.end(number, end, now));
            }
        });
    }

    /// The task of a connection, from its opening to its end. Answers its number, and how it ended.
    async fn serve_frames(
        self: &Rc<Self>,
        peer: FramesPeer<'_>,
        opened: OpenedStream,
    ) -> (Option<usize>, OfferEnd) {
        let instance = peer.key;
        let (mut driver, connection) = FrameDriver::new(opened, self.clock, self.output_max());
        let number = self.frame_connections.borrow_mut().insert(connection.clone());
        let known = self
            .pools(instance)
            .and_then(|pools| pools.with_offer(instance, |offer| offer.accept(number, connection.clone())));
        if known.is_none() {
            connection.retire();
        }
        let end = poll_fn(|cx| {
            driver.poll_turn(
                cx,
                &self.executions,
                |outcome| self.take_outcome(peer, number, outcome),
                || self.poke(),
            )
        })
        .await;
        self.frame_connections.borrow_mut().remove(number);
        (Some(number), end)
    }

    fn pools(&self, instance: InstanceKey) -> Option<Rc<InstancePools>> {
        self.versions.borrow().get(&instance.version).cloned()
    }

    /// Applies an outcome of an attempt at an instance, on this connection. Answers whether the scheduler was told
    /// something.
    fn take_outcome(self: &Rc<Self>, peer: FramesPeer<'_>, connection: usize, outcome: FrameOutcome) -> bool {
        let instance = peer.key;
        let (ticket, how) = match outcome {
            FrameOutcome::Ended { ticket, result } => match self.complete(ticket, result) {
                Some((_, how)) => (ticket, how),
                None => return false,
            },
            FrameOutcome::Lost { ticket, error } => {
                self.complete_lost(ticket, instance, error);
                return false;
            }
            FrameOutcome::WebAnswered { ticket, answer, body } => {
                match self.complete_web(ticket, answer, body) {
                    Some(how) => (ticket, how),
                    None => return false,
                }
            }
            FrameOutcome::WebBegun(stream) => {
                self.pass_stream(stream, instance);
                return false;
            }
            FrameOutcome::WebFailed { ticket, failure } => {
                self.complete_web_failure(ticket, instance, failure);
                return false;
            }
            FrameOutcome::Stopped { ticket, how } => (ticket, how),
            FrameOutcome::Stuck { ticket, how } => {
                self.tell(GatewayEvent::PlaceKept { instance });
                (ticket, how)
            }
            FrameOutcome::Freed => {
                // The places of an instance that is gone are free anyway, and its key may be of another one by now.
                let known = self.pools(instance).and_then(|pools| pools.frames(instance));
                let is_current = known.is_some_and(|(number, _)| number == connection);
                if is_current {
                    self.tell(GatewayEvent::PlaceFreed { instance });
                }
                return is_current;
            }
            FrameOutcome::Accused { code, text } => {
                peer.accused(code, &text);
                return false;
            }
        };
        self.tell(GatewayEvent::AttemptEnded { ticket, how });
        true
    }

    /// Completes an attempt whose connection was lost, when it is known whether the instance was killed.
    fn complete_lost(self: &Rc<Self>, ticket: Ticket, instance: InstanceKey, error: ExchangeError) {
        let gateway = self.clone();
        let pools = self.pools(instance);
        tokio::task::spawn_local(async move {
            // The version is known while an attempt of it is not closed.
            let Some(pools) = pools else { return };
            let result = lost(&pools, instance, &error).await;
            gateway.complete_exchange(ticket, result);
        });
    }

    /// Completes an attempt at a web request by its whole answer, which its client gets.
    fn complete_web(&self, ticket: Ticket, answer: FramedWebAnswer, body: Bytes) -> Option<AttemptEnd> {
        let context = self.attempt_context();
        let (result, reply) = answer.whole(context, ticket, body);
        let completed = self.complete(ticket, result);
        if let Some(reply) = reply {
            web_attempt::give(context, ticket, reply);
        }
        completed.map(|(_, how)| how)
    }

    /// Starts the task that passes on the body of an answer.
    fn pass_stream(self: &Rc<Self>, stream: FramedStream, instance: InstanceKey) {
        let (gateway, ticket) = (self.clone(), stream.ticket);
        // The version is known while an attempt of it is not closed.
        let Some(pools) = self.pools(instance) else { return };
        let task = tokio::task::spawn_local(async move {
            let result = stream.run(gateway.attempt_context(), &pools, instance).await;
            if let Some((attempt, how)) = gateway.complete(ticket, result) {
                // One that did not come to its end is stopped, and its place is free when the instance lets go of it.
                gateway.stop_attempt(ticket, attempt, how);
                gateway.poke_soon();
            }
        });
        self.executions.borrow_mut().web_begun(ticket, task.abort_handle());
    }

    /// Completes an attempt at a web request that has no answer. Where its instance may have been killed, that is waited
    /// for.
    fn complete_web_failure(self: &Rc<Self>, ticket: Ticket, instance: InstanceKey, failure: WebFailure) {
        let gateway = self.clone();
        let Some(pools) = self.pools(instance) else { return };
        tokio::task::spawn_local(async move {
            let result = failure.result(gateway.attempt_context(), &pools, ticket, instance).await;
            gateway.complete_exchange(ticket, result);
        });
    }

    /// Stops an attempt. Answers whether its connection's task will tell of its end.
    pub(super) fn stop_framed(&self, key: FramedKey, ticket: Ticket, how: AttemptEnd) -> bool {
        let connections = self.frame_connections.borrow();
        connections
            .get(key.connection)
            .is_some_and(|connection| connection.stop(key.sequence, ticket, how, self.clock.now()))
    }
}
