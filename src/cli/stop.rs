//! Signals that tell a command to stop: SIGTERM, SIGINT, and SIGHUP when its terminal goes.

use std::future::pending;
use std::io;
use std::pin::pin;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Within this time the same signal is the first one once more: who ends a command often signals its
/// process and then its group, which it is in.
const ECHO: Duration = Duration::from_millis(100);

/// The signals that stop.
#[derive(Debug)]
pub(super) struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
    /// `None` where it is to outlive the terminal.
    hang_up: Option<Signal>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StopSignal {
    Terminate,
    Interrupt,
    HangUp,
}

impl StopSignals {
    /// From now on they end nothing by themselves.
    ///
    /// # Errors
    /// An error of the kernel.
    pub(super) fn listen() -> io::Result<Self> {
        let hang_up = if hang_ups_are_ignored() { None } else { Some(signal(SignalKind::hangup())?) };
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up,
        })
    }

    /// Returns when told to stop, with a future that returns when told so once more.
    pub(super) async fn received(&mut self) -> impl Future<Output = ()> {
        let first = self.next().await;
        received_again(first, async || self.next().await)
    }

    async fn next(&mut self) -> StopSignal {
        let hung_up = async {
            match &mut self.hang_up {
                Some(hang_up) => hang_up.recv().await,
                None => pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => StopSignal::Terminate,
            _ = self.interrupt.recv() => StopSignal::Interrupt,
            _ = hung_up => StopSignal::HangUp,
        }
    }
}

async fn received_again(first: StopSignal, mut next: impl AsyncFnMut() -> StopSignal) {
    let mut echo = pin!(tokio::time::sleep(ECHO));
    loop {
        tokio::select! {
            () = &mut echo => break,
            signal = next() => if signal != first { return },
        }
    }
    next().await;
}

/// Whether SIGHUP was ignored when this process started, as `nohup` has it.
fn hang_ups_are_ignored() -> bool {
    // Where /proc cannot be read, it is as without nohup.
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores_hang_ups(&status))
}

fn ignores_hang_ups(status: &str) -> bool {
    const SIGHUP_BIT: u64 = 1;
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & SIGHUP_BIT != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After how many signals a process that was told to terminate takes it that it is told again.
    fn signals_until_received_again(later: impl AsyncFn(usize) -> StopSignal) -> usize {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let mut signals = 0;
        runtime.block_on(received_again(StopSignal::Terminate, async || {
            let signal = later(signals).await;
            signals += 1;
            signal
        }));
        signals
    }

    #[test]
    fn the_same_signal_at_once_is_the_first_one_once_more_and_another_or_a_later_one_is_not() {
        assert_eq!(signals_until_received_again(async |_| StopSignal::Interrupt), 1);
        let echoed_then_later = async |at| {
            if at > 0 {
                // sleep: what tells a second signal from an echo is that it comes later.
                tokio::time::sleep(ECHO * 2).await;
            }
            StopSignal::Terminate
        };
        assert_eq!(signals_until_received_again(echoed_then_later), 2);
    }

    #[test]
    fn a_hang_up_is_ignored_where_the_first_bit_of_the_mask_says_so() {
        let status =
            |mask: &str| format!("SigBlk:\t0000000000000001\nSigIgn:\t{mask}\nSigCgt:\t0000000000000001\n");
        assert!(ignores_hang_ups(&status("0000000000001001")));
        assert!(!ignores_hang_ups(&status("0000000000001000")));
        assert!(!ignores_hang_ups(""));
    }
}
