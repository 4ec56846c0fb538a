//! Channels off the hot path: bounded ones for messages, and one-time ones for their answers.
//!
//! The types are tokio's own, under their own names. Clippy refuses them anywhere else, so that
//! each use is one of these: nobody who serves invocations waits on a channel outside of a task of
//! its own.

#![expect(clippy::disallowed_types, reason = "the one place that names the channels of the cold path")]

/// Messages that may lie unread in the channel of a gateway or of control.
pub const MESSAGES_MAX: usize = 1024;

/// Bounded channels of many writers and one reader.
pub mod mpsc {
    /// The writing end.
    pub type Sender<T> = tokio::sync::mpsc::Sender<T>;
    /// The reading end.
    pub type Receiver<T> = tokio::sync::mpsc::Receiver<T>;
    pub use tokio::sync::mpsc::channel;
}

/// Channels of one value, as answers go.
pub mod oneshot {
    /// The answering end. Dropped unsent, the reader learns that there will be no answer.
    pub type Sender<T> = tokio::sync::oneshot::Sender<T>;
    /// The waiting end.
    pub type Receiver<T> = tokio::sync::oneshot::Receiver<T>;
    pub use tokio::sync::oneshot::channel;
}

/// Answers, where the caller still waits; it may have gone, which is fine.
pub fn answer<T>(sender: oneshot::Sender<T>, value: T) {
    let _ = sender.send(value);
}

/// Answers with the result of `work`. Where the caller goes before that, `work` is dropped.
pub async fn answer_with<T>(mut sender: oneshot::Sender<T>, work: impl Future<Output = T>) {
    let done = tokio::select! {
        biased;
        value = work => Some(value),
        () = sender.closed() => None,
    };
    if let Some(value) = done {
        answer(sender, value);
    }
}
