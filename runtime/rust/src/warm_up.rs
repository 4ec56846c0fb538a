//! The way of an invocation, gone once by a standby before it listens, so that its one invocation does not find all code
//! and memory for the first time. No handler is run, and no input is made.

use std::cell::Cell;
use std::rc::Rc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::task::spawn_local;
use tokio::time::timeout;

use crate::drain::Drain;
use crate::frames::pulse::PulseThread;
use crate::handler::Handler;
use crate::limits::WARM_UP_MAX;
use crate::metrics::Metrics;
use crate::server::{Instance, serve_connection};
use crate::standby::Standby;

/// A request as picofaas sends it to a standby.
const REQUEST: &[u8] = b"POST /invoke HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
    Connection: close\r\nExpect: 100-continue\r\nContent-Length: 14\r\nX-Execution-Id: warm-up\r\n\
    X-Trace-Id: 00000000000000000000000000000001\r\n\
    traceparent: 00-00000000000000000000000000000001-0000000000000001-00\r\nX-Attempt: 1\r\n\
    X-Deadline-Ms: 60000\r\n\r\n{\"input\":null}";

/// Serves an invocation of nobody, with the means of `instance` and without its handler.
pub(crate) async fn run<H, Args>(instance: &Rc<Instance<H>>, drain: &Rc<Drain>)
where
    H: Handler<Args>,
    Args: 'static,
{
    // Without one, the first invocation is only slower.
    let Ok((mut ours, theirs)) = UnixStream::pair() else { return };
    let instance = Rc::new(Instance {
        handler: Rc::clone(&instance.handler),
        sizes: instance.sizes,
        metrics: Metrics::new(),
        deadlines: Rc::clone(&instance.deadlines),
        pulses: PulseThread::default(),
        ages: instance.ages.clone(),
        standby: Standby::warming_up(),
        init_ms: Cell::new(Some(0)),
    });
    let serving = spawn_local(serve_connection(theirs, instance, Rc::clone(drain)));
    let call = async {
        ours.write_all(REQUEST).await?;
        let mut answer = Vec::new();
        ours.read_to_end(&mut answer).await
    };
    // As above.
    let _ = timeout(WARM_UP_MAX, call).await;
    serving.abort();
}
