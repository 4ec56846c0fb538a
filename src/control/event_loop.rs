//! The loops of the control thread: messages of gateways, events of the scheduler, and house-keeping. Each is
//! a task, which hands what comes in to the component that it is for.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use super::Control;
use crate::channel;
use crate::channel::MessageReceiver;
use crate::clock::Nanos;
use crate::logs::output::{Line, OutputStream, OwnExecution, Writer};
use crate::messages::control_message::{ControlMessage, Retry};
use crate::scheduler::message::SchedulerEvent;
use crate::slowest::WINDOW_NS;

/// Period at which it is looked which versions have too few instances, and which idle ones; an instance stops at most
/// this much late.
const SCALING_PERIOD: Duration = Duration::from_millis(100);

/// Characters that are told of the message of an attempt that failed, for one line of a terminal or two.
const RETRY_CHARS_MAX: usize = 200;

/// Period at which the memory of records of slow executions that are over is looked for.
const LET_GO_PERIOD_NS: Nanos = WINDOW_NS;

impl Control {
    /// Starts the loops. Must be called on the control thread.
    pub(crate) fn start(self: &Rc<Self>, messages: MessageReceiver<ControlMessage>) {
        tokio::task::spawn_local(self.clone().housekeeping());
        let control = self.clone();
        tokio::task::spawn_local(async move {
            if let Err(error) = control.take_scheduler_events().await {
                tracing::error!(%error, "the scheduler's notices cannot be read");
                std::process::abort();
            }
        });
        tokio::task::spawn_local(self.clone().take_messages(messages));
        if let Some(objects) = self.function_objects.clone() {
            tokio::task::spawn_local(objects.keep_registry());
        }
    }

    /// Handles the messages of gateways; answers each request in a task of its own.
    async fn take_messages(self: Rc<Self>, mut messages: MessageReceiver<ControlMessage>) {
        while let Some(message) = messages.recv().await {
            match message {
                ControlMessage::Serve { request, answer } => {
                    let control = self.clone();
                    tokio::task::spawn_local(async move {
                        channel::answer(answer, control.answer(*request).await);
                    });
                }
                ControlMessage::StartJob(start) => self.registry.versions().start_job(*start),
                ControlMessage::TakeStandby(take) => self.registry.versions().standby_taken(take),
                ControlMessage::Retry(retry) => self.tell_retry(&retry),
                ControlMessage::Answered(request) => self.tell_request(&request.to_string()),
                ControlMessage::AnsweredMore(count) => {
                    self.tell_request(&format!("… and {count} more requests"));
                }
                ControlMessage::Announce { announcement, answer } => {
                    channel::answer(answer, self.registry.versions().announced(&announcement));
                }
            }
        }
    }

    fn tell_request(&self, line: &str) {
        if let Some(tell) = self.settings.request_line {
            tell(line);
        }
    }

    /// Tells of a retry among the lines of its function.
    fn tell_retry(&self, retry: &Retry) {
        let Retry { function, execution, attempt, code, message } = retry;
        let most = function.spec.max_retries;
        let said: String = message.lines().next().unwrap_or_default().chars().take(RETRY_CHARS_MAX).collect();
        let text = format!(
            "attempt {attempt} of {} (maxRetries {most}): the one before failed with {code}: {said}",
            most + 1
        );
        let writer = Writer {
            function: function.spec.name.as_str().into(),
            instance: "picofaas".into(),
            stream: OutputStream::Output,
            execution: OwnExecution::of(Some(*execution)),
        };
        let line = Line { writer: &writer, execution: Some(*execution), text: &text, written: None };
        self.context.local.host.lines.write(&line);
    }

    /// Handles the scheduler's events for ever.
    async fn take_scheduler_events(&self) -> std::io::Result<()> {
        let polled = self.rings.control_eventfd.polled_end()?;
        loop {
            while let Some(event) = self.rings.scheduler_events.pop() {
                self.handle_event(event);
            }
            self.context.commands.look();
            self.rings.control_doorbell.fall_asleep();
            if !self.rings.scheduler_events.is_empty() || self.context.commands.has_news() {
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

    fn handle_event(&self, event: SchedulerEvent) {
        match event {
            SchedulerEvent::InstanceWanted { version } => self.autoscaler.instance_wanted(version),
            SchedulerEvent::InstanceSuspect { instance } => self.autoscaler.instance_suspect(instance),
            SchedulerEvent::InstanceIdle { instance } => self.autoscaler.instance_idle(instance),
            SchedulerEvent::VersionClosed { version } => self.registry.version_closed(version.index),
        }
    }

    /// Sends waiting commands, looks at the number of instances, and cleans up after ended ones, for ever.
    async fn housekeeping(self: Rc<Self>) {
        let mut tick = tokio::time::interval(SCALING_PERIOD);
        let mut let_go_at = LET_GO_PERIOD_NS;
        loop {
            tick.tick().await;
            self.context.commands.flush();
            self.context.local.host.tidy();
            let now = self.clock.now();
            self.logs.sweep(now);
            self.autoscaler.look(now, self.draining.get());
            if now >= let_go_at {
                let_go_at = now + LET_GO_PERIOD_NS;
                self.let_go_of_slowest(now);
            }
        }
    }
}
