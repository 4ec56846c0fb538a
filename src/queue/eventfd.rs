//! An eventfd: the write that ends another thread's poll.

use std::os::fd::OwnedFd;

use rustix::event::{EventfdFlags, eventfd};
use tokio::io::unix::AsyncFd;

/// A counter in the kernel that a poll can wait for.
///
/// It is polled edge-triggered and never read: every write is an edge of its own, and the
/// counter would need 2⁶⁴ writes to run full.
#[derive(Debug)]
pub struct EventFd(OwnedFd);

impl EventFd {
    /// Makes one.
    ///
    /// # Errors
    /// The kernel gives none, e.g. because the process has too many open files.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    /// Another descriptor of the same counter, for the poll of the thread that is woken. Called
    /// on a thread with a tokio runtime.
    ///
    /// # Errors
    /// The process has too many open files.
    #[expect(unsafe_code, reason = "tokio leaves it to the caller that the descriptor stays open")]
    pub fn polled_end(&self) -> std::io::Result<AsyncFd<OwnedFd>> {
        let end = self.0.try_clone()?;
        // SAFETY: an `OwnedFd` is open until it is dropped and always names the same
        // descriptor, and the `AsyncFd` owns it.
        unsafe { Ok(AsyncFd::register(end)?) }
    }

    /// Wakes the thread that polls it.
    pub fn wake(&self) {
        let one = 1_u64.to_ne_bytes();
        // It fails only when the counter is full, and then the poll has its edge already.
        let _ = rustix::io::write(&self.0, &one);
    }
}
