//! `dispatch`: a run that the scheduler has granted begins an attempt, which ends by its result or is stopped.
//!
//! For every `GatewayCommand::Run` the gateway answers one `GatewayEvent::AttemptEnded`, also where the
//! execution is over already.

use std::future::pending;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::Gateway;
use crate::attempt_end::AttemptEnd;
use crate::clock::Nanos;
use crate::dispatch::context::AttemptContext;
use crate::dispatch::job::job_attempt::JobAttempt;
use crate::dispatch::job::standby_attempt::StandbyAttempt;
use crate::dispatch::pool::attempt;
use crate::dispatch::pool::instance_pools::InstancePools;
use crate::dispatch::pool::web::web_attempt;
use crate::dispatch::pool::web::web_attempt::WebEnd;
use crate::error::ErrorCode;
use crate::instance::{Address, InstanceKey};
use crate::messages::control_message::{ControlMessage, Retry};
use crate::scheduler::message::{EndReason, GatewayCommand, GatewayEvent};
use crate::spec::ExecutionMode;
use crate::store::attempt_result::{AttemptResult, Outcome};
use crate::store::execution::Execution;
use crate::store::execution_error::ExecutionError;
use crate::store::running_attempt::RunningAttempt;
use crate::store::web_connections::WebConnections;
use crate::ticket::Ticket;
use crate::web_exchange::UpgradePlace;

/// Fate of an attempt whose own time is over.
enum AttemptCut {
    /// It goes on: its answer has begun.
    Ignored,
    /// It ends, and its execution with it: a request that may not be repeated was sent.
    Final,
    /// It ends, and another may follow.
    Repeatable,
}

/// A connection whose protocol was changed, until it is dropped.
struct OpenConnection {
    gateway: Rc<Gateway>,
    of_version: Rc<WebConnections>,
    _place: Option<UpgradePlace>,
    /// None where the instance had gone when its attempt began.
    address: Option<Arc<Address>>,
}

impl OpenConnection {
    fn new(
        gateway: Rc<Gateway>,
        pools: &InstancePools,
        address: Option<Arc<Address>>,
        ticket: Ticket,
    ) -> Self {
        let of_version = pools.entry.web_connections.clone();
        let place = gateway.executions.borrow_mut().take_upgrade_place(ticket);
        let open = Self { gateway, of_version, _place: place, address };
        open.gateway.web_connections.set(open.gateway.web_connections.get() + 1);
        if let Some(address) = &open.address {
            address.web_connections.enter();
        }
        open
    }

    /// Returns when it is to close: its version is replaced, its instance goes away, or this process stops.
    async fn closing(&self) {
        let of_instance = async {
            match &self.address {
                Some(address) => address.web_connections.closing().await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = self.of_version.closing() => {}
            () = of_instance => {}
        }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.gateway.web_connections.set(self.gateway.web_connections.get() - 1);
        if let Some(address) = &self.address {
            address.web_connections.leave();
        }
        self.gateway.publish_gauges();
    }
}

impl Gateway {
    /// Carries out the scheduler's commands, and those that come of the answers.
    pub(super) fn take_commands(self: &Rc<Self>) {
        loop {
            let mut told = false;
            let mut granted = None;
            while let Some(command) = self.own_rings().commands.pop() {
                told |= match command {
                    GatewayCommand::Run { ticket, instance, attempt } => {
                        // One look at the clock for all that are here.
                        let now = *granted.get_or_insert_with(|| self.clock.now());
                        self.dispatch(ticket, instance, attempt, now)
                    }
                    GatewayCommand::Abort { ticket } => self.abort(ticket),
                    GatewayCommand::End { ticket, why } => self.ended_by_scheduler(ticket, why),
                };
            }
            if !told {
                return;
            }
            self.wake_or_tick();
        }
    }

