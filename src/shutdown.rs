//! Takes the threads apart in order.

use std::time::Duration;

use anyhow::{Context as _, anyhow};

use crate::control::Control;
use crate::messages::gateway_message::GatewayMessage;
use crate::startup::ControlPlane;

/// Time that instances may take to stop at the end, beyond their own.
const STOP_MARGIN: Duration = Duration::from_secs(2);
/// Period of the looks whether every accepted execution has ended. No event says so: gateways count with relaxed
/// stores on the path of an invocation, where waking control would cost each of them.
const LOOK: Duration = Duration::from_millis(2);

/// Treatment of promised results that were not read yet when the control plane stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnreadResults {
    /// Wait for their readers.
    Await,
    /// Drop them.
    Drop,
}

impl ControlPlane {
    /// Stops in order: no new invocations, then the end of those accepted (at most `patience`),
    /// then the gateways, the scheduler and the instances. Answers whether everything accepted
    /// came to its end in time.
    ///
    /// # Errors
    /// If a thread had failed.
    pub async fn stop(self, patience: Duration, unread: UnreadResults) -> anyhow::Result<bool> {
        let control = &self.control;
        let begun = control.clock.now();
        let in_time = drain(control, patience, unread).await;
        let elapsed = Duration::from_nanos(control.clock.now().saturating_sub(begun));
        finish_gateways(control, patience.saturating_sub(elapsed)).await;
        let mut ends = Vec::with_capacity(self.gateways.len());
        for gateway in self.gateways {
            ends.push(gateway.join().await);
        }
        stop_instances(control).await;
        let scheduler = self.scheduler.stop().await;
        for end in ends {
            end.map_err(|_| anyhow!("a gateway panicked"))?.context("a gateway failed")?;
        }
        scheduler.map_err(|_| anyhow!("the scheduler panicked"))?;
        control.context.local.host.close().await;
        if let Some(objects) = &control.function_objects {
            objects.release().await;
        }
        Ok(in_time)
    }
}

/// Refuses new invocations and waits for the end of those accepted. Answers whether it came in time.
async fn drain(control: &Control, patience: Duration, unread: UnreadResults) -> bool {
    control.draining.set(true);
    control.logs.finish();
    control.gateways.tell_all(|done| GatewayMessage::Drain { done }).await;
    let over = async {
        while control.live() > 0 || (unread == UnreadResults::Await && control.unread() > 0) {
            tokio::time::sleep(LOOK).await;
        }
    };
    let in_time = tokio::time::timeout(patience, over).await.is_ok();
    if control.unread() > 0 {
        tracing::warn!(results = control.unread(), "promised results were not read before the end");
    }
    in_time
}

/// Ends what is left, answers the clients that wait, and has every gateway stop. An answer that is taken slowly has as
/// long as `answers`.
async fn finish_gateways(control: &Control, answers: Duration) {
    // All finish at once, and none stops before every client of the others was answered.
    control.gateways.tell_all(|done| GatewayMessage::Finish { answers, done }).await;
    control.gateways.send_all(|| GatewayMessage::Stop).await;
}

/// Stops the instances, and waits as long for them as they may take.
async fn stop_instances(control: &Control) {
    control.registry.versions().stop_instances();
    let patience = Duration::from_millis(control.settings.flags.stop_timeout_ms) + STOP_MARGIN;
    let stopped = control.registry.versions().emptied();
    if tokio::time::timeout(patience, stopped).await.is_err() {
        tracing::warn!("some instances did not stop and are killed");
    }
}
