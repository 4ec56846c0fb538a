//! The end of a process, told by the kernel.

use std::io;
use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};

/// The end of a process that is there, whoever started it. To wait for it does not reap the process.
#[derive(Debug)]
pub struct ProcessEnd {
    /// Readable when the process has ended.
    pidfd: AsyncFd<OwnedFd>,
}

impl ProcessEnd {
    /// Watches a process. It must not have been reaped, as its number may be another's then.
    ///
    /// # Errors
    /// There is no such process, or too many files are open.
    #[expect(unsafe_code, reason = "tokio leaves it to the caller that the descriptor stays open")]
    pub fn of(pid: Pid) -> io::Result<Self> {
        let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
        // SAFETY: the descriptor is owned by what is registered, and closed with it.
        let pidfd = unsafe { AsyncFd::register(pidfd) }?;
        Ok(Self { pidfd })
    }

    /// Returns when the process has ended.
    ///
    /// # Errors
    /// The runtime ends.
    pub async fn reached(&self) -> io::Result<()> {
        self.readable().await.map(drop)
    }

    /// The same, for who looks whether it has and otherwise waits on.
    pub(crate) async fn readable(&self) -> io::Result<AsyncFdReadyGuard<'_, OwnedFd>> {
        self.pidfd.readable().await
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::{Signal, kill_process};

    use super::*;

    #[test]
    fn the_end_of_a_process_is_told_and_leaves_it_to_be_reaped() {
        let mut process = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let pid = Pid::from_raw(process.id().try_into().unwrap()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let end = ProcessEnd::of(pid).unwrap();
            tokio::select! {
                biased;
                _ = end.reached() => panic!("it has not ended"),
                () = tokio::task::yield_now() => {}
            }
            kill_process(pid, Signal::KILL).unwrap();
            end.reached().await.unwrap();
            // A zombie is watched as well.
            ProcessEnd::of(pid).unwrap().reached().await.unwrap();
        });
        assert_eq!(process.try_wait().unwrap().map(|status| status.success()), Some(false));
    }
}
