//! The time at which a program began.

use tokio::time::Instant;

use crate::clock;

/// The time at which a program began. [`serve`](crate::serve) takes it itself; a program that has something to do
/// before takes it first, and calls [`serve_since`](crate::serve_since).
#[derive(Clone, Copy, Debug)]
pub struct Beginning(pub(crate) Instant);

impl Beginning {
    /// The beginning of a program that begins now.
    #[must_use]
    pub fn now() -> Self {
        Self(clock::now())
    }
}
