//! Another function that must go on being served while something goes wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::server::{BYSTANDER, Server};

/// Between two invocations: enough to leave the machine to what is tested.
const PAUSE: Duration = Duration::from_millis(5);

/// Does `work` while another function is invoked all the time, and asserts that each of those
/// invocations was answered with its output.
pub(crate) fn while_others_are_served<T>(server: &Server, work: impl FnOnce() -> T) -> T {
    let mut client = server.client();
    // The first one is through before the work begins, so that there is one beside any work.
    assert_eq!(client.invoke(BYSTANDER, 0).output(), 0);
    let over = Arc::new(AtomicBool::new(false));
    let seen = over.clone();
    let loop_of_invocations = thread::spawn(move || {
        let mut served = 0_u32;
        while !seen.load(Ordering::Acquire) {
            served += 1;
            assert_eq!(client.invoke(BYSTANDER, served).output(), served);
            thread::park_timeout(PAUSE);
        }
    });
    let result = work();
    over.store(true, Ordering::Release);
    loop_of_invocations.thread().unpark();
    loop_of_invocations.join().expect("another function was not served meanwhile");
    server.assert_others_are_served();
    result
}
