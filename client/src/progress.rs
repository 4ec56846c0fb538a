//! A line on standard error that says that something is still awaited, where a person sees it.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use tokio::time::interval;

/// Between two changes of the line.
const STEP: Duration = Duration::from_secs(1);

/// Awaits the future. After a second, and then each second, the line says how long that has been.
pub(crate) async fn while_waiting<T>(what: &str, future: impl Future<Output = T>) -> T {
    if !io::stderr().is_terminal() {
        return future.await;
    }
    let mut future = std::pin::pin!(future);
    let mut steps = interval(STEP);
    let mut line = Line { is_there: false };
    let mut seconds = 0_u32;
    loop {
        tokio::select! {
            biased;
            result = &mut future => return result,
            _ = steps.tick() => {
                // The first tick comes at once.
                if seconds > 0 {
                    line.show(&format!("{what}: {seconds} s"));
                }
                seconds += 1;
            }
        }
    }
}

/// The last line of a terminal; cleared on drop.
struct Line {
    is_there: bool,
}

impl Line {
    fn show(&mut self, text: &str) {
        self.is_there = true;
        // A terminal that is gone needs no line.
        let _ = write!(io::stderr(), "\r\u{1b}[K{text}");
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.is_there {
            let _ = write!(io::stderr(), "\r\u{1b}[K");
        }
    }
}