    /// Begins an attempt that was granted. Answers whether the scheduler was told something.
    fn dispatch(self: &Rc<Self>, ticket: Ticket, instance: InstanceKey, attempt: u8, now: Nanos) -> bool {
        let versions = self.versions.borrow();
        let has_begun = match versions.get(&instance.version) {
            Some(pools) => {
                if attempt > 1 && self.settings.tells_retries {
                    self.tell_retry(ticket, pools, attempt);
                }
                let is_job = pools.entry.function.spec.execution_mode == ExecutionMode::Job;
                let is_ahead = is_job && instance.place > 0;
                let token = (is_job && !is_ahead).then(|| self.executions.new_token());
                let start = |id, execution: &Execution| match token {
                    _ if execution.web.is_some() => self
                        .begin_framed_web(pools, ticket, instance, id, execution, now)
                        .unwrap_or_else(|| self.start_web(pools.clone(), ticket, instance)),
                    Some(token) => {
                        if pools.entry.function.spec.standby.is_some() {
                            pools.entry.metrics().standby_missed.add_one();
                        }
                        let (job, attempt) = JobAttempt::new(id, execution, token, now);
                        self.start_job(job, ticket);
                        attempt
                    }
                    None if is_ahead => {
                        let (single, attempt) =
                            StandbyAttempt::new(id, execution, &pools.entry, instance, now);
                        self.start_at_standby(single, ticket);
                        attempt
                    }
                    None => self
                        .begin_framed(pools, ticket, instance, id, execution, now)
                        .unwrap_or_else(|| self.start_exchange(pools.clone(), ticket, instance)),
                };
                self.executions.borrow_mut().begin_attempt(
                    ticket,
                    &pools.entry,
                    attempt,
                    instance,
                    now,
                    start,
                )
            }
            None => {
                let has_ended = self.executions.with(ticket, |_, execution| execution.has_ended());
                debug_assert!(
                    has_ended != Some(false),
                    "a grant for a version that this gateway does not know"
                );
                false
            }
        };
        if !has_begun {
            self.tell(GatewayEvent::AttemptEnded { ticket, how: AttemptEnd::Done });
        }
        !has_begun
    }

    /// Has control tell of an attempt that follows one that failed.
    #[cold]
    fn tell_retry(&self, ticket: Ticket, pools: &InstancePools, attempt: u8) {
        let retry = self.executions.with(ticket, |id, execution| {
            let error = execution.error.as_deref().filter(|_| attempt > execution.attempt)?;
            let function = pools.entry.function.clone();
            let (code, message) = (error.code.clone(), error.message.clone());
            Some(Box::new(Retry { function, execution: id, attempt, code, message }))
        });
        if let Some(retry) = retry.flatten() {
            // Where control has too much to do, a line fewer is shown.
            let _ = self.control.try_send(ControlMessage::Retry(retry));
        }
    }

    /// Starts the task of an attempt at an instance.
    fn start_exchange(
        self: &Rc<Self>,
        pools: Rc<InstancePools>,
        ticket: Ticket,
        instance: InstanceKey,
    ) -> RunningAttempt {
        let gateway = self.clone();
        let task = tokio::task::spawn_local(async move {
            let result = attempt::run(gateway.attempt_context(), &pools, ticket, instance).await;
            gateway.complete_exchange(ticket, result);
        });
        RunningAttempt::Exchange(task.abort_handle())
    }

    /// Starts the task of an attempt at an instance that answers an HTTP request as it is.
    #[cold]
    fn start_web(
        self: &Rc<Self>,
        pools: Rc<InstancePools>,
        ticket: Ticket,
        instance: InstanceKey,
    ) -> RunningAttempt {
        let gateway = self.clone();
        // Held from the beginning: the instance may lose its place before its answer has come.
        let address = pools.address(instance);
        let task = tokio::task::spawn_local(async move {
            if pools.entry.function.spec.web.is_none() {
                let text = "the function was replaced by one that does not answer HTTP itself (web)";
                let refused = Outcome::Refused(ExecutionError::new(ErrorCode::FunctionRemoved, text));
                gateway.complete_exchange(ticket, AttemptResult::without_answer(refused));
                return;
            }
            let context = gateway.attempt_context();
            let WebEnd { result, reply, tunnel } = web_attempt::run(context, &pools, ticket, instance).await;
            let open =
                tunnel.map(|tunnel| (tunnel, OpenConnection::new(gateway.clone(), &pools, address, ticket)));
            let completed = gateway.complete(ticket, result);
            if let Some(reply) = reply {
                web_attempt::give(context, ticket, reply);
            }
            if let Some((_, how)) = completed {
                gateway.close_attempt(ticket, how);
            }
            drop(pools);
            if let Some((tunnel, open)) = open {
                tunnel.run(gateway.clock, open.closing()).await;
            }
        });
        RunningAttempt::Exchange(task.abort_handle())
    }

