//! Whether an instance speaks frames, as far as one gateway has asked it.

use std::rc::Rc;

use super::frame_connection::FrameConnection;
use crate::clock::{NANOS_PER_MS, Nanos};

/// Time after which an instance is asked again where the connection did not come about, or was lost.
const ASK_AGAIN_NS: Nanos = 1_000 * NANOS_PER_MS;

/// The offer of frames to one instance. A new one is made with each generation of it.
#[derive(Debug, Default)]
pub(crate) enum FrameOffer {
    /// It was not asked.
    #[default]
    NotMade,
    /// It is being asked; attempts go over HTTP/1.1 meanwhile.
    Made,
    /// It speaks frames.
    Open(OpenFrames),
    /// It does not, or not as the protocol wants: it is not asked again.
    Declined,
    /// There was no answer, or the connection is over: it may be asked again at this time.
    Later(Nanos),
}

/// A connection that lives as long as its instance is known; then it closes once it has nothing to do.
#[derive(Debug)]
pub(crate) struct OpenFrames {
    /// Its number on the gateway.
    number: usize,
    connection: Rc<FrameConnection>,
}

impl Drop for OpenFrames {
    fn drop(&mut self) {
        self.connection.retire();
    }
}

/// The end of an offer or of a connection, for the next offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OfferEnd {
    /// The instance does not speak frames.
    Declined,
    /// It could not be asked, or the connection is over.
    Lost,
    /// It gave no sign of life while attempts were out.
    Silent,
}

impl FrameOffer {
    /// The connection and its number, where there is one.
    pub(crate) fn connection(&self) -> Option<(usize, &Rc<FrameConnection>)> {
        match self {
            Self::Open(OpenFrames { number, connection }) => Some((*number, connection)),
            Self::NotMade | Self::Made | Self::Declined | Self::Later(_) => None,
        }
    }

    /// Whether the instance is to be asked now; then it counts as asked.
    pub(crate) fn make(&mut self, now: Nanos) -> bool {
        let is_due = match self {
            Self::NotMade => true,
            Self::Later(at) => now >= *at,
            Self::Made | Self::Open(_) | Self::Declined => false,
        };
        if is_due {
            *self = Self::Made;
        }
        is_due
    }

    /// Takes note of a connection.
    pub(crate) fn accept(&mut self, number: usize, connection: Rc<FrameConnection>) {
        *self = Self::Open(OpenFrames { number, connection });
    }

    /// Takes note of an end.
    pub(crate) fn end(&mut self, end: OfferEnd, now: Nanos) {
        *self = match end {
            OfferEnd::Declined => Self::Declined,
            OfferEnd::Lost | OfferEnd::Silent => Self::Later(now.saturating_add(ASK_AGAIN_NS)),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_asked_once_and_again_only_after_a_loss_and_a_pause() {
        let mut offer = FrameOffer::default();
        assert!(offer.make(5));
        assert!(!offer.make(6), "it is being asked");
        offer.end(OfferEnd::Lost, 10);
        assert!(!offer.make(9 + ASK_AGAIN_NS));
        assert!(offer.make(10 + ASK_AGAIN_NS));
        offer.end(OfferEnd::Declined, 20);
        assert!(!offer.make(Nanos::MAX), "it has declined");
    }
}
