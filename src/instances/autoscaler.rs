//! The autoscaler: scale-up as the scheduler asks for it, scale-down of idle instances, and house-keeping.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use super::Backend;
use crate::clock::{NANOS_PER_MS, Nanos};
use crate::control::{Control, OpenVersion};
use crate::instance::VersionIndex;
use crate::messages::control_message::JobStart;
use crate::scheduler::message::{SchedulerCommand, SchedulerEvent};

/// Period at which idle instances are looked for; an instance stops at most this much late.
const SCALE_DOWN_PERIOD: Duration = Duration::from_millis(100);

impl Control {
    /// Handles the scheduler's events for ever.
    ///
    /// # Errors
    /// The eventfd cannot be polled.
    pub async fn take_scheduler_events(self: Rc<Self>) -> std::io::Result<()> {
        let polled = self.rings.control_eventfd.polled_end()?;
        loop {
            while let Some(event) = self.rings.scheduler_events.pop() {
                self.handle_event(event);
            }
            self.rings.control_doorbell.fall_asleep();
            if !self.rings.scheduler_events.is_empty() {
                self.rings.control_doorbell.wake_up();
                continue;
            }
            // Edge-triggered and never read: see `EventFd`.
            poll_fn(|cx| match polled.poll_read_ready(cx) {
                Poll::Ready(Ok(mut ready)) => {
                    ready.clear_ready();
                    Poll::Ready(())
                }
                Poll::Ready(Err(_)) => Poll::Ready(()),
                Poll::Pending => Poll::Pending,
            })
            .await;
            self.rings.control_doorbell.wake_up();
        }
    }

    fn handle_event(self: &Rc<Self>, event: SchedulerEvent) {
        match event {
            SchedulerEvent::InstanceWanted { version } => {
                if !self.backend(version).is_some_and(|backend| backend.start_wanted()) {
                    self.context.commands.send(SchedulerCommand::StartFailed { version });
                }
            }
            SchedulerEvent::InstanceSuspect { instance } => {
                if let Some(backend) = self.backend(instance.version) {
                    backend.look_after(instance);
                }
            }
            SchedulerEvent::InstanceIdle { instance } => {
                if let Some(backend) = self.backend(instance.version) {
                    backend.stop(instance);
                }
            }
            SchedulerEvent::VersionClosed { version } => self.version_closed(version.index),
        }
    }

    fn backend(&self, version: VersionIndex) -> Option<Backend> {
        self.versions.borrow().get(&version).map(|version| version.backend.clone())
    }

    /// Has a version's idle instances stopped. Returns false where it has no instance at all.
    fn scale_down_idle(&self, index: VersionIndex, now: Nanos) -> bool {
        let versions = self.versions.borrow();
        let Some(OpenVersion { function, backend }) = versions.get(&index) else { return false };
        let Some(min) = backend.min() else { return false };
        if !backend.may_scale_down(now) {
            return false;
        }
        if backend.count() > min {
            let idle_before = now.saturating_sub(u64::from(function.spec.idle_timeout_ms) * NANOS_PER_MS);
            let keep = u16::try_from(min).unwrap_or(u16::MAX);
            self.context.commands.send(SchedulerCommand::ReapIdle { version: index, keep, idle_before });
        }
        true
    }

    /// Starts the process of one attempt of a `JOB`. Where its version is not there any more, nobody is
    /// told, which tells whoever waits.
    pub fn start_job(&self, start: JobStart) {
        if let Some(backend) = self.backend(start.function.index) {
            backend.start_job(start);
        }
    }

    /// Sends waiting commands, scales down idle instances, and cleans up after ended ones, for ever.
    pub async fn housekeeping(self: Rc<Self>) {
        let mut tick = tokio::time::interval(SCALE_DOWN_PERIOD);
        loop {
            tick.tick().await;
            self.context.commands.flush();
            self.context.tidy();
            let now = self.clock.now();
            self.logs.sweep(now);
            self.context.populated.borrow_mut().retain(|index| self.scale_down_idle(*index, now));
        }
    }
}
