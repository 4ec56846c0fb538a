//! Messages to all gateways, by index.

use std::sync::Arc;

use hyper::Response;

use crate::api::response::body::Body;
use crate::channel::{AnswerSender, MESSAGES_MAX, MessageReceiver, MessageSender, mpsc, oneshot};
use crate::error::{ApiError, ErrorCode};
use crate::id::ExecutionId;
use crate::messages::gateway_message::{GatewayMessage, RoutedRequest};

/// The ways to all gateways. A clone leads to the same ones.
#[derive(Clone, Debug)]
pub struct GatewaySenders(Arc<[MessageSender<GatewayMessage>]>);

impl GatewaySenders {
    /// The ways to as many gateways, and the ends that they read.
    #[must_use]
    pub fn new(gateways: usize) -> (Self, Vec<MessageReceiver<GatewayMessage>>) {
        let (senders, receivers): (Vec<_>, Vec<_>) =
            (0..gateways).map(|_| mpsc::channel(MESSAGES_MAX)).unzip();
        (Self(senders.into()), receivers)
    }

    /// How many gateways there are.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The gateway that owns an execution. An id that names none is the first one's to refuse.
    #[must_use]
    pub(crate) fn owner_of(&self, id: &str) -> usize {
        let owner = ExecutionId::parse(id).map_or(0, |id| id.ticket.gateway());
        if owner < self.len() { owner } else { 0 }
    }

    /// Sends a gateway a message.
    ///
    /// # Errors
    /// `DRAINING` where it has stopped.
    pub(crate) async fn send(&self, gateway: usize, message: GatewayMessage) -> Result<(), ApiError> {
        let sender = self.0.get(gateway).ok_or_else(stopping)?;
        sender.send(message).await.map_err(|_| stopping())
    }

    /// Has a gateway serve a request, and waits for its answer. Dropped before that, the gateway drops
    /// the request, too.
    ///
    /// # Errors
    /// `DRAINING` where it has stopped.
    pub(crate) async fn serve(
        &self,
        gateway: usize,
        request: RoutedRequest,
    ) -> Result<Response<Body>, ApiError> {
        let (answer, response) = oneshot::channel();
        self.send(gateway, GatewayMessage::Serve { request: Box::new(request), answer }).await?;
        response.await.map_err(|_| stopping())
    }

    /// Sends a message to every gateway, and waits until each has handled it or has stopped.
    pub(crate) async fn tell_all(&self, message: impl Fn(AnswerSender<()>) -> GatewayMessage) {
        let mut told = Vec::with_capacity(self.len());
        for sender in self.0.iter() {
            let (done, awaited) = oneshot::channel();
            if sender.send(message(done)).await.is_ok() {
                told.push(awaited);
            }
        }
        for awaited in told {
            // An error where the gateway has stopped: then there is nobody to tell.
            let _ = awaited.await;
        }
    }

    /// Sends a message to every gateway that has not stopped.
    pub(crate) async fn send_all(&self, message: impl Fn() -> GatewayMessage) {
        for sender in self.0.iter() {
            // One that has stopped has forgotten everything.
            let _ = sender.send(message()).await;
        }
    }
}

/// The error where a gateway has stopped.
pub(crate) fn stopping() -> ApiError {
    ApiError::new(ErrorCode::Draining, "the control plane is stopping").retry_after(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ticket::Ticket;

    #[tokio::test]
    async fn all_are_told_and_those_that_have_stopped_are_not_waited_for() {
        let (senders, mut receivers) = GatewaySenders::new(3);
        drop(receivers.remove(1));
        let told = tokio::spawn(async move {
            senders.tell_all(|done| GatewayMessage::Drain { done }).await;
            senders.send(1, GatewayMessage::Stop).await.map_err(|error| error.code)
        });
        // The last answers first, and the first stops without an answer.
        for (at, answers) in [(1, true), (0, false)] {
            assert!(!told.is_finished());
            match receivers[at].recv().await {
                Some(GatewayMessage::Drain { done }) if answers => crate::channel::answer(done, ()),
                Some(GatewayMessage::Drain { done }) => drop(done),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(told.await.unwrap(), Err(ErrorCode::Draining));
    }

    #[test]
    fn an_id_that_names_no_gateway_is_refused_by_the_first() {
        let (senders, _receivers) = GatewaySenders::new(2);
        let id = |gateway| {
            ExecutionId { incarnation: 1, ticket: Ticket::new(gateway, 3, 4), nonce: 5 }.to_string()
        };
        assert_eq!((senders.owner_of(&id(0)), senders.owner_of(&id(1)), senders.owner_of(&id(2))), (0, 1, 0));
        assert_eq!(senders.owner_of("no id"), 0);
    }
}
