//! Bytes both ways between a caller and a server that have changed the protocol.

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;

/// Passes bytes on until both ends are through, or one of them breaks. `held` is dropped then.
pub(crate) async fn run<T>(caller: OnUpgrade, server: OnUpgrade, held: T) {
    let (caller, server) = tokio::join!(caller, server);
    // An end that has gone before it changed has the other one go.
    if let (Ok(caller), Ok(server)) = (caller, server) {
        // A break is the end of both, and neither could be told of it.
        let _ = copy_bidirectional(&mut TokioIo::new(caller), &mut TokioIo::new(server)).await;
    }
    drop(held);
}
