//! A connection that invokes, over either transport.

use std::collections::VecDeque;

use picofaas_contract::frames_client::{AttemptEnd, AttemptNumber, FramesClient};
use picofaas_contract::invocation::Invocation;
use picofaas_contract::wire::{Answer, Connection};

use super::warm_instance::Stream;

/// A connection that invokes. Dropped, it breaks off.
pub(crate) enum Client {
    Http(Connection<Stream>),
    Frames(FramesQueue),
}

/// A connection over frames, with the attempts that are out.
pub(crate) struct FramesQueue {
    client: FramesClient,
    out: VecDeque<AttemptNumber>,
}

impl Client {
    pub(crate) fn over_frames(client: FramesClient) -> Self {
        Self::Frames(FramesQueue { client, out: VecDeque::new() })
    }

    /// Invokes, and waits for the answer.
    #[track_caller]
    pub(crate) fn invoke(&mut self, invocation: &Invocation) -> Answer {
        self.begin(invocation);
        self.receive()
    }

    /// Invokes with an input.
    #[track_caller]
    pub(crate) fn invoke_with(&mut self, input: &str) -> Answer {
        self.invoke(&Invocation::of(input))
    }

    /// Invokes without waiting for the answer.
    pub(crate) fn begin(&mut self, invocation: &Invocation) {
        match self {
            Self::Http(connection) => connection.send(invocation.http()),
            Self::Frames(frames) => frames.out.push_back(frames.client.begin(invocation)),
        }
    }

    /// Waits for the answer to the invocation that was begun first.
    #[track_caller]
    pub(crate) fn receive(&mut self) -> Answer {
        match self {
            Self::Http(connection) => connection.receive(),
            Self::Frames(FramesQueue { client, out }) => {
                client.answer_to(out.pop_front().expect("one was begun"))
            }
        }
    }

    /// Whether the instance closes, without an answer to anything that was begun.
    #[track_caller]
    pub(crate) fn is_closed(&mut self) -> bool {
        match self {
            Self::Http(connection) => connection.is_closed(),
            Self::Frames(FramesQueue { client, out }) => {
                client.close_reason();
                out.drain(..).all(|number| matches!(client.end_of(number), AttemptEnd::Lost))
            }
        }
    }
}