    /// Starts the task of an attempt that has a process of its own.
    fn start_job(self: &Rc<Self>, attempt: JobAttempt, ticket: Ticket) {
        let gateway = self.clone();
        tokio::task::spawn_local(async move {
            let stop_timeout = Duration::from_millis(gateway.settings.flags.stop_timeout_ms);
            let complete = |result| gateway.complete(ticket, result).map(|(_, how)| how);
            let how = attempt.run(gateway.attempt_context(), &gateway.control, stop_timeout, complete).await;
            gateway.close_attempt(ticket, how);
        });
    }

    /// Starts the task of an attempt at an instance that was started ahead.
    fn start_at_standby(self: &Rc<Self>, attempt: StandbyAttempt, ticket: Ticket) {
        let gateway = self.clone();
        tokio::task::spawn_local(async move {
            let complete = |result| gateway.complete(ticket, result).map(|(_, how)| how);
            let how = attempt.run(gateway.attempt_context(), &gateway.control, complete).await;
            gateway.close_attempt(ticket, how);
        });
    }

    /// The parts of this gateway that its attempts need.
    pub(super) fn attempt_context(&self) -> AttemptContext<'_> {
        AttemptContext { executions: &self.executions, clock: self.clock, output_max: self.output_max() }
    }

    /// An attempt's own time is over: its connection closes with its task, or its process is killed.
    fn abort(&self, ticket: Ticket) -> bool {
        let cut = self.executions.with(ticket, |_, execution| match &execution.web {
            Some(web) if web.outlives_deadline => AttemptCut::Ignored,
            Some(web) if !web.may_be_repeated() => AttemptCut::Final,
            Some(_) | None => AttemptCut::Repeatable,
        });
        match cut {
            Some(AttemptCut::Ignored) => return false,
            Some(AttemptCut::Final) => {
                self.executions.borrow_mut().attempt_is_late(ticket);
                return self.ended_by_scheduler(ticket, EndReason::Timeout);
            }
            Some(AttemptCut::Repeatable) | None => {}
        }
        let attempt = self.executions.borrow_mut().abort_attempt(ticket);
        // Without one its end is on the event ring already, or its process is being waited for.
        attempt.is_some_and(|attempt| self.stop_attempt(ticket, attempt, AttemptEnd::Failed))
    }

    /// Stops an attempt. Answers whether the scheduler was told: where not, that is done when the attempt has ended.
    pub(super) fn stop_attempt(&self, ticket: Ticket, attempt: RunningAttempt, how: AttemptEnd) -> bool {
        let told = attempt.stop(how, |key| self.stop_framed(key, ticket, how));
        if let Some(how) = told {
            self.tell(GatewayEvent::AttemptEnded { ticket, how });
        }
        told.is_some()
    }

    /// Completes an attempt whose exchange is through, and closes it.
    pub(super) fn complete_exchange(self: &Rc<Self>, ticket: Ticket, result: AttemptResult) {
        if let Some((_, how)) = self.complete(ticket, result) {
            self.close_attempt(ticket, how);
        }
    }

    /// Closes an attempt whose connection is closed or back in its pool, or whose process is gone: its
    /// permit is free.
    fn close_attempt(self: &Rc<Self>, ticket: Ticket, how: AttemptEnd) {
        self.tell(GatewayEvent::AttemptEnded { ticket, how });
        self.poke_soon();
    }
}
