//! Whether an instance speaks frames, as far as one gateway has asked it.

use std::rc::Rc;

use picofaas_frames::Violation;

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
    /// The instance does not speak frames, or says that they are wrong.
    Declined,
    /// It speaks them in a wrong way.
    Broken(Violation),
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

    /// Lets go of a connection whose sequences are used up, so that the instance is asked for another.
    pub(crate) fn renew(&mut self) {
        *self = Self::NotMade;
    }

    /// Takes note of the end of the connection with this number, or of an offer that brought none. The end of a
    /// connection that was let go changes nothing.
    pub(crate) fn end(&mut self, number: Option<usize>, end: OfferEnd, now: Nanos) {
        if number != self.connection().map(|(number, _)| number) {
            return;
        }
        *self = match end {
            OfferEnd::Declined | OfferEnd::Broken(_) => Self::Declined,
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
        offer.end(None, OfferEnd::Lost, 10);
        assert!(!offer.make(9 + ASK_AGAIN_NS));
        assert!(offer.make(10 + ASK_AGAIN_NS));
        offer.end(None, OfferEnd::Declined, 20);
        assert!(!offer.make(Nanos::MAX), "it has declined");
    }

    #[test]
    fn a_connection_that_is_used_up_is_followed_by_another_whose_end_alone_counts() {
        let mut offer = FrameOffer::default();
        assert!(offer.make(5));
        offer.accept(3, FrameConnection::new(5));
        offer.renew();
        assert!(offer.connection().is_none() && offer.make(6), "it is asked for another");
        offer.accept(4, FrameConnection::new(6));
        offer.end(Some(3), OfferEnd::Declined, 7);
        assert_eq!(
            offer.connection().map(|(number, _)| number),
            Some(4),
            "the first one's end is nothing to it"
        );
        offer.end(Some(4), OfferEnd::Lost, 8);
        assert!(offer.make(8 + ASK_AGAIN_NS));
    }
}
