//! Announcements of single-use instances: which are expected, by their tokens.

use std::cell::RefCell;

use crate::channel;
use crate::channel::{AnswerReceiver, AnswerSender, oneshot};
use crate::id::Token;
use crate::messages::control_message::Announcement;

/// The way in which an instance that is started says that it is ready.
#[derive(Debug)]
pub(super) struct ExpectedAnnouncement {
    /// The token that it shows.
    pub(super) token: Token,
    /// Told when it does.
    pub(super) announced: AnswerReceiver<Box<Announcement>>,
}

/// A token, with who waits for its announcement.
type KnownToken = (Token, Option<AnswerSender<Box<Announcement>>>);

/// Tokens of the instances of one version.
#[derive(Debug, Default)]
pub(super) struct AnnouncedInstances(RefCell<Vec<KnownToken>>);

impl AnnouncedInstances {
    /// Expects the announcement of one more.
    pub(super) fn expect(&self, token: Token) -> ExpectedAnnouncement {
        let (announce, announced) = oneshot::channel();
        self.0.borrow_mut().push((token, Some(announce)));
        ExpectedAnnouncement { token, announced }
    }

    /// Takes an announcement; `false` where its token is none of these.
    pub(super) fn take(&self, announcement: &Announcement) -> bool {
        let mut tokens = self.0.borrow_mut();
        let Some((_, waiting)) = tokens.iter_mut().find(|(known, _)| *known == announcement.token) else {
            return false;
        };
        // It may say so again, where it did not hear the answer.
        if let Some(waiting) = waiting.take() {
            channel::answer(waiting, Box::new(announcement.clone()));
        }
        true
    }

    /// Forgets an instance that is gone.
    pub(super) fn forget(&self, token: Token) {
        self.0.borrow_mut().retain(|(known, _)| *known != token);
    }
}
