//! Channels off the hot path: bounded ones for messages, and one-time ones for their answers.
//!
//! The types are tokio's own, each under a name of its own. Clippy refuses them anywhere else, so that
//! each use is one of these: nobody who serves invocations waits on a channel outside of a task of
//! its own.

#![expect(clippy::disallowed_types, reason = "the one place that names the channels of the cold path")]

pub use tokio::sync::mpsc;
pub(crate) use tokio::sync::oneshot;

/// Messages that may lie unread in the channel of a gateway or of control.
pub const MESSAGES_MAX: usize = 1024;

/// Writing end of a bounded channel, of which there may be many.
pub(crate) type MessageSender<T> = mpsc::Sender<T>;
/// Reading end of a bounded channel.
pub type MessageReceiver<T> = mpsc::Receiver<T>;
/// End that gives one answer. Dropped unsent, the reader learns that there will be none.
pub(crate) type AnswerSender<T> = oneshot::Sender<T>;
/// End that waits for one answer.
pub(crate) type AnswerReceiver<T> = oneshot::Receiver<T>;

/// Answers, where the caller still waits; it may have gone, which is fine.
pub fn answer<T>(sender: AnswerSender<T>, value: T) {
    let _ = sender.send(value);
}

/// Answers with the result of `work`. Where the caller goes before that, `work` is dropped.
pub(crate) async fn answer_with<T>(mut sender: AnswerSender<T>, work: impl Future<Output = T>) {
    let done = tokio::select! {
        biased;
        value = work => Some(value),
        () = sender.closed() => None,
    };
    if let Some(value) = done {
        answer(sender, value);
    }
}
